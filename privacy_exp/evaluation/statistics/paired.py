"""Two runs over the same photos: is their difference one? People, not photos, are exchanged and drawn."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from privacy_exp.evaluation.statistics.power import detectable_difference
from privacy_exp.evaluation.statistics.resampling import (
    FEWEST_IDENTITIES,
    Array,
    Figure,
    exchange_test,
    ratio,
    resampled_sums,
)


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
