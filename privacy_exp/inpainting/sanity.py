"""Counts results that would pass for perfect privacy although something broke: black, flat, not a number."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from privacy_exp.types import Faces, Images, Masks

# A hidden area that varies less than this (in [0, 1], about two grey levels of 255) shows nothing.
FLAT = 2 / 255
# Fewer hidden pixels than this may well be of one colour.
FEWEST_PIXELS = 16


class Counts(NamedTuple):
    """Results, and how many of them are black and flat."""

    images: int = 0
    black: int = 0
    flat: int = 0


class SanityError(RuntimeError):
    """Results are broken, so that a privacy figure computed from them would be worthless."""


class SanityCounter:
    """Counts black and flat results among those whose original showed something under the mask.

    Args:
        expects_detail: False where flat results are the point (blackout): only NaN is an error then.
        limit: largest share of black or flat images that passes.
        painter: what painted, for errors.
    """

    def __init__(self, expects_detail: bool, limit: float = 0.01, painter: str = "The inpainter") -> None:
        self.painter = painter
        self.expects_detail = expects_detail
        self.limit = limit
        self.images = 0
        self.black = 0
        self.flat = 0

    @property
    def counts(self) -> Counts:
        """What has been counted so far."""
        return Counts(self.images, self.black, self.flat)

    @counts.setter
    def counts(self, counts: Counts) -> None:
        self.images, self.black, self.flat = counts

    def add(self, faces: Faces, masks: Masks, repainted: Images) -> None:
        """Count one batch.

        Args:
            faces: the originals.
            masks: True = hidden.
            repainted: the result before kept pixels are put back and values are cut to [0, 1].

        Raises:
            SanityError: where a hidden pixel is NaN or infinite; at once, for nothing good can follow.
        """
        low, high = repainted.aminmax()  # NaN where one pixel is; most batches need no second look
        broken = masks.new_zeros(len(faces.ids))
        if not (low.isfinite() and high.isfinite()):
            broken = (~repainted.isfinite() & masks).flatten(1).any(dim=1)
        if broken.any():
            names = ", ".join(name for name, bad in zip(faces.ids, broken.tolist(), strict=True) if bad)
            raise SanityError(
                f"{self.painter} returned NaN or infinite pixels for {names}. Half precision overflows in some "
                "autoencoders: try `inpainting.dtype=float32` or bfloat16."
            )
        self.images += len(faces.ids)
        if not self.expects_detail:
            return
        black, flat = black_and_flat(faces.images, masks, repainted.clamp(0, 1))
        self.black += int(black.sum())
        self.flat += int(flat.sum())

    def check(self) -> None:
        """Fail where too many results were black or flat; call it at the end of a stage.

        Raises:
            SanityError: above `limit` of the images.
        """
        if self.black + self.flat > self.limit * self.images:
            raise SanityError(
                f"Of {self.images} repainted images {self.black} are black and {self.flat} flat under the mask, more "
                f"than {self.limit:.0%}: they would count as privacy. Look at the results; a safety checker inside the "
                "checkpoint, too few steps or half precision are the usual causes."
            )


def black_and_flat(originals: Images, masks: Masks, results: Images) -> tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]]:
    """Which results are black, and which flat, under a mask that hid something.

    Args:
        originals: before.
        masks: True = hidden.
        results: after; what lies outside the mask does not matter.
    """
    judged = (masks.flatten(1).sum(dim=1) >= FEWEST_PIXELS) & (_spread(originals, masks) >= FLAT)
    black = (results.masked_fill(~masks, 0).flatten(1).amax(dim=1) < FLAT) & judged
    return black, (_spread(results, masks) < FLAT) & judged & ~black


def _spread(images: Images, masks: Masks) -> Float[Tensor, " n"]:
    """Largest standard deviation of a colour channel over the hidden pixels."""
    hidden: Bool[Tensor, "n 1 p"] = masks.flatten(2)
    count = hidden.sum(dim=2).clamp(min=1)
    pixels = images.flatten(2)
    mean = (pixels * hidden).sum(dim=2) / count
    variance = (((pixels - mean[..., None]) * hidden) ** 2).sum(dim=2) / count
    return torch.sqrt(variance).amax(dim=1)
