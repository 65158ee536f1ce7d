"""The pictures of one run: originals, masks and results in files that anyone can read.

    original/{image-id}-img-label-{class-id}.jpg
    masks/{image-id}-masks-label-{class-id}.jpg
    results/{image-id}-generated-label-{class-id}.jpg
    control/{image-id}-control-label-{class-id}.jpg        the same mask filled by one encode and decode
    draws/1/results/...                                     further pictures of each face, where several were asked for

An image id holds no hyphen (see `Faces.ids`), so it ends at the first one; the class stands after the last.
"""

import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from privacy_exp.cache.files import atomic_file
from privacy_exp.runs.formats import FORMATS
from privacy_exp.types import Images, Labels, Masks, UserError

KINDS = {"original": "img", "masks": "masks", "results": "generated", "control": "control"}
"""Sub-folder and the word in its file names."""

UNKNOWN = "unknown"
"""Class id of a face whose identity is not known."""

THREADS = min(4, os.cpu_count() or 1)
"""That read or write pictures at once: Pillow works outside the interpreter's lock."""

FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,  # a header that claims more than any file has
    RuntimeError,  # the decoders of AVIF and HEIC
    struct.error,
    Image.DecompressionBombError,
)
"""All that Pillow and its decoders raise over files that are no pictures, broken ones, and ones that claim too much."""


class RunFolder:
    """Writes and reads the pictures of one run.

    Args:
        path: the run's folder.
        image_format: "jpg" or "png"; None reads whichever is there.
    """

    def __init__(self, path: str | Path, image_format: str | None = None) -> None:
        if image_format is not None and image_format not in FORMATS:
            raise UserError(f"`image_format` must be one of {sorted(FORMATS)}, but got {image_format!r}.")
        self.path = Path(path)
        self.image_format = image_format

    def save(self, kind: str, ids: Sequence[str], labels: Labels | None, images: Images | Masks) -> None:
        """Writes a batch of pictures, each whole or not at all.

        Args:
            kind: "original", "masks", "results" or "control".
            ids: image ids.
            labels: class ids, or None where they are unknown.
            images: RGB in [0, 1], or masks.
        """
        if self.image_format is None:
            raise UserError("`image_format` is needed to write pictures: jpg or png.")
        classes = [UNKNOWN] * len(ids) if labels is None else [str(int(label)) for label in labels]
        names = [f"{i}-{KINDS[kind]}-label-{c}.{self.image_format}" for i, c in zip(ids, classes, strict=True)]
        pictures = zip(names, levels(images), strict=True)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda one: self._write(self.path / kind / one[0], one[1]), pictures))

    def _write(self, path: Path, pixels: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"]) -> None:
        with atomic_file(path) as temporary:
            Image.fromarray(pixels).save(temporary, **FORMATS[str(self.image_format)])

    def list(self, kind: str) -> dict[str, tuple[Path, int | None]]:
        """Image id to (file, class id or None where unknown), sorted by id.

        Raises:
            FileNotFoundError: no such pictures.
            UserError: a file name outside the layout, or an id that occurs twice.
        """
        folder = self._below(kind)
        found: dict[str, tuple[Path, int | None]] = {}
        for path in sorted(folder.glob("*.*")) if folder.is_dir() else []:
            if path.name.startswith(".") or path.suffix[1:] not in FORMATS:
                continue
            image_id, _, rest = path.stem.partition("-")
            class_id = rest.rpartition("-")[2]
            if not rest or not (class_id.isdecimal() or class_id == UNKNOWN):
                raise UserError(f"{path} is not named {{image-id}}-{KINDS[kind]}-label-{{class-id}}{path.suffix}.")
            if not path.resolve().is_relative_to(folder.resolve()):
                raise UserError(f"{path} is a link that leads out of its folder; put the picture itself there.")
            if image_id in found:
                raise UserError(
                    f"image id {image_id!r} occurs twice in {folder}: {found[image_id][0].name}, {path.name}."
                )
            found[image_id] = (path, None if class_id == UNKNOWN else int(class_id))
        if not found:
            raise FileNotFoundError(f"{folder} holds no pictures; a run folder has {', '.join(KINDS)} sub-folders.")
        return dict(sorted(found.items()))

    def _below(self, kind: str) -> Path:
        """The folder of a kind, which may be a link within the run's folder but not out of it."""
        folder = self.path / kind
        if folder.is_symlink() and not folder.resolve().is_relative_to(self.path.resolve()):
            raise UserError(
                f"{folder} is a link that leads out of the run's folder; put the pictures themselves there."
            )
        return folder

    def read(self, paths: Sequence[Path]) -> Images:
        """Pictures as RGB in [0, 1].

        Raises:
            UserError: an unreadable file, or pictures of different sizes; named.
        """
        with ThreadPoolExecutor(THREADS) as pool:
            images = list(pool.map(read_rgb, paths))
        for path, image in zip(paths, images, strict=True):
            if image.shape != images[0].shape:
                raise UserError(
                    f"{path} is {image.shape[1]}x{image.shape[0]}, but {paths[0].name} is not: one size a run."
                )
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255

    def read_masks(self, paths: Sequence[Path]) -> Masks:
        """Masks; True where a file's value is at least 128."""
        return self.read(paths)[:, :1] >= 128 / 255


def to_pillow(image: Float[Tensor, "3 h w"] | Tensor) -> Image.Image:
    """One picture or mask as an 8-bit Pillow image, rounded to the nearest level."""
    return Image.fromarray(levels(image[None])[0])


def levels(images: Images | Masks) -> UInt8[np.ndarray, "n h w 3"] | UInt8[np.ndarray, "n h w"]:
    """Pictures or masks in 8 bits, rounded to the nearest level."""
    pixels = (images.detach().cpu().float() * 255).round().clamp(0, 255).byte()
    return (pixels[:, 0] if pixels.shape[1] == 1 else pixels.permute(0, 2, 3, 1).contiguous()).numpy()


def read_rgb(path: Path) -> np.ndarray:
    """The pixels of a picture: height, width, RGB in 0-255.

    Raises:
        UserError: it cannot be read, whatever is wrong with it.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FAULTS as error:
        why = "its header asks for more memory than there is" if isinstance(error, MemoryError) else str(error)
        raise UserError(f"{path} cannot be read as a picture ({why}); run the cell again to write it anew.") from error
