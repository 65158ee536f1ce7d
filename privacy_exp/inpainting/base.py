"""What every inpainter shares: repaint, then put the kept pixels back bit for bit."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from privacy_exp.cache.configured import Configured
from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.sanity import SanityCounter
from privacy_exp.types import Faces, Images, Masks, UserError

TOLERANCE = 1e-3
"""By how much a repainted pixel may leave [0, 1], a quarter of a grey level: rounding, which is cut off."""


class Inpainter(Configured, ABC):
    """Repaints what a mask hides; everything else comes back unchanged.

    A subclass implements `repaint`.

    Attributes:
        reads_hidden: whether the result depends on the hidden pixels, as that of a blur does. Where it is False, images
            that differ in hidden pixels alone have one result.
        takes_masks: whether it paints what a mask hides. One that decides itself what it changes goes with
            masking=everything only, and what it did change is measured.
        asks_recognizer: whether it follows the target recogniser; see `meet`.
        domain: what it learnt to paint from: "drawn" faces, "photos", or None where it learnt nothing or does not say.
        force: whether it paints what its domain is not; see `domain.check_domain`.
        expects_detail: whether a flat result means that something broke. False where flat is the point (blackout).
        guidance: what the prompt does, for the record: "live", "inert" (both prompts say the same) or "off".
        heeds_guidance: False where prompt and negative prompt say the same, so that no guidance scale changes anything.
        num_draws: how many pictures of each face a run paints, draws 0 .. num_draws - 1.
        keep_pixels: whether kept pixels come back as they are; a latent model's own differ a little.
        same_new_face: "photo" draws from (seed, photo), "person" from (seed, person), the same for all their photos.
    """

    expects_detail: ClassVar[bool] = False
    guidance: str = "off"
    heeds_guidance: bool = True
    num_draws: int = 1
    keep_pixels: bool = True
    same_new_face: str = "photo"
    reads_hidden: bool = False
    takes_masks: bool = True
    asks_recognizer: bool = False
    domain: str | None = None
    force: bool = False

    @cached_property
    def sanity(self) -> SanityCounter:
        """Counts black and flat results; a stage ends with `inpainter.sanity.check()`."""
        return SanityCounter(self.expects_detail, painter=type(self).__name__)

    def fit(self, train: Iterable[Faces]) -> None:
        """Learn from the training split; most inpainters have nothing to learn.

        Args:
            train: the training photos in batches, iterated once.
        """

    def meet(self, recognizer: nn.Module) -> None:
        """The target recogniser, before the first picture; most inpainters do not look at it.

        Args:
            recognizer: in evaluation mode, and in use elsewhere: whoever wants it takes a copy.
        """

    def expect(self, images: int) -> None:
        """How many faces are to come; most inpainters do not care.

        Args:
            images: of one run, each with all its draws.
        """

    def keys(self) -> dict[str, Any]:
        """What decides its results besides its arguments and code, as plain values for keys: the version of a tool."""
        return {}

    @abstractmethod
    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """New pictures of the faces' size, of which only the hidden pixels are used.

        Args:
            faces: the originals.
            masks: True = hidden.
            generators: one CPU generator per image: the only source of randomness, so that results depend neither on
                the batch size nor on the order.
        """

    def round_trip(self, faces: Faces, masks: Masks) -> Images:
        """The run's control: what the hidden pixels lose without any repainting.

        Inpainters with an autoencoder encode and decode the hidden pixels once; for all others it is the original.

        Args:
            faces: the originals.
            masks: True = hidden.
        """
        del masks
        return faces.images

    def round_trip_fields(self) -> dict[str, Any] | None:
        """All that decides `round_trip` besides the picture, as plain values, so that it is kept for other masks.

        None where the mask matters too, or where it costs nothing.
        """
        return None

    def latent_share(self, masks: Masks) -> Float[Tensor, " n"]:
        """Share of each frame that is hidden where the inpainter works: pixels, or cells of a latent grid.

        Args:
            masks: True = hidden.
        """
        return masks.flatten(1).float().mean(dim=1)

    def __call__(self, faces: Faces, masks: Masks, seed: int = 0, draw: int = 0) -> Images:
        """The faces with their hidden pixels repainted, in [0, 1]; kept pixels are the original's, bit for bit.

        With `keep_pixels` false the whole picture is the repainted one, as the original study took it.

        Args:
            faces: the originals.
            masks: True = hidden, at the faces' size.
            seed: the run's seed.
            draw: which of several pictures of each face.

        Raises:
            UserError: where the masks' shape is not the faces', `repaint` returns anything but images of the faces'
                shape in [0, 1], or nobody says who is on photos whose noise goes by it.
            SanityError: for a result that is not a number.
        """
        count, _, height, width = faces.images.shape
        if masks.shape != (count, 1, height, width):
            raise UserError(
                f"`masks` must have the shape {(count, 1, height, width)} of the faces, but got {tuple(masks.shape)}."
            )
        if not self.takes_masks and not masks.all():
            raise UserError(
                f"`masking` must be everything with {type(self).__name__}, which takes no mask and decides itself what "
                "it changes."
            )
        generators = self._generators(faces, seed, draw)
        repainted = self._checked(self.repaint(faces, masks, generators), faces.images)
        self.sanity.add(faces, masks, repainted)
        self._check_range(repainted, masks if self.keep_pixels else torch.ones_like(masks))
        repainted = repainted.clamp(0, 1)
        return torch.where(masks, repainted, faces.images) if self.keep_pixels else repainted

    def _generators(self, faces: Faces, seed: int, draw: int) -> list[Generator]:
        """One a photo; those of a person may begin alike, but each is its own: none runs ahead for another."""
        if self.same_new_face == "photo":
            return [generator(seed, image_id, "inpaint", str(draw)) for image_id in faces.ids]
        if faces.people is None:
            raise UserError(
                "`same_new_face: person` needs to know who is on each photo, and these photos have no identities: set "
                "inpainting.same_new_face=photo, or give labelled data."
            )
        return [generator(seed, person, "inpaint a person", str(draw)) for person in faces.people]

    def _checked(self, repainted: Any, images: Images) -> Images:
        """What `repaint` returned, on the images' device, if it is a batch like theirs."""
        got = f"a {type(repainted).__name__}"
        if isinstance(repainted, Tensor):
            got = f"{repainted.dtype} of the shape {tuple(repainted.shape)}"
            if repainted.is_floating_point() and repainted.shape == images.shape:
                return repainted.to(images)
        raise UserError(
            f"`{type(self).__name__}.repaint` must return floating-point images in [0, 1] of the shape "
            f"{tuple(images.shape)} of the faces, but returned {got}."
        )

    def _check_range(self, repainted: Images, used: Masks) -> None:
        low, high = repainted.aminmax()
        if low >= -TOLERANCE and high <= 1 + TOLERANCE:  # most batches need no second look
            return
        low, high = repainted.where(used, 0.5).aminmax()
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            values = repainted.masked_select(used)
            raise UserError(
                f"`{type(self).__name__}.repaint` must return images in [0, 1], but its pixels lie between "
                f"{values.min():.4g} and {values.max():.4g}. Divide by 255, or clamp."
            )
