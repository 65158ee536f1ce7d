"""Two runs over the same photos: is their difference one? People, not photos, are exchanged and drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from privacy_exp.evaluation.statistics.intervals import exact_mcnemar
from privacy_exp.evaluation.statistics.power import detectable_difference
from privacy_exp.evaluation.statistics.resampling import (
    FEWEST_IDENTITIES,
    Array,
    Figure,
    exchange_test,
    ratio,
    resampled_sums,
)
from privacy_exp.types import UserError


@dataclass(frozen=True)
class Difference:
    """A figure in two runs over the same images.

    Attributes:
        a: of the first run, or None.
        b: of the second.
        value: a - b.
        low: lower end of its 95 % interval, identities being resampled in both runs alike.
        high: upper end.
        detectable: the smallest true difference that a 5 % test of these images finds four times in five: 2.80 standard
            errors, people being the sample.
        p: two-sided sign-flip permutation by identity; None under 20 identities.
        n: images.
        identities: people on them.
        reason: why something is None.
    """

    a: float | None
    b: float | None
    value: float | None
    low: float | None
    high: float | None
    detectable: float | None
    p: float | None
    n: int
    identities: int
    reason: str | None = None


def paired_difference(
    a: Float[Array, "k n"],
    b: Float[Array, "k n"],
    clusters: Shaped[Array, " n"],
    figure: Figure = ratio,
    draws: int = 2000,
    flips: int = 10_000,
    seed: int = 0,
) -> Difference:
    """The difference of a figure between two runs, with its interval, its test and what it could have shown.

    Args:
        a: columns of the first run, one value an image, whose sums `figure` takes.
        b: the same of the second, images in the same order.
        clusters: identity of each image.
        figure: what is compared.
        draws: resamples for the interval.
        flips: exchanges for the test.
        seed: of both.
    """
    n, people = a.shape[1], len(np.unique(clusters))
    of_a, of_b = (float(figure(columns.sum(axis=1, keepdims=True))[0]) for columns in (a, b))
    if not (math.isfinite(of_a) and math.isfinite(of_b)):
        a_or_none, b_or_none = (value if math.isfinite(value) else None for value in (of_a, of_b))
        reason = "one of the runs has no value"
        return Difference(a_or_none, b_or_none, None, None, None, None, None, n, people, reason)
    sums = np.stack(resampled_sums(clusters, [*a, *b], draws, seed))
    drawn = figure(sums[: len(a)]) - figure(sums[len(a) :])
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (of_a - of_b, of_a - of_b)
    p = exchange_test(a, b, clusters, figure, flips, seed)
    untested = None if p is not None else f"{people} identities, {FEWEST_IDENTITIES} needed for a test"
    detectable = detectable_difference(float(np.std(drawn))) if len(drawn) and people > 1 else None
    return Difference(of_a, of_b, of_a - of_b, float(low), float(high), detectable, p, n, people, untested)


def fool_rate_difference(
    a: pd.DataFrame, b: pd.DataFrame, flips: int = 10_000, seed: int = 0
) -> tuple[Difference, float | None]:
    """The paired difference of two runs' fool rates, as `compare` and the report's star tell it, and exact McNemar's p.

    Each rate is of the images that its own run's recogniser named rightly before: a ratio of sums, people resampled and
    exchanged in both runs alike. Where both runs share the fit these are the same images, so that the difference is
    also that among the images named before in both; where they do not, no such condition is made, since it would
    compare neither run's own fool rate. McNemar's p alone is over the images named before in both.

    Args:
        a: `images.parquet` of the first run.
        b: of the second, over the same images of the same people.
        flips: exchanges of the sign-flip test.
        seed: of draws and exchanges.

    Raises:
        UserError: tables over different images, or images that show other people.
    """
    a, b = (table.sort_values("image_id", ignore_index=True) for table in (a, b))
    check_same_images([a, b])
    columns = fooled(a), fooled(b)
    difference = paired_difference(*columns, a["identity"].to_numpy(str), flips=flips, seed=seed)
    return difference, mcnemar_of(*columns)


def check_same_images(tables: Sequence[pd.DataFrame]) -> None:
    """Checks that all tables, sorted by image, hold the same images of the same people.

    Raises:
        UserError: names an image that does not fit.
    """
    first = tables[0]
    for table in tables[1:]:
        odd = sorted(set(first["image_id"]) ^ set(table["image_id"]))
        if odd:
            raise UserError(
                f"`a` and `b` must be runs over the same images, but {len(odd)} stand in one only, such as {odd[0]!r}. "
                "Give the runs the same `data` keys, or repeat a split with data.manifest=RUN/manifest.csv."
            )
        other = first["identity"].to_numpy(str) != table["identity"].to_numpy(str)
        if other.any():
            i = int(np.flatnonzero(other)[0])
            raise UserError(
                f"`a` and `b` must be runs over the same images, but {first['image_id'][i]!r} shows "
                f"{first['identity'][i]} in one and {table['identity'][i]} in the other."
            )


def fooled(table: pd.DataFrame) -> Float[Array, "2 n"]:
    """Numerator and denominator of the fool rate, image by image: named before and not after, named before.

    Args:
        table: `images.parquet`, or another table with `label, pred, pred_anonymized`.
    """
    right, right_anonymized = ((table[c] == table["label"]).to_numpy() for c in ("pred", "pred_anonymized"))
    return np.stack([right & ~right_anonymized, right]).astype(np.float64)


def mcnemar_of(a: Float[Array, "2 n"], b: Float[Array, "2 n"]) -> float | None:
    """Exact McNemar's p over the images that count in both runs; None for values other than 0 and 1.

    Args:
        a: hits of the first run, and which images count in it.
        b: the same of the second.
    """
    both: Bool[Array, " n"] = (a[1] == 1) & (b[1] == 1)
    values = np.concatenate([a[0][both], b[0][both]])
    if not len(values) or not np.isin(values, (0, 1)).all():
        return None
    return exact_mcnemar(a[0][both] == 1, b[0][both] == 1)
