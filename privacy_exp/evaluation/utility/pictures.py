"""A run's pictures side by side, and means over those of them that have a value."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped

from privacy_exp.evaluation.statistics.intervals import Array, bootstrap_mean
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import Images, Masks, Metric


class Pictures(NamedTuple):
    """Originals, results and masks of the same photos."""

    originals: Images
    results: Images
    masks: Masks


def pictures(folder: RunFolder, batch_size: int) -> Iterator[Pictures]:
    """The pictures of a run, batch by batch in the order of their ids.

    Pairs from elsewhere have no masks: there the whole frame counts as hidden.

    Args:
        folder: the run's; its pictures pair, as `score_folder` checks.
        batch_size: photos at a time.
    """
    masked = folder.has("masks")
    kinds = ("original", "results", "masks") if masked else ("original", "results")
    paths = {kind: [path for path, _ in folder.list(kind).values()] for kind in kinds}
    for start in range(0, len(paths["original"]), batch_size):
        rows = slice(start, start + batch_size)
        originals, results = (folder.read(paths[kind][rows]) for kind in ("original", "results"))
        whole = torch.ones_like(originals[:, :1], dtype=torch.bool)
        yield Pictures(originals, results, folder.read_masks(paths["masks"][rows]) if masked else whole)


def mean_of_present(values: Float[Array, " n"], people: Shaped[Array, " n"], empty: str) -> Metric:
    """Mean over the images that have a value, with its interval over identities.

    Args:
        values: one an image; NaN where there is none.
        people: identity of each image.
        empty: the reason to state where no image has one.
    """
    present = np.isfinite(values)
    return bootstrap_mean(values[present], people[present], empty=empty)
