"""Intervals and tests in which people, not photos, are the sample."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.stats import binomtest, norm

from privacy_exp.evaluation.statistics.resampling import Array, exchange_test, ratio, resampled_sums
from privacy_exp.types import Metric


def clustered_rate(
    hits: Bool[Array, " n"] | Float[Array, " n"], clusters: Shaped[Array, " n"], empty: str = "no images"
) -> Metric:
    """Share of hits with a Wilson interval at the effective sample size n / deff.

    deff = max(1, identity-clustered variance / binomial variance), the clustered variance being the linearised
    G / (G - 1) · Σ_g (Σ_{i in g} (hit_i - p))² / n².

    Args:
        hits: one an image; expected hits in [0, 1] count in part.
        clusters: identity of each image.
        empty: the reason to state where there are no images.

    Reference: Wilson, Probable inference, the law of succession, and statistical inference, 1927;
        Kish, Survey Sampling, 1965.
    """
    n = len(hits)
    if n == 0:
        return Metric(None, None, None, 0, empty)
    rate = float(np.mean(hits))
    low, high = wilson(rate, n / design_effect(hits, clusters))
    return Metric(rate, low, high, n)


def design_effect(hits: Bool[Array, " n"] | Float[Array, " n"], clusters: Shaped[Array, " n"]) -> float:
    """How many times larger the clustered variance of a rate is than the binomial one; at least 1.

    At a rate of exactly 0 or 1 both are 0: nothing then says how alike the photos of a person are, and they count as
    one, n / G. One person's photos are one vote in any case.
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
    """Wilson's score interval for a rate over n (possibly fractional) independent trials."""
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
    """
    if len(values) == 0:
        return Metric(None, None, None, 0, empty)
    sums, sizes = resampled_sums(clusters, [values, np.ones(len(values))], draws, seed)
    low, high = np.quantile(sums / sizes, [0.025, 0.975])
    return Metric(float(np.mean(values)), float(low), float(high), len(values))


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
    """
    columns = [np.stack([values.astype(np.float64), np.ones(len(values))]) for values in (a, b)]
    return exchange_test(columns[0], columns[1], clusters, ratio, draws, seed)


def exact_mcnemar(a: Bool[Array, " n"], b: Bool[Array, " n"]) -> float:
    """Two-sided exact p value of McNemar's test; it takes images as independent, which photos of one person are not.

    Args:
        a: hits in the first run.
        b: hits on the same images in the second.

    Reference: McNemar, Note on the sampling error of the difference between correlated proportions, 1947.
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
    """
    p = np.asarray(pvalues, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    return [float(value) for value in corrected]
