"""Verification: thresholds from impostor pairs of originals, and how many pairs of one person they accept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from privacy_exp.evaluation.similarity import rounded
from privacy_exp.evaluation.statistics.intervals import clustered_interval
from privacy_exp.types import Metric, UserError

Array = np.ndarray

PAIRS_NEEDED = 30
"""Impostor pairs that must lie above a threshold for it to be known: at least so many / FAR pairs of photos in all.

Fewer *pairs of people* than this leave a threshold uncertain; see `Threshold.few_people`.
"""

BLOCK = 512
"""Rows at a time: 20,000 photos never need their full matrix of similarities."""


@dataclass(frozen=True)
class Threshold:
    """Where a judge says "the same person" with a false accept rate of `far`.

    Attributes:
        far: asked false accept rate.
        value: the lowest similarity that is accepted, or None.
        pairs: impostor pairs it comes from.
        reason: why there is none.
        pairs_of_people: as many pairs of people, equally often among the pairs of photos above it, would say as much
            as those that are: (Σ n)² / Σ n², n photos' pairs each; None where there is no threshold.
    """

    far: float
    value: float | None
    pairs: int
    reason: str | None = None
    pairs_of_people: float | None = None

    @property
    def few_people(self) -> bool:
        """Whether so few pairs of people decide it that other people would put it elsewhere."""
        return self.pairs_of_people is not None and self.pairs_of_people < PAIRS_NEEDED


@dataclass(frozen=True)
class Genuine:
    """Pairs of two photos of one person.

    Attributes:
        similarity: of each pair; NaN where a face could not be embedded.
        probe: row of the probe in each pair.
    """

    similarity: Float[Array, " pairs"]
    probe: Int[Array, " pairs"]


def far_name(far: float) -> str:
    """0.01 as `1e-2`, as metrics are named."""
    mantissa, exponent = f"{far:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def thresholds(
    embeddings: Float[Array, "n d"], identities: Shaped[Array, " n"], fars: Sequence[float]
) -> list[Threshold]:
    """τ(F) for each F: just above the similarity that a share F of the impostor pairs exceeds.

    With P pairs, floor(F · P) of them lie at or above τ, fewer where similarities tie. Each pair of photos counts once.

    Args:
        embeddings: of originals that the judge was not trained on, rows of unit norm.
        identities: who is on them.
        fars: false accept rates F in (0, 1).

    Raises:
        UserError: a rate outside (0, 1).
    """
    wrong = [far for far in fars if not 0 < far < 1]
    if wrong:
        raise UserError(f"`fars` must lie in (0, 1), but got {wrong[0]}.")
    pairs = impostor_pairs(identities)
    usable = [far for far in fars if pairs * far >= PAIRS_NEEDED * (1 - 1e-9)]
    keep = int(np.floor(max(usable) * pairs + 1e-9)) + 1 if usable else 0
    top, whose = np.empty(0), np.empty(0, dtype=np.int64)
    for block, pair in impostor_similarities(embeddings, identities) if usable else ():
        near = block >= top[0] if len(top) == keep else np.ones(len(block), dtype=bool)
        top, whose = np.concatenate([top, block[near]]), np.concatenate([whose, pair[near]])
        order = np.argsort(top, kind="stable")[-keep:]
        top, whose = top[order], whose[order]
    found = []
    for far in fars:
        if far in usable:
            next_below = top[-(int(np.floor(far * pairs + 1e-9)) + 1)]
            value = float(np.nextafter(next_below, np.inf))
            found.append(Threshold(far, value, pairs, pairs_of_people=_effective(whose[top >= value])))
        else:
            needed = int(np.ceil(PAIRS_NEEDED / far - 1e-9))
            found.append(Threshold(far, None, pairs, f"{pairs} impostor pairs, {needed} needed"))
    return found


def impostor_pairs(identities: Shaped[Array, " n"]) -> int:
    """How many pairs of photos show two people."""
    _, counts = np.unique(identities, return_counts=True)
    n = int(counts.sum())
    return (n * (n - 1) - int((counts * (counts - 1)).sum())) // 2


def _effective(whose: Int[Array, " pairs"]) -> float:
    """How many pairs of people stand behind pairs of photos, those that hold many of them counting as one each."""
    counts = np.unique(whose, return_counts=True)[1]
    return float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0.0


def impostor_similarities(
    embeddings: Float[Array, "n d"], identities: Shaped[Array, " n"]
) -> Iterator[tuple[Float[Array, " pairs"], Int[Array, " pairs"]]]:
    """Similarity of every pair of photos of two people, once each, and a number for the two people, block by block."""
    names, labels = np.unique(identities, return_inverse=True)
    for start in range(0, len(embeddings), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(embeddings)))
        similarity = embeddings[rows] @ embeddings[start:].T
        later = np.arange(start, len(embeddings)) > rows[:, None]
        one, other = labels[rows, None], labels[None, start:]
        apart = later & (one != other)
        people = np.minimum(one, other) * len(names) + np.maximum(one, other)
        yield rounded(similarity[apart]), people[apart]


def genuine_pairs(
    references: Float[Array, "n d"],
    probes: Float[Array, "n d"],
    identities: Shaped[Array, " n"],
    groups: Shaped[Array, " n"] | None = None,
) -> Genuine:
    """s(reference_k, probe_i) for all ordered pairs with y_k = y_i that are not of one group; k ≠ i in any case.

    Args:
        references: rows of unit norm, one a photo.
        probes: the same photos, perhaps anonymised.
        identities: who is on them.
        groups: of photos that are nearly one (the same shoot); None: each is on its own.

    Example:
        >>> genuine_pairs(np.eye(3), np.eye(3), np.array([0, 0, 1])).probe.tolist()
        [1, 0]
    """
    together = np.arange(len(identities)) if groups is None else groups
    similarity, probe = [np.empty(0)], [np.empty(0, dtype=np.int64)]
    order = np.argsort(identities, kind="stable")
    for rows in np.split(order, np.unique(identities[order], return_index=True)[1][1:]):
        block = references[rows] @ probes[rows].T
        other = together[rows, None] != together[rows]
        similarity.append(rounded(block[other]))
        probe.append(np.broadcast_to(rows, block.shape)[other])
    return Genuine(np.concatenate(similarity), np.concatenate(probe))


def same_photo(references: Float[Array, "n d"], probes: Float[Array, "n d"]) -> Float[Array, " n"]:
    """s(reference_i, probe_i), compared with thresholds as all similarities are.

    Args:
        references: rows of unit norm, one a photo.
        probes: the same photos, perhaps anonymised.

    Example:
        >>> same_photo(np.eye(2), np.eye(2))
        array([1., 1.])
    """
    return rounded((references * probes).sum(1))


def accept_rate(pairs: Genuine, threshold: Threshold, identities: Shaped[Array, " n"]) -> Metric:
    """Share of genuine pairs at or above the threshold (TAR), with an interval over identities.

    The pairs count as at most so many trials as there are photos: the pairs of one photo are no further people. A pair
    with a face that could not be embedded is not accepted.

    Args:
        pairs: see `genuine_pairs`.
        threshold: see `thresholds`.
        identities: of the photos.
    """
    photos = len(np.unique(pairs.probe))
    if threshold.value is None or not photos:
        return Metric(None, None, None, photos, threshold.reason or "no identity has two photos")
    hits = pairs.similarity >= threshold.value
    return Metric(float(np.mean(hits)), *clustered_interval(hits, identities[pairs.probe], photos), photos)


def accepted_share(pairs: Genuine, threshold: Threshold, photos: int) -> Float[Array, " n"]:
    """Share of each photo's own pairs that are accepted; NaN where it has none, or there is no threshold."""
    counts = np.bincount(pairs.probe, minlength=photos)
    if threshold.value is None:
        return np.full(photos, np.nan)
    hits = np.bincount(pairs.probe, weights=pairs.similarity >= threshold.value, minlength=photos)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, hits / counts, np.nan)


