"""Whom any of several observers recognises, as one loss a person, and what can be certified of their mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from privacy_exp.evaluation.similarity import rounded
from privacy_exp.evaluation.statistics.certificate import p_value, people_needed, sequences, upper_bound
from privacy_exp.types import UserError

Array = np.ndarray

FEWEST = 20
"""People without whom nothing is certified."""

Losses = Mapping[float, Float[Array, " people"]]
"""Share of the frame that was hidden to what each person lost there."""


@dataclass(frozen=True)
class View:
    """What one observer sees of the calibrating people.

    Attributes:
        probes: anonymised photos, rows of unit norm; NaN where embedding failed.
        originals: of the same photos.
        people: who is on them.
        groups: of each photo; photos of one group are never held against each other.
        threshold: similarity from which two photos show one person; None with distractors.
        distractors: originals of other people, whom a person must be told from; None with a threshold.
    """

    probes: Float[Array, "n d"]
    originals: Float[Array, "n d"]
    people: Shaped[Array, " n"]
    groups: Shaped[Array, " n"]
    threshold: float | None = None
    distractors: Float[Array, "m d"] | None = None


def recognised(view: View) -> Float[Array, " n"]:
    """Whether each anonymised photo is taken for its person, by the best of that person's other originals.

    With a threshold: one of them is at least so similar. With distractors: one of them is more similar than every
    distractor, a tie counting half. Other calibrating people play no part, so that losses are independent. A photo that
    could not be embedded is not recognised; NaN where a person has no photo of another group.

    Args:
        view: see there.
    """
    found = np.full(len(view.people), np.nan)
    for person in np.unique(view.people):
        rows = np.flatnonzero(view.people == person)
        similar = rounded(np.nan_to_num(view.probes[rows]) @ np.nan_to_num(view.originals[rows]).T)
        other = view.groups[rows][:, None] != view.groups[rows]
        other &= np.isfinite(view.originals[rows]).all(axis=1)
        best = np.where(other, similar, -np.inf).max(axis=1)
        hits = best >= view.threshold if view.threshold is not None else _first(view, rows, best)
        embedded = np.isfinite(view.probes[rows]).all(axis=1)
        found[rows] = np.where(other.any(axis=1), np.where(embedded, hits, 0.0), np.nan)
    return found


def _first(view: View, rows: Array, best: Float[Array, " k"]) -> Float[Array, " k"]:
    assert view.distractors is not None  # noqa: S101  a view has one of the two
    strangers = rounded(np.nan_to_num(view.probes[rows]) @ view.distractors.T).max(axis=1)
    return np.where(best > strangers, 1.0, np.where(best == strangers, 0.5, 0.0))


def losses_of(hits: Sequence[Float[Array, " n"]], people: Shaped[Array, " n"]) -> dict[str, float]:
    """Person to the share of photos in which any observer recognises that person, in the order of their names.

    Args:
        hits: see `recognised`, one array an observer; photos of NaN are left out, and people who have no others.
        people: who is on each photo.

    Example:
        >>> losses_of([np.array([1.0, 0, 0, np.nan]), np.zeros(4)], np.array(["ann", "ann", "bob", "eve"]))
        {'ann': 0.5, 'bob': 0.0}
    """
    any_of = np.max(np.stack(list(hits)), axis=0)
    return {
        str(person): float(any_of[(people == person) & ~np.isnan(any_of)].mean())
        for person in np.unique(people[~np.isnan(any_of)])
    }


@dataclass(frozen=True)
class Step:
    """One hypothesis, "more than α are recognised at this ratio", and whether it is rejected.

    Attributes:
        ratio: of the frame that is hidden; None for a method that chooses its own area.
        risk: mean loss.
        p: p value.
        bound: the risk lies below it with the confidence of this sequence taken alone.
        certified: whether the hypothesis is rejected.
    """

    ratio: float | None
    risk: float
    p: float
    bound: float
    certified: bool


@dataclass(frozen=True)
class Line:
    """The sequence of one method, over all people or one group of them.

    Attributes:
        method: a masking method.
        group: of people, or None for all.
        n: people.
        steps: from the largest ratio down.
        needed: people with whom the first step that is not certified would have been; None where no number would do or
            none is left.
    """

    method: str
    group: str | None
    n: int
    steps: list[Step]
    needed: int | None

    @property
    def best(self) -> Step | None:
        """The smallest ratio that is certified."""
        passed = [step for step in self.steps if step.certified]
        return passed[-1] if passed else None


def lines(
    losses: Mapping[tuple[str, str | None], Mapping[float | None, Float[Array, " people"]]], alpha: float, delta: float
) -> list[Line]:
    """Fixed sequences from the largest ratio down, all of them together wrong with probability δ at most.

    Args:
        losses: method and group to ratio to losses of people, independent.
        alpha: the level, in (0, 1).
        delta: in (0, 1).

    Raises:
        UserError: fewer people than `FEWEST`.
    """
    order = {key: sorted(own, key=lambda r: -np.inf if r is None else -r) for key, own in losses.items()}
    for (method, group), own in losses.items():
        count = min(len(values) for values in own.values())
        if count < FEWEST:
            who = "" if group is None else f" in the group {group}"
            raise UserError(
                f"a certificate needs at least {FEWEST} people{who} with two photos that are not of one group, but "
                f"{method} has {count}. Take more people, or ask a larger group."
            )
    p = {key: [p_value(losses[key][ratio], alpha) for ratio in ratios] for key, ratios in order.items()}
    counts = sequences(list(p.values()), delta)
    found = []
    for (key, ratios), count in zip(order.items(), counts, strict=True):
        steps = [
            Step(ratio, float(own.mean()), value, upper_bound(own, delta), place < count)
            for place, (ratio, value) in enumerate(zip(ratios, p[key], strict=True))
            for own in [losses[key][ratio]]
        ]
        needed = people_needed(steps[count].risk, alpha, delta / len(order)) if count < len(steps) else None
        found.append(Line(*key, len(losses[key][ratios[0]]), steps, needed))
    return found


def plain(line: Line) -> dict[str, Any]:
    """A line as values for json."""
    return {
        "method": line.method,
        "group": line.group,
        "people": line.n,
        "certified_ratio": None if line.best is None else line.best.ratio,
        "certified": line.best is not None,
        "people_needed_for_the_next_step": line.needed,
        "steps": [vars(step) for step in line.steps],
    }
