"""Identities drawn with replacement, and exchanged between two runs: people, not photos, are the sample."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Shaped

Array = np.ndarray

Figure = Callable[[Float[Array, "k draws"]], Float[Array, " draws"]]
"""From sums of k columns over images, in each draw, to the figure of each draw; NaN where it has none."""

FEWEST_IDENTITIES = 20
"""With fewer people nothing is tested: one of them would decide."""


def ratio(sums: Float[Array, "k draws"]) -> Float[Array, " draws"]:
    """First column over second: a mean where the second counts images, a rate among those that the second marks."""
    with np.errstate(invalid="ignore", divide="ignore"):
        quotient: Float[Array, " draws"] = sums[0] / sums[1]
    return np.where(sums[1] > 0, quotient, np.nan)


def identity_sums(columns: Sequence[Shaped[Array, " n"]], clusters: Shaped[Array, " n"]) -> Float[Array, "k g"]:
    """Sum of each column over each identity's images, identities in order.

    Args:
        columns: values of each image; booleans count as 0 and 1.
        clusters: identity of each image.
    """
    names, index = np.unique(clusters, return_inverse=True)
    sums = [np.bincount(index, weights=column, minlength=len(names)) for column in columns]
    return np.stack(sums).astype(np.float64)


def resampled_sums(
    clusters: Shaped[Array, " n"], columns: Sequence[Shaped[Array, " n"]], draws: int, seed: int
) -> list[Float[Array, " draws"]]:
    """Sum of each column over identities drawn with replacement, once a draw; vectorised over draws.

    Args:
        clusters: identity of each image.
        columns: values of each image; booleans count as 0 and 1.
        draws: resamples of identities.
        seed: of the draws.
    """
    sums = identity_sums(columns, clusters)
    people = sums.shape[1]
    rng = np.random.default_rng(seed)
    parts = []
    for size in chunks(draws, people):
        drawn = rng.integers(0, people, (size, people)) + people * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * people).reshape(size, people)
        parts.append(sums @ counts.T)
    return list(np.concatenate(parts, axis=1))


def chunks(draws: int, width: int, cells: int = 2**21) -> list[int]:
    """Sizes of parts of `draws` whose draws × width tables have at most about `cells` numbers."""
    size = max(1, min(draws, cells // max(width, 1)))
    whole, rest = divmod(draws, size)
    return [size] * whole + [rest] * (rest > 0)


def exchange_test(
    a: Float[Array, "k n"],
    b: Float[Array, "k n"],
    clusters: Shaped[Array, " n"],
    figure: Figure,
    draws: int = 10_000,
    seed: int = 0,
) -> float | None:
    """The sign-flip test for any figure of sums: an identity's images swap their runs together.

    Args:
        a: columns of the first run.
        b: the same of the second, images in the same order.
        clusters: identity of each image.
        figure: what is compared.
        draws: random exchanges.
        seed: of the exchanges.
    """
    of_a, of_b = identity_sums(list(a), clusters), identity_sums(list(b), clusters)
    if of_a.shape[1] < FEWEST_IDENTITIES:
        return None
    total_a, total_b = of_a.sum(axis=1, keepdims=True), of_b.sum(axis=1, keepdims=True)
    observed = abs(float(figure(total_a)[0] - figure(total_b)[0]))
    if not math.isfinite(observed):
        return None
    step = of_b - of_a
    step = step[:, (step != 0).any(axis=0)]  # who is the same in both runs changes nothing by being exchanged
    rng = np.random.default_rng(seed)
    extreme = 0
    for size in chunks(draws, step.shape[1]):
        exchanged = (rng.random((step.shape[1], size)) < 0.5).astype(np.float64)
        shift = step @ exchanged
        difference = np.abs(figure(total_a + shift) - figure(total_b - shift))
        extreme += int(np.sum(~(difference < observed - 1e-9)))  # no figure in a draw counts against the difference
    return (1 + extreme) / (1 + draws)