def equal_error_rate(
    embeddings: Float[Array, "n d"], identities: Shaped[Array, " n"], groups: Shaped[Array, " n"] | None = None
) -> float | None:
    """Where false accepts and false rejects are equally frequent; None without pairs of either kind.

    Both rates are taken at each genuine similarity; the mean of the two where they are closest.

    Args:
        embeddings: of originals, rows of unit norm.
        identities: who is on them.
        groups: see `genuine_pairs`.

    Example:
        >>> equal_error_rate(np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]]), np.array([0, 0, 1, 1]))
        0.0
    """
    genuine = np.sort(genuine_pairs(embeddings, embeddings, identities, groups).similarity)
    pairs = impostor_pairs(identities)
    if not len(genuine) or not pairs:
        return None
    below = np.zeros(len(genuine) + 1, dtype=np.int64)
    for block, _ in impostor_similarities(embeddings, identities):
        below += np.bincount(np.searchsorted(genuine, block, side="right"), minlength=len(below))
    false_accepts = np.cumsum(below[::-1])[::-1][1:] / pairs  # impostors at or above each genuine similarity
    false_rejects = np.arange(len(genuine)) / len(genuine)
    closest = int(np.argmin(np.abs(false_accepts - false_rejects)))
    return float(false_accepts[closest] + false_rejects[closest]) / 2
