"""Intervals and tests in which people, not photos, are the sample."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.stats import binomtest, norm, rankdata

from privacy_exp.evaluation.statistics.beta_binomial import beta_binomial_interval
from privacy_exp.evaluation.statistics.resampling import Array, exchange_test, identity_sums, ratio, resampled_sums
from privacy_exp.types import Metric


def clustered_rate(
    hits: Bool[Array, " n"] | Float[Array, " n"], clusters: Shaped[Array, " n"], empty: str = "no images"
) -> Metric:
    """Share of hits with an interval in which people, not images, are the sample; see `clustered_interval`.

    Args:
        hits: one an image; expected hits in [0, 1] count in part.
        clusters: identity of each image.
        empty: the reason to state where there are no images.

    Example:
        >>> people = np.repeat(np.arange(20), 3)
        >>> print(clustered_rate(people < 5, people))
        0.250 (0.105-0.475), n=60
    """
    n = len(hits)
    if n == 0:
        return Metric(None, None, None, 0, empty)
    return Metric(float(np.mean(hits)), *clustered_interval(hits, clusters), n)


def clustered_interval(
    hits: Bool[Array, " n"] | Float[Array, " n"], clusters: Shaped[Array, " n"], trials: int | None = None
) -> tuple[float, float]:
    """The 95 % interval of a rate: the wider end, on either side, of two intervals over people.

    One is Wilson's at n / deff trials, deff = max(1, identity-clustered variance / binomial variance), the clustered
    variance being the linearised G / (G - 1) · Σ_g (Σ_{i in g} (hit_i - p))² / n². It assumes nothing of how people
    differ, but with a few dozen of them it covers down to 0.87. The other one is `beta_binomial_interval`, which covers
    where people differ as a beta distribution has it. Together they cover 0.94 to 0.98 of simulated studies of 20 to 40
    people (docs/results/coverage.md).

    Args:
        hits: one a trial; expected hits in [0, 1] count in part.
        clusters: identity of each trial.
        trials: as how many the hits count, at most, such as the photos that pairs are made of; None takes all.

    Reference: Wilson, Probable inference, the law of succession, and statistical inference, 1927;
        Kish, Survey Sampling, 1965.

    Example:
        >>> low, high = clustered_interval(np.zeros(60), np.repeat(np.arange(20), 3))
        >>> low, round(high, 3)
        (0.0, 0.161)
    """
    n, rate = len(hits), float(np.mean(hits))
    counted = n if trials is None else min(n, trials)
    low, high = wilson(rate, min(counted, n / design_effect(hits, clusters)))
    each, of = identity_sums([hits, np.ones(n)], clusters) * (counted / n)
    wider = beta_binomial_interval(each, of)
    return min(low, wider[0]), max(high, wider[1])


def design_effect(hits: Bool[Array, " n"] | Float[Array, " n"], clusters: Shaped[Array, " n"]) -> float:
    """How many times larger the clustered variance of a rate is than the binomial one; at least 1.

    At a rate of exactly 0 or 1 both are 0: nothing then says how alike the photos of a person are, and they count as
    one, n / G. One person's photos are one vote in any case.

    Args:
        hits: one an image.
        clusters: identity of each image.

    Example:
        >>> design_effect(np.array([1.0, 1, 1, 0, 0, 0]), np.array([0, 0, 0, 1, 1, 1]))
        6.0
    """
    n, rate = len(hits), float(np.mean(hits))
    binomial = rate * (1 - rate) / n
    names, index = np.unique(clusters, return_inverse=True)
    if binomial == 0 or len(names) == 1:
        return n / len(names)
    sums = np.bincount(index, weights=hits - rate)
    clustered = len(names) / (len(names) - 1) * float(np.sum(sums**2)) / n**2
    return max(1.0, clustered / binomial)


def wilson(rate: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a rate over n (possibly fractional) independent trials.

    Args:
        rate: in [0, 1].
        n: trials, above 0.
        confidence: of the interval.

    Example:
        >>> low, high = wilson(0.5, 100)
        >>> round(low, 3), round(high, 3)
        (0.404, 0.596)
    """
    z = float(norm.ppf(0.5 + confidence / 2))
    centre = rate + z**2 / (2 * n)
    reach = z * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # The interval holds the rate: at 0 and 1 rounding would leave it outside.
    return min(rate, max(0.0, (centre - reach) / scale)), max(rate, min(1.0, (centre + reach) / scale))


