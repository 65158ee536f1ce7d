"""One encode and decode without sampling: what the autoencoder alone does to a face."""

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, final

import torch
from diffusers import AutoencoderKL
from torch import Generator

from privacy_exp.cache.sources import sources
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.frame import enlarge, put_back, whole
from privacy_exp.inpainting.hub import commit, resolve
from privacy_exp.inpainting.loading import domain_of, load_autoencoder
from privacy_exp.inpainting.precision import device_named, dtype_name, dtype_named
from privacy_exp.inpainting.settings import at_least
from privacy_exp.inpainting.size import native
from privacy_exp.types import Faces, Images, Masks

TINY = "privacy_exp/assets/tiny_inpaint"
"""The shipped checkpoint, trained on drawn faces."""


HALF_IS_FINE = 2 / 255
"""Largest difference to single precision, in [0, 1], at which a round trip in half precision is taken."""


def kept_under(vae: AutoencoderKL, size: tuple[int, int]) -> dict[str, Any]:
    """All that decides a round trip of whole frames besides the picture, as plain values.

    Args:
        vae: the autoencoder, as it is loaded.
        size: height and width in pixels that it works at.
    """
    total = hashlib.sha256()
    for name, value in vae.state_dict().items():
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    config = {name: value for name, value in vae.config.items() if not name.startswith("_")}  # versions and paths
    return {"weights": total.hexdigest(), "config": config, "size": list(size), "code": sources(__name__)}


@torch.no_grad()
def encode_decode(vae: AutoencoderKL, images: Images, batch_size: int) -> Images:
    """The images through the autoencoder, at the mode of its posterior.

    An autoencoder in half precision is tried as it is, whatever `force_upcast` in its config says, which most carry and
    few need: its images are taken where they are finite and the first of them lies within two grey levels of single
    precision. Otherwise all go through in single precision. Halves the batch where memory runs out.

    Args:
        vae: the autoencoder.
        images: at a size that it divides.
        batch_size: images at a time.
    """
    if vae.dtype != torch.float16 or not len(images):
        return _through(vae, images, batch_size)
    in_half = _through(vae, images, batch_size)
    vae.float()
    try:
        first = _through(vae, images[:1], 1)
        # NaN is not within any distance.
        if in_half.isfinite().all() and (in_half[:1] - first).abs().amax() <= HALF_IS_FINE:
            return in_half
        return torch.cat([first, _through(vae, images[1:], batch_size)])
    finally:
        vae.half()


def _through(vae: AutoencoderKL, images: Images, batch_size: int) -> Images:
    """RGB in [0, 1], or not finite where the autoencoder overflows."""
    while True:
        try:
            pieces = [
                vae.decode(vae.encode((2 * part - 1).to(vae.device, vae.dtype)).latent_dist.mode()).sample
                for part in images.split(batch_size)
                if len(part)
            ]
            return (torch.cat(pieces).to(images) / 2 + 0.5).clamp(0, 1) if pieces else images
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise
            batch_size //= 2
            warnings.warn(f"Out of memory in the autoencoder: going on with {batch_size} at a time.", stacklevel=3)


@final
class VaeRoundTrip(Inpainter):
    """Paints the hidden pixels as the autoencoder of a checkpoint returns them: what is lost without any repainting.

    Args:
        checkpoint: folder, path inside the package that begins with `privacy_exp/`, or hub id.
        revision: commit, tag or branch on the hub.
        variant: suffix of the weight files, such as "fp16".
        native_size: pixels it works at, n or (height, width); None for the size the UNet was trained for.
        batch_size: images at a time.
        dtype: float32, float16, bfloat16, or auto, which becomes float16 on a GPU and float32 elsewhere.
        device: a torch device, or auto.
        force: take photos even with an autoencoder of drawn faces; see `domain.check_domain`.

    Raises:
        UserError: for a checkpoint without an autoencoder, or a value outside its range.
        FileNotFoundError: where there is no such folder.
        ConnectionError: where it is not in the cache and the hub can't be reached or refuses.

    Example:
        >>> control = VaeRoundTrip()
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> control(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool)).shape
        torch.Size([1, 3, 64, 64])
    """

    expects_detail = True
    reads_hidden = True
    without_effect: ClassVar[frozenset[str]] = frozenset({"batch_size", "device", "force"})

    def __init__(
        self,
        checkpoint: str = TINY,
        revision: str | None = None,
        variant: str | None = None,
        native_size: int | Sequence[int] | None = None,
        batch_size: int = 16,
        dtype: str = "auto",
        device: str = "auto",
        force: bool = False,
    ) -> None:
        at_least(1, batch_size=batch_size)
        where = device_named(device)
        self._arguments["dtype"] = dtype_name(dtype, where)
        vae, trained_for = load_autoencoder(checkpoint, revision, variant, dtype_named(dtype, where))
        self.vae = vae.to(where).eval().requires_grad_(False)
        self.size = native(native_size, trained_for, 2 ** (len(vae.config.block_out_channels) - 1))
        self.batch_size = batch_size
        self._arguments["revision"] = commit(resolve(checkpoint), "vae/config.json", revision)
        self.domain = domain_of(checkpoint)
        self.force = force

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """The faces, encoded and decoded."""
        del generators
        return self.round_trip(faces, masks)

    def round_trip(self, faces: Faces, masks: Masks) -> Images:
        """The faces, encoded and decoded.

        Args:
            faces: the originals.
            masks: True = hidden.
        """
        boxes = whole(masks)
        # Nothing is hidden from the autoencoder: this control shows what it loses by itself.
        images, _ = enlarge(faces.images, torch.zeros_like(masks), boxes, self.size)
        return put_back(encode_decode(self.vae, images, self.batch_size), faces.images, boxes)

    def round_trip_fields(self) -> dict[str, Any]:
        """See `Inpainter`."""
        return kept_under(self.vae, self.size)
