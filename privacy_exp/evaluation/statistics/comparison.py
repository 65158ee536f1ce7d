"""Two runs, or two cells of several seeds each, over the same photos: which figures differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from privacy_exp.evaluation.by_attribute import ATTRIBUTE
from privacy_exp.evaluation.evaluate import RECOGNISED, RECOGNISED_CLEAN
from privacy_exp.evaluation.measure import kept_share
from privacy_exp.evaluation.statistics.intervals import holm
from privacy_exp.evaluation.statistics.paired import (
    Difference,
    check_same_images,
    fooled,
    mcnemar_of,
    paired_difference,
)
from privacy_exp.evaluation.statistics.resampling import Array, Figure, ratio

NOT_OUTCOMES = ("label", "pred", "prob")
"""Columns that say who is on the photo, or what was seen before anything was hidden."""

NOT_OUTCOMES_BY_PREFIX = ("pred_", "share_", ATTRIBUTE, RECOGNISED, RECOGNISED_CLEAN)


@dataclass(frozen=True)
class Comparison:
    """One figure in both runs.

    Attributes:
        name: `fool_rate`, `strongest_observer`, or the name of a column of `images.parquet`.
        difference: values, interval and sign-flip test.
        p_holm: the test's p value, corrected for all figures tested; None where nothing was tested.
        mcnemar: exact McNemar's p value, which takes photos as independent; None for what is not yes or no, and where
            several seeds are pooled.
    """

    name: str
    difference: Difference
    p_holm: float | None = None
    mcnemar: float | None = None


def compare(
    a: Sequence[pd.DataFrame],
    b: Sequence[pd.DataFrame],
    observers: Mapping[str, float] | str,
    flips: int = 10_000,
    seed: int = 0,
) -> list[Comparison]:
    """Compares every figure that both have, and corrects the tests for their number.

    The seeds of a cell are averaged image by image first, so that identities stay the sample.

    Args:
        a: `images.parquet` of each seed of the first cell; one table for a single run.
        b: of the second. All tables hold the same images.
        observers: name to chance of those that took part in `strongest_observer` in all runs, or why not.
        flips: exchanges of the sign-flip test.
        seed: of draws and exchanges.

    Raises:
        UserError: tables over different images, or images that show other people.
    """
    a, b = ([table.sort_values("image_id", ignore_index=True) for table in tables] for tables in (a, b))
    check_same_images([*a, *b])
    people = a[0]["identity"].to_numpy(str)
    single = len(a) == len(b) == 1

    def pair(name: str, columns: Callable[[pd.DataFrame], Float[Array, "k n"]], figure: Figure = ratio) -> Comparison:
        of_a, of_b = (np.mean([columns(table) for table in tables], axis=0) for tables in (a, b))
        difference = paired_difference(of_a, of_b, people, figure, flips=flips, seed=seed)
        return Comparison(name, difference, mcnemar=mcnemar_of(of_a, of_b) if single and figure is ratio else None)

    found = [pair("fool_rate", fooled), pair("accuracy_anonymized", _accuracy)]
    for name in shared_outcomes([*a, *b]):
        found.append(pair(name, lambda table, name=name: _column(table, name)))
    if isinstance(observers, str):
        none = Difference(None, None, None, None, None, None, None, len(people), len(np.unique(people)), observers)
        return [Comparison("strongest_observer", none), *_corrected(found)]
    names, chances = list(observers), list(observers.values())
    worst = pair("strongest_observer", lambda table: _observed(table, names), _worst(chances))
    return _corrected([worst, *found])


def shared_outcomes(tables: Sequence[pd.DataFrame]) -> list[str]:
    """Columns of numbers or yes and no that every table has and that depend on what the run did."""
    return [
        name
        for name in tables[0].columns
        if name not in NOT_OUTCOMES
        and not name.startswith(NOT_OUTCOMES_BY_PREFIX)
        and all(name in table and pd.api.types.is_numeric_dtype(table[name]) for table in tables)
        and not all(table[name].isna().all() for table in tables)
    ]


def _accuracy(table: pd.DataFrame) -> Float[Array, "2 n"]:
    right = (table["pred_anonymized"] == table["label"]).to_numpy()
    return np.stack([right, np.ones(len(table), dtype=bool)]).astype(np.float64)


def _column(table: pd.DataFrame, name: str) -> Float[Array, "2 n"]:
    """Values and where there are any: a mean over the images that have one."""
    values = table[name].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    present = np.isfinite(values)
    return np.stack([np.where(present, values, 0.0), present.astype(np.float64)])


def _observed(table: pd.DataFrame, names: Sequence[str]) -> Float[Array, "k n"]:
    """For each observer whether it was asked, and what it recognised on the originals and on the results."""
    rows = []
    for name in names:
        hits = [table[prefix + name].to_numpy(np.float64) for prefix in (RECOGNISED_CLEAN, RECOGNISED)]
        rows += [np.isfinite(hits[0]).astype(np.float64), *map(np.nan_to_num, hits)]
    return np.stack(rows)


def _worst(chances: Sequence[float]) -> Figure:
    def figure(sums: Float[Array, "k draws"]) -> Float[Array, " draws"]:
        shares = [kept_share(sums[3 * i : 3 * i + 3], chance) for i, chance in enumerate(chances)]
        highest: Float[Array, " draws"] = np.fmax.reduce(shares, axis=0)
        return highest

    return figure


def _corrected(found: Sequence[Comparison]) -> list[Comparison]:
    tested = [one.difference.p for one in found if one.difference.p is not None]
    corrected = iter(holm(tested))
    return [one if one.difference.p is None else replace(one, p_holm=next(corrected)) for one in found]
