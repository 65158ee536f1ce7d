"""Intervals in which people, not photos, are the sample."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.stats import norm

Array = np.ndarray


@dataclass(frozen=True)
class Metric:
    """One figure with its interval; a figure that cannot be had is None with its reason.

    Attributes:
        value: the figure, or None.
        low: lower end of the 95 % interval, or None.
        high: upper end, or None.
        n: how many images it is over.
        reason: why there is no value, or a flag such as "below_gate".
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str | None = None


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
    """How many times larger the clustered variance of a rate is than the binomial one; at least 1."""
    n, rate = len(hits), float(np.mean(hits))
    binomial = rate * (1 - rate) / n
    names, index = np.unique(clusters, return_inverse=True)
    if binomial == 0 or len(names) < 2:
        return 1.0
    sums = np.bincount(index, weights=hits - rate)
    clustered = len(names) / (len(names) - 1) * float(np.sum(sums**2)) / n**2
    return max(1.0, clustered / binomial)


def wilson(rate: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a rate over n (possibly fractional) independent trials."""
    z = float(norm.ppf(0.5 + confidence / 2))
    centre = rate + z**2 / (2 * n)
    reach = z * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def resampled_sums(
    clusters: Int[Array, " n"], columns: Sequence[Shaped[Array, " n"]], draws: int, seed: int
) -> list[Float[Array, " draws"]]:
    """Sum of each column over identities drawn with replacement, once a draw; vectorised over draws.

    Args:
        clusters: identity of each image.
        columns: values of each image; booleans count as 0 and 1.
        draws: resamples of identities.
        seed: of the draws.
    """
    names, index = np.unique(clusters, return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws).astype(np.float64)
    return [counts @ np.bincount(index, weights=column) for column in columns]


def bootstrap_mean(values: Float[Array, " n"], clusters: Int[Array, " n"], draws: int = 2000, seed: int = 0) -> Metric:
    """Mean of per-image values with a percentile interval over resampled identities.

    Args:
        values: one an image.
        clusters: identity of each image.
        draws: resamples.
        seed: of the draws.
    """
    if len(values) == 0:
        return Metric(None, None, None, 0, "no images")
    sums, sizes = resampled_sums(clusters, [values, np.ones(len(values))], draws, seed)
    low, high = np.quantile(sums / sizes, [0.025, 0.975])
    return Metric(float(np.mean(values)), float(low), float(high), len(values))
