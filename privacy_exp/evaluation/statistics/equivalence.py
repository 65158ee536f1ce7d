"""Two runs shown to be alike: two one-sided tests over people, for margins that were written down first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy.stats import t as student

from privacy_exp.evaluation.statistics.paired import fooled
from privacy_exp.evaluation.statistics.resampling import FEWEST_IDENTITIES, Array
from privacy_exp.evaluation.utility.frechet import frechet_distance

MARGINS = (("ssim", 0.02), ("landmark_error", 0.01))
"""Parts of names and their margins: SSIM, and landmark errors in units of the inter-ocular distance."""

RATES = ("fool_rate", "accuracy_anonymized", "tar_cross", "rank_1", "agreement", "detected")
"""Parts of the names of rates, whose margin is `RATE`."""

RATE, LEVEL, ROOM = 0.03, 0.05, (0.2, 0.8)
"""Margin of rates, level of each one-sided test, and where a fool rate leaves room for a difference."""


FRECHET, SMALLEST = 0.02, 1e-12
"""Margin of log Fréchet distances, and the distance below which none is told from none."""


@dataclass(frozen=True)
class Equivalence:
    """Whether a figure is alike in two runs, people being the sample.

    Attributes:
        name: of the figure.
        mean: of the people's differences, a - b; None where nothing is tested.
        low: lower end of its 90 % interval, which lies within the margin where the tests reject.
        high: upper end.
        margin: written down beforehand.
        p: the larger of the two one-sided tests' p values.
        people: who have the figure in both runs.
        reason: why nothing is tested.
    """

    name: str
    mean: float | None
    low: float | None
    high: float | None
    margin: float | None
    p: float | None
    people: int
    reason: str | None = None

    @property
    def shown(self) -> bool:
        """Whether both one-sided tests reject."""
        return self.p is not None and self.p < LEVEL


def margin_of(name: str) -> float | None:
    """The margin of a figure; None where none was written down.

    Example:
        >>> margin_of("fool_rate"), margin_of("utility/ssim_inside"), margin_of("rank")
        (0.03, 0.02, None)
    """
    for part, margin in MARGINS:
        if part in name:
            return margin
    return RATE if any(part in name for part in RATES) else None


def equivalence(
    name: str, a: Float[Array, "2 n"], b: Float[Array, "2 n"], people: Shaped[Array, " n"], margin: float
) -> Equivalence:
    """Two one-sided t tests of the people's mean paired differences.

    Args:
        name: of the figure.
        a: numerators and denominators, image by image, of the first run.
        b: of the second.
        people: who is on each image.
        margin: of the mean difference, above 0.

    Reference: Schuirmann, A comparison of the two one-sided tests procedure and the power approach, 1987.
    """
    names, index = np.unique(people, return_inverse=True)
    sums = [[np.bincount(index, weights=row, minlength=len(names)) for row in run] for run in (a, b)]
    both = (sums[0][1] > 0) & (sums[1][1] > 0)
    differences = sums[0][0][both] / sums[0][1][both] - sums[1][0][both] / sums[1][1][both]
    count = int(both.sum())
    if count < FEWEST_IDENTITIES:
        reason = f"{count} people, {FEWEST_IDENTITIES} needed for a test"
        return Equivalence(name, None, None, None, margin, None, count, reason)
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(count))
    if error == 0:
        return Equivalence(name, mean, mean, mean, margin, float(abs(mean) >= margin), count)
    p = max(float(student.sf((side * mean + margin) / error, count - 1)) for side in (1, -1))
    half = float(student.ppf(1 - LEVEL, count - 1)) * error
    return Equivalence(name, mean, mean - half, mean + half, margin, p, count)


def equivalences(a: Sequence[pd.DataFrame], b: Sequence[pd.DataFrame], names: Sequence[str]) -> list[Equivalence]:
    """Each figure of two cells; see `equivalence`. Seeds of a cell are averaged image by image first.

    Nothing is shown where the fool rate leaves no room for a difference: almost all, or almost nobody, is fooled.

    Args:
        a: `images.parquet` of each seed of the first cell, sorted by image.
        b: of the second.
        names: figures: `fool_rate`, `accuracy_anonymized`, or columns.
    """
    people = a[0]["identity"].to_numpy(str)
    rates = [float(np.divide(*np.mean([fooled(table) for table in tables], axis=0).sum(axis=1))) for tables in (a, b)]
    cramped = [rate for rate in rates if not ROOM[0] <= rate <= ROOM[1]]
    found = []
    for name in names:
        margin = margin_of(name)
        if margin is None:
            found.append(Equivalence(name, None, None, None, None, None, 0, "no margin was written down"))
        elif cramped:
            reason = f"a fool rate of {cramped[0]:.3f} leaves no room for a difference (0.2 to 0.8 does)"
            found.append(Equivalence(name, None, None, None, margin, None, 0, reason))
        else:
            of_a, of_b = (np.mean([_columns(table, name) for table in tables], axis=0) for tables in (a, b))
            found.append(equivalence(name, of_a, of_b, people, margin))
    return found


def frechet_equivalence(
    clean: Float[Array, "n d"],
    a: Float[Array, "n d"],
    b: Float[Array, "n d"],
    people: Shaped[Array, " n"],
    draws: int = 1000,
    seed: int = 0,
) -> Equivalence:
    """Two one-sided tests of log Fréchet distance, a's to the originals minus b's, by a bootstrap over people.

    Each p value is the share of draws that lie beyond the margin on its side. Of few pictures a distance is too large,
    in both runs alike, so that the difference of logarithms suffers little.

    Args:
        clean: a judge's features of the originals; rows with NaN in any of the three are left out of all.
        a: of the first run's results, row by row.
        b: of the second's.
        people: who is on them.
        draws: resamples of the people.
        seed: of the draws.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993.
    """
    usable = np.isfinite(clean + a + b).all(axis=1)
    clean, a, b = clean[usable], a[usable], b[usable]
    names, index = np.unique(people[usable], return_inverse=True)
    if len(names) < FEWEST_IDENTITIES:
        reason = f"{len(names)} people, {FEWEST_IDENTITIES} needed for a test"
        return Equivalence("frechet", None, None, None, FRECHET, None, len(names), reason)

    def difference(rows: Array) -> float:
        of_a, of_b = (max(frechet_distance(clean[rows], other[rows]), SMALLEST) for other in (a, b))
        return float(np.log(of_a) - np.log(of_b))

    own = [np.flatnonzero(index == person) for person in range(len(names))]
    random = np.random.default_rng(seed)
    chosen = random.integers(len(own), size=(draws, len(own)))
    drawn = np.array([difference(np.concatenate([own[i] for i in row])) for row in chosen])
    p = max(float(np.mean(drawn >= FRECHET)), float(np.mean(drawn <= -FRECHET)))
    low, high = np.quantile(drawn, [LEVEL, 1 - LEVEL])
    whole = difference(np.arange(len(index)))
    return Equivalence("frechet", whole, float(low), float(high), FRECHET, p, len(names))


def _columns(table: pd.DataFrame, name: str) -> Float[Array, "2 n"]:
    if name == "fool_rate":
        return fooled(table)
    column = table["pred_anonymized"] == table["label"] if name == "accuracy_anonymized" else table[name]
    values = column.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    present = np.isfinite(values)
    return np.stack([np.where(present, values, 0.0), present.astype(np.float64)])
