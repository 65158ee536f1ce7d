"""Closed-set identification: at which rank a gallery names the person on a probe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from privacy_exp.evaluation.similarity import rounded
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.types import Metric, UserError

Array = np.ndarray

RANKS = (1, 5, 10)

BLOCK = 512
"""Probes at a time: 20,000 photos never need their full matrix of similarities."""


@dataclass(frozen=True)
class Identification:
    """What a gallery says about each probe.

    Attributes:
        hits: probability that the true identity is among the first k, a column a rank; ties count as their
            expectation under random order. 0 where `known` is false.
        known: whether the gallery holds another photo of the probe's identity; probes without take no part.
        best_other: highest similarity to a photo of another identity; NaN where embedding failed.
        ranks: k of each column.
        num_identities: N, identities in the gallery; a guess is right at rank k with probability k / N. Where probes
            have galleries of different sizes, the N of the mean chance.
    """

    hits: Float[Array, "n ranks"]
    known: Bool[Array, " n"]
    best_other: Float[Array, " n"]
    ranks: tuple[int, ...]
    num_identities: int | float

    @property
    def rank_1(self) -> Float[Array, " n"]:
        """Expected hits at rank 1 of every probe, known or not."""
        return self.hits[:, self.ranks.index(1)]


def identify(
    probes: Float[Array, "n d"],
    probe_identities: Shaped[Array, " n"],
    gallery: Float[Array, "m d"],
    gallery_identities: Shaped[Array, " m"],
    probe_groups: Shaped[Array, " n"] | None = None,
    gallery_groups: Shaped[Array, " m"] | None = None,
    ranks: Sequence[int] = RANKS,
) -> Identification:
    """Ranks the gallery's identities for each probe by their most similar photo.

    Args:
        probes: rows of unit norm; NaN rows are faces that could not be embedded: all identities tie for them.
        probe_identities: who is on them.
        gallery: rows of unit norm.
        gallery_identities: who is on them.
        probe_groups: of each probe: photos of the gallery in the same group (the very photo, the same shoot, a
            near-duplicate) are left out for it; None where the gallery holds none.
        gallery_groups: of each photo of the gallery.
        ranks: k, 1 among them.

    Raises:
        UserError: fewer than two identities in the gallery.
    """
    names, columns = np.unique(gallery_identities, return_inverse=True)
    if len(names) < 2:
        raise UserError(f"`gallery` must hold at least 2 identities to tell apart, but got {len(names)}.")
    apart = None
    if probe_groups is not None and gallery_groups is not None:
        apart = probe_groups, gallery_groups
    hits = np.zeros((len(probes), len(ranks)))
    known = np.zeros(len(probes), dtype=bool)
    best_other = np.full(len(probes), np.nan)
    place = np.searchsorted(names, probe_identities)
    present = (place < len(names)) & (names[np.minimum(place, len(names) - 1)] == probe_identities)
    for rows, best in _best_by_identity(probes, gallery, columns, len(names), apart):
        index = np.arange(len(best))
        true = np.where(present[rows], place[rows], 0)
        own_best = best[index, true]
        known[rows] = present[rows] & (own_best > -np.inf)
        failed = np.isnan(probes[rows]).any(1)
        hits[rows] = np.where(known[rows, None], _expected_hits(best, own_best, ranks), 0.0)
        best[index[present[rows]], true[present[rows]]] = -np.inf
        best_other[rows] = np.where(failed, np.nan, best.max(1))
    return Identification(hits, known, best_other, tuple(ranks), len(names))


def rank_metrics(found: Identification, clusters: Shaped[Array, " n"]) -> dict[str, Metric]:
    """`rank_1`, `rank_1_normalised` and so on: r_k, and (r_k - k / N) / (1 - k / N), with intervals over identities.

    Args:
        found: see `identify`.
        clusters: identity of each probe.
    """
    metrics = {}
    for column, k in enumerate(found.ranks):
        empty = "no identity has a second photo to be found by"
        rate = clustered_rate(found.hits[found.known, column], clusters[found.known], empty=empty)
        metrics[f"rank_{k}"] = rate
        metrics[f"rank_{k}_normalised"] = normalised(rate, k / found.num_identities)
    return metrics


def normalised(rate: Metric, chance: float) -> Metric:
    """(rate - chance) / (1 - chance), interval included: 0 is a guess, 1 is always.

    Args:
        rate: a share in [0, 1].
        chance: what a guess reaches.
    """
    if chance >= 1:
        return Metric(None, None, None, rate.n, "as many ranks as identities: a guess is always right")
    if rate.value is None or rate.low is None or rate.high is None:
        return rate
    value, low, high = ((x - chance) / (1 - chance) for x in (rate.value, rate.low, rate.high))
    return Metric(value, low, high, rate.n, rate.reason)


def _best_by_identity(
    probes: Float[Array, "n d"],
    gallery: Float[Array, "m d"],
    columns: Int[Array, " m"],
    num_identities: int,
    apart: tuple[Shaped[Array, " n"], Shaped[Array, " m"]] | None,
) -> Iterator[tuple[slice, Float[Array, "b k"]]]:
    """Highest similarity to each identity's photos, block by block; -inf where all of them are of the probe's group."""
    order = np.argsort(columns, kind="stable")
    starts = np.searchsorted(columns[order], np.arange(num_identities))
    for start in range(0, len(probes), BLOCK):
        rows = slice(start, min(start + BLOCK, len(probes)))
        similarity = rounded(np.nan_to_num(probes[rows]) @ gallery[order].T)
        if apart is not None:
            similarity[apart[0][rows, None] == apart[1][order]] = -np.inf
        yield rows, np.maximum.reduceat(similarity, starts, axis=1)


def _expected_hits(
    best: Float[Array, "b k"], true: Float[Array, " b"], ranks: Sequence[int]
) -> Float[Array, "b ranks"]:
    """Probability that the true identity is among the first k when those tied with it stand in random order."""
    before = (best > true[:, None]).sum(1)
    tied = (best == true[:, None]).sum(1)
    return np.stack([np.clip((k - before) / tied, 0, 1) for k in ranks], axis=1)
