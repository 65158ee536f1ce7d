"""What follows from an inpainter that takes no mask."""

from typing import Any

import pandas as pd

from privacy_exp.evaluation.statistics.intervals import bootstrap_mean
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.masking.everything import Everything
from privacy_exp.types import Metric

IMPLIED = (
    "`masking` is everything: the inpainter takes no mask and decides itself what it changes. share_changed says how "
    "much that was."
)
"""Said where another method was asked for."""


def implied(masker: Masker | OwnArea | Any, inpainter: Inpainter | Any) -> Masker | OwnArea | Any:
    """The method that was asked for, or `Everything` where the inpainter takes no mask.

    Args:
        masker: asked for.
        inpainter: asked for.
    """
    without = isinstance(inpainter, Inpainter) and not inpainter.takes_masks
    return Everything() if without and not isinstance(masker, Everything) else masker


def share_changed(table: pd.DataFrame, inpainter: Inpainter) -> dict[str, Metric]:
    """Mean share of pixels that differ from the original, where the masks do not say it.

    Args:
        table: one row per image with `share_changed, label`.
        inpainter: made the results.
    """
    if inpainter.takes_masks:
        return {}
    return {"share_changed": bootstrap_mean(table["share_changed"].to_numpy(float), table["label"].to_numpy())}
