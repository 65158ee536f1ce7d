"""An interval for a rate whose trials come in clusters, when how alike a person's photos are is not known either."""

import numpy as np
from jaxtyping import Float
from scipy.special import expit, gammaln, logit

Array = np.ndarray

RATE_PRIOR = 0.75
"""Beta(¾, ¾) of the mean rate."""

ALIKENESS_PRIOR = 0.5
"""Beta(½, ½) of the intra-person correlation, Jeffreys' for a share."""

RATES, CORRELATIONS = (1e-7, 61), (1e-5, 25)
"""Nearest to 0 and 1, and points, of the first grids; later grids lie where the earlier ones found anything."""

REFINED, FINAL = 3, 241
"""How often the grids shrink, and how many rates the last one has."""

NEGLIGIBLE = 14.0
"""Log density below the highest from which nothing counts: e^-14."""


def beta_binomial_interval(
    hits: Float[Array, " g"], trials: Float[Array, " g"], confidence: float = 0.95
) -> tuple[float, float]:
    """Equal-tailed posterior interval of the mean rate in a beta-binomial model, over all intra-person correlations.

    Each person has a rate of its own, drawn from the beta distribution with mean p and correlation ρ. p has a
    Beta(¾, ¾) prior and ρ has Jeffreys' Beta(½, ½): chosen for coverage, see docs/results/coverage.md. Where every
    trial hits, or none does, the interval ends at 1, or at 0.

    Args:
        hits: of each person; parts of a hit count in part.
        trials: of each person, above 0; parts count in part, too.
        confidence: share of the posterior inside.

    Reference: Williams, The analysis of binary responses from toxicological experiments involving reproduction and
        teratogenicity, 1975 (the model).

    Example:
        >>> low, high = beta_binomial_interval(np.array([3.0, 0.0, 1.0, 2.0]), np.array([3.0, 3.0, 3.0, 3.0]))
        >>> round(low, 2), round(high, 2)
        (0.2, 0.8)
    """
    rates, correlations = (np.linspace(logit(edge), -logit(edge), points) for edge, points in (RATES, CORRELATIONS))
    for points in (*[len(rates)] * REFINED, FINAL):
        posterior = _log_posterior(hits, trials, rates, correlations)
        rates = _around(rates, posterior.max(axis=1), points)
        correlations = _around(correlations, posterior.max(axis=0), len(correlations))
    posterior = _log_posterior(hits, trials, rates, correlations)
    density = np.exp(posterior - posterior.max()).sum(axis=1)
    below = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    tail = (1 - confidence) / 2
    low, high = expit(np.interp(np.array([tail, 1 - tail]) * below[-1], below, rates))
    return float(low) if hits.any() else 0.0, float(high) if (hits < trials).any() else 1.0


def _log_posterior(
    hits: Float[Array, " g"], trials: Float[Array, " g"], rates: Float[Array, " p"], correlations: Float[Array, " r"]
) -> Float[Array, "p r"]:
    """Log density on a grid of logits, up to a constant; the priors are those of the logits."""
    p, rho = expit(rates)[:, None], expit(correlations)[None, :]
    size = (1 - rho) / rho  # the beta distribution's parameters are p · size and (1 - p) · size
    likelihood = _rising(p * size, hits) + _rising((1 - p) * size, trials - hits) - _rising(size, trials)
    prior = RATE_PRIOR * np.log(p * (1 - p)) + ALIKENESS_PRIOR * np.log(rho * (1 - rho))
    return np.asarray(likelihood + prior)


def _rising(base: Float[Array, "*grid"], steps: Float[Array, " g"]) -> Float[Array, "*grid"]:
    """Σ log Γ(base + step) / Γ(base) over the steps."""
    total = np.zeros_like(base)
    if (steps == np.floor(steps)).all():  # the factors one by one, each as often as there are steps beyond it
        beyond = np.cumsum(np.bincount(steps.astype(np.int64))[::-1])[::-1][1:]
        for i, count in enumerate(beyond):
            total += count * np.log(base + i)
        return total
    for step, count in zip(*np.unique(steps, return_counts=True), strict=True):
        total += count * (gammaln(base + step) - gammaln(base))
    return total


def _around(grid: Float[Array, " k"], highest: Float[Array, " k"], points: int) -> Float[Array, " m"]:
    """So many points where the density is not negligible, and a step of the grid beyond."""
    kept = np.flatnonzero(highest > highest.max() - NEGLIGIBLE)
    return np.linspace(grid[max(kept[0] - 1, 0)], grid[min(kept[-1] + 1, len(grid) - 1)], points)
