"""Whole photos handed to a tool that finds faces by itself: what it changed, face by face."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.command import Command
from privacy_exp.photos.crops import Matrix, cut
from privacy_exp.types import UserError

TREATED = 0.25
"""Changed share of a face's box from which it counts as treated."""


def whole_tool(inpainter: Inpainter, refused: bool) -> Command | None:
    """The inpainter, if it takes whole photos.

    Args:
        inpainter: any.
        refused: whether something is asked for that needs faces of our own finding.

    Raises:
        UserError: it takes whole photos, and that is asked for.
    """
    if not isinstance(inpainter, Command) or not inpainter.whole:
        return None
    if refused:
        raise UserError("`whole` leaves faces to the tool: `keep`, `keep_people` and `until` don't go with it.")
    return inpainter


def check_asks_little(inpainter: Inpainter) -> None:
    """Refuses an inpainter that asks for more than whole photos have.

    Args:
        inpainter: any.

    Raises:
        UserError: it learns from training photos, or goes by who is on each photo.
    """
    if type(inpainter).fit is not Inpainter.fit:
        raise UserError(
            f"{type(inpainter).__name__} learns from a data set's training photos, and whole photos have none: "
            "take an inpainter that learns nothing, such as inpainting=blur."
        )
    if inpainter.same_new_face == "person":
        raise UserError(
            "`same_new_face: person` needs to know who is on each photo, which nobody says of whole photos: set "
            "inpainting.same_new_face=photo, or sort aligned crops into a folder a person (data=folder)."
        )


def is_treated(changed: Bool[np.ndarray, "H W"], box: Sequence[float]) -> bool:
    """Whether enough of a face's box was changed."""
    left, top, right, bottom = (max(0, round(side)) for side in box)
    inside = changed[top:bottom, left:right]
    return bool(inside.size and inside.mean() >= TREATED)


def changed_share(changed: Bool[np.ndarray, "H W"], matrix: Matrix, size: tuple[int, int]) -> float:
    """Changed pixels / all pixels of a face's aligned crop."""
    grey = np.repeat(changed[..., None], 3, axis=2).astype(np.uint8) * 255
    return float((cut(grey, matrix, size)[0] > 0.5).float().mean())