def bootstrap_mean(
    values: Float[Array, " n"],
    clusters: Shaped[Array, " n"],
    draws: int = 2000,
    seed: int = 0,
    empty: str = "no images",
) -> Metric:
    """Mean of per-image values with a percentile interval over resampled identities.

    Args:
        values: one an image.
        clusters: identity of each image.
        draws: resamples.
        seed: of the draws.
        empty: the reason to state where there are no images.

    Example:
        >>> print(bootstrap_mean(np.array([0.0, 1.0, 1.0, 0.0]), np.array([0, 0, 1, 1])))
        0.500 (0.500-0.500), n=4
    """
    if len(values) == 0:
        return Metric(None, None, None, 0, empty)
    sums, sizes = resampled_sums(clusters, [values, np.ones(len(values))], draws, seed)
    low, high = np.quantile(sums / sizes, [0.025, 0.975])
    return Metric(float(np.mean(values)), float(low), float(high), len(values))


def interval_of_maximum(drawn: Float[Array, "k draws"]) -> tuple[float, float]:
    """The 95 % interval of the largest of several figures, which stays valid although it was chosen by looking.

    High: the largest upper end of the figures' own percentile intervals. Low: the largest of their α-quantiles, α being
    so small that in 97.5 % of the draws no figure at all exceeds its own (1 - α)-quantile. For one figure this is its
    percentile interval. It leans upwards no less than the maximum itself does, but reaches far enough down: with eight
    equally good observers it covers 0.98, where the percentiles of the maximum cover 0.75 (docs/results/coverage.md).

    Args:
        drawn: each figure in every draw of people, the same people in all; NaN where a draw has no figure.

    Example:
        >>> one = np.linspace(0, 1, 1001)[None]
        >>> low, high = interval_of_maximum(one)
        >>> round(low, 3), round(high, 3)
        (0.025, 0.975)
    """
    drawn = drawn[np.isfinite(drawn).any(axis=1)]
    finite = np.isfinite(drawn)
    shares = [rankdata(own[known]) / known.sum() for own, known in zip(drawn, finite, strict=True)]
    highest = np.zeros(drawn.shape[1])
    for share, known in zip(shares, finite, strict=True):
        highest[known] = np.maximum(highest[known], share)
    alpha = 1 - float(np.quantile(highest[finite.any(axis=0)], 0.975))
    ends = [np.quantile(own[known], [alpha, 0.975]) for own, known in zip(drawn, finite, strict=True)]
    low, high = np.max(ends, axis=0)
    return float(low), float(high)


def sign_flip_test(
    a: Shaped[Array, " n"], b: Shaped[Array, " n"], clusters: Shaped[Array, " n"], draws: int = 10_000, seed: int = 0
) -> float | None:
    """Tests a difference of two paired means by p value, all images of an identity changing sign together.

    Two-sided, (1 + #{|T*| ≥ |T|}) / (1 + draws), so never 0; None under 20 identities.

    Args:
        a: one value an image in the first run; booleans count as 0 and 1.
        b: the same images in the second.
        clusters: identity of each image.
        draws: random sign patterns.
        seed: of the patterns.

    Reference: Phipson & Smyth, Permutation P-values should never be zero, 2010.

    Example:
        >>> people = np.arange(20)
        >>> sign_flip_test(people < 1, people < 0, people)
        1.0
    """
    columns = [np.stack([values.astype(np.float64), np.ones(len(values))]) for values in (a, b)]
    return exchange_test(columns[0], columns[1], clusters, ratio, draws, seed)


def exact_mcnemar(a: Bool[Array, " n"], b: Bool[Array, " n"]) -> float:
    """Two-sided exact p value of McNemar's test; it takes images as independent, which photos of one person are not.

    Args:
        a: hits in the first run.
        b: hits on the same images in the second.

    Reference: McNemar, Note on the sampling error of the difference between correlated proportions, 1947.

    Example:
        >>> exact_mcnemar(np.array([True] * 6), np.array([False] * 6))
        0.03125
    """
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b).pvalue)


def holm(pvalues: Sequence[float]) -> list[float]:
    """Corrects p values for how many were looked at, in the order they came.

    Args:
        pvalues: of all comparisons of one question.

    Reference: Holm, A simple sequentially rejective multiple test procedure, 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(pvalues, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    return [float(value) for value in corrected]
