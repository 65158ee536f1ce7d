"""Tested people looked up among originals by a head that learnt from others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from privacy_exp.data.identity_split import seeded_order
from privacy_exp.evaluation.attackers.link_head import Choice, LinkHead, Vectors, check_disjoint, learn
from privacy_exp.evaluation.attackers.several_photos import mean_of_rows
from privacy_exp.evaluation.identification import RANKS, Identification, identify
from privacy_exp.evaluation.similarity import rounded
from privacy_exp.evaluation.verification import PAIRS_NEEDED

Array = np.ndarray

MOST = 2000
"""Originals that set a threshold, at most."""


@dataclass(frozen=True)
class Side:
    """Tested people, and the head that looks for them.

    Attributes:
        people: who is tested.
        head: learnt from others.
        choice: how it was trained.
    """

    people: list[str]
    head: LinkHead
    choice: Choice


@dataclass(frozen=True)
class Operating:
    """What a head accepts where it accepts one stranger in a hundred.

    Attributes:
        accepted: of each pair of an anonymised photo and another original of its person.
        probe: row of the photo in each pair.
        found: whether each photo's person comes first, and above the threshold; None where nothing sets one.
        impostors: pairs of two people that set the threshold of a pair.
        searches: for people who are not in the gallery, which set the threshold of a search.
        false_accepts: share of pairs of an anonymised photo and another person that are accepted.
    """

    accepted: Bool[Array, " pairs"] | None
    probe: Int[Array, " pairs"]
    found: Bool[Array, " n"] | None
    impostors: int
    searches: int
    false_accepts: float | None


def sides(probes: Vectors, originals: Vectors, halves: Sequence[Sequence[str]], seed: int, steps: int) -> list[Side]:
    """Each half of the people, and a head that learnt from the other.

    Args:
        probes: anonymised photos to learn from, of all people.
        originals: of all people.
        halves: two lists of people.
        seed: see `learn`.
        steps: see `learn`.
    """
    found = []
    for learnt, tested in (halves, halves[::-1]):
        check_disjoint(learnt, tested)
        found.append(Side(list(tested), *learn(probes.of(learnt), originals.of(learnt), seed, steps)))
    return found


def look_up(
    halves: Sequence[Side], probes: Vectors, originals: Vectors, rows: Int[Array, "probes n"] | None = None
) -> Identification:
    """Ranks the originals of each side's people for each of its probes; see `identify`.

    Args:
        halves: see `sides`.
        probes: photos of the tested people.
        originals: the gallery.
        rows: of the photos that are put together in each probe, all of one person; None: each photo by itself.
    """
    rows = np.arange(len(probes.people))[:, None] if rows is None else rows
    people = probes.people[rows[:, 0]]
    parts = []
    for side in halves:
        own = np.flatnonzero(np.isin(people, side.people))
        gallery = originals.of(side.people).usable()
        means = mean_of_rows(side.head.probes(probes.rows), rows[own])
        shown = side.head.originals(gallery.rows)
        groups = probes.groups[rows[own, 0]]
        parts.append((own, identify(means, people[own], shown, gallery.people, groups, gallery.groups)))
    whole = Identification(
        np.zeros((len(rows), len(RANKS))),
        np.zeros(len(rows), dtype=bool),
        np.full(len(rows), np.nan),
        RANKS,
        len(rows) / sum(len(own) / part.num_identities for own, part in parts),
    )
    for own, part in parts:
        whole.hits[own], whole.known[own], whole.best_other[own] = part.hits, part.known, part.best_other
    return whole


def untrained(halves: Sequence[Side]) -> list[Side]:
    """The same people, looked for by the embedding as it is."""
    return [replace(side, head=LinkHead(side.head.size), choice=Choice()) for side in halves]


def first_photos(originals: Vectors, count: int, seed: int) -> Vectors:
    """At most so many photos of each person, the first of a seeded order."""
    place = {group: i for i, group in enumerate(seeded_order(set(originals.groups), seed, "gallery"))}
    order = np.array([place[group] for group in originals.groups])
    kept = []
    for person in np.unique(originals.people):
        own = np.flatnonzero(originals.people == person)
        kept += own[np.argsort(order[own], kind="stable")][:count].tolist()
    return originals[np.sort(np.array(kept, dtype=np.int64))]


def operate(halves: Sequence[Side], probes: Vectors, originals: Vectors, clean: Vectors, far: float) -> Operating:
    """What is accepted at a false accept rate that holds on originals.

    Two thresholds, each just above what a share `far` exceeds: of pairs of originals of two tested people, and of the
    best of each original's similarities to a gallery without its person. No anonymised picture sets one.

    Args:
        halves: see `sides`.
        probes: anonymised photos of the tested people.
        originals: the gallery.
        clean: further originals of the tested people, which set thresholds together with the gallery.
        far: false accept rate in (0, 1).
    """
    accepted, probe, false, impostors, searches = [], [], [], 0, 0
    found: Array | None = np.zeros(len(probes.people), dtype=bool)
    for side in halves:
        gallery = originals.of(side.people).usable()
        strangers = Vectors(*(np.concatenate([getattr(v, k) for v in (gallery, clean.of(side.people).usable())])
                              for k in ("rows", "people", "groups")))  # fmt: skip
        strangers = strangers[np.arange(0, len(strangers.people), -(-len(strangers.people) // MOST))]
        own = np.flatnonzero(np.isin(probes.people, side.people))
        asked, shown = probes[own], side.head.originals(gallery.rows)
        other = _similar(side, strangers, shown, strangers.people[:, None] != gallery.people)
        pair = threshold_at(other[np.isfinite(other)], far, PAIRS_NEEDED)
        search = threshold_at(other.max(axis=1), far, 1)
        impostors, searches = impostors + int(np.isfinite(other).sum()), searches + len(other)
        mine = asked.people[:, None] == gallery.people
        right = _similar(side, asked, shown, mine & (asked.groups[:, None] != gallery.groups))
        wrong = _similar(side, asked, shown, ~mine)
        probe.append(own[np.nonzero(np.isfinite(right))[0]])
        accepted.append(None if pair is None else right[np.isfinite(right)] >= pair)
        false.append(None if pair is None else wrong[np.isfinite(wrong)] >= pair)
        best = right.max(axis=1)
        if search is None:
            found = None
        elif found is not None:
            found[own] = (best >= search) & (best > wrong.max(axis=1))
    known = [hits for hits in accepted if hits is not None]
    complete = len(known) == len(halves)
    return Operating(
        np.concatenate(known) if complete else None,
        np.concatenate(probe),
        found,
        impostors,
        searches,
        float(np.mean(np.concatenate([hits for hits in false if hits is not None]))) if complete else None,
    )


def _similar(side: Side, probes: Vectors, shown: Float[Array, "m d"], which: Bool[Array, "n m"]) -> Float[Array, "n m"]:
    """Similarity to the gallery where it is asked for, -inf elsewhere; -1 for photos that could not be embedded."""
    similarity = rounded(np.nan_to_num(side.head.probes(probes.rows)) @ shown.T)
    similarity[np.isnan(probes.rows).any(axis=1)] = -1.0
    similarity[~which] = -np.inf
    return similarity


def threshold_at(similarities: Float[Array, " n"], far: float, needed: float) -> float | None:
    """Just above the similarity that a share `far` exceeds; None with fewer than needed / far of them."""
    if len(similarities) * far < needed * (1 - 1e-9):
        return None
    return float(np.nextafter(np.sort(similarities)[-(int(len(similarities) * far + 1e-9) + 1)], np.inf))
