"""A head that learns which anonymised and which original embeddings belong to one person."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from privacy_exp.data.identity_split import seeded_order
from privacy_exp.types import UserError

Array = np.ndarray

WIDTHS, TEMPERATURES, DECAYS = (0, 256), (0.05, 0.2), (0.01, 1.0)
"""What is tried: hidden units (0: a linear head), temperatures of InfoNCE, weight decays."""

RIDGES = (0.01, 0.1, 1.0)
"""Penalties of the linear start, in units of the anonymised embeddings' mean variance."""

HELD_BACK = 0.3
"""Share of the attacker's people by whom a head and its number of steps are chosen."""

EVERY, PATIENCE, RATE, ROWS = 10, 3, 1e-2, 1024
"""Steps between looks at the people held back, looks without a gain that end it, learning rate, most rows a step."""


@dataclass(frozen=True)
class Vectors:
    """Embeddings and who is on them; rows of unit norm.

    Attributes:
        rows: the embeddings.
        people: who is on each.
        groups: of each photo; a photo is never linked to one of its own group, the photo itself included.
    """

    rows: Float[Array, "n d"]
    people: Shaped[Array, " n"]
    groups: Shaped[Array, " n"]

    def __getitem__(self, chosen: Array) -> "Vectors":
        """Some of them, in the order of the index."""
        return Vectors(self.rows[chosen], self.people[chosen], self.groups[chosen])

    def of(self, people: Sequence[str]) -> "Vectors":
        """Those of some people."""
        return self[np.isin(self.people, list(people))]

    def usable(self) -> "Vectors":
        """Those that could be embedded."""
        return self[np.isfinite(self.rows).all(axis=1)]


@dataclass(frozen=True)
class Choice:
    """What training takes: see `WIDTHS` and `linear_start`; without a ridge, no steps leave the embedding as it is."""

    width: int = 0
    temperature: float = 0.05
    decay: float = 0.01
    steps: int = 0
    ridge: float | None = None


class LinkHead(nn.Module):
    """Moves anonymised and original embeddings of d numbers towards each other; before training it moves nothing.

    Args:
        size: d.
        width: hidden units; 0 makes it linear.
        seed: of the hidden layers' weights; nobody else's draws move.
    """

    def __init__(self, size: int, width: int = 0, seed: int = 0) -> None:
        super().__init__()
        self.size = size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.probe, self.gallery = _branch(size, width), _branch(size, width)

    @torch.no_grad()
    def probes(self, rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Anonymised embeddings as the head compares them; rows of NaN stay so."""
        return moved(self.probe, torch.from_numpy(rows).float()).numpy()

    @torch.no_grad()
    def originals(self, rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Embeddings of originals as the head compares them."""
        return moved(self.gallery, torch.from_numpy(rows).float()).numpy()


def moved(branch: nn.Module, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Embeddings with what a branch adds to them, at unit length."""
    return F.normalize(rows + branch(rows), dim=1)


def check_disjoint(learnt: Sequence[str], tested: Sequence[str]) -> None:
    """Checks that an attacker learns from other people than it is tried on.

    Raises:
        UserError: it does not; names how many.

    Example:
        >>> check_disjoint(["ann"], ["bob"])
    """
    both = sorted(set(map(str, learnt)) & set(map(str, tested)))
    if both:
        raise UserError(
            f"`people` to learn from must be others than those who are tested, but {len(both)} are both, such as "
            f"{both[0]!r}: leave them out of one of the two."
        )


def learn(probes: Vectors, originals: Vectors, seed: int, steps: int) -> tuple[LinkHead, Choice]:
    """The best head for these people, chosen by some of them and then fitted to all.

    The start, width, temperature, weight decay and the number of steps are those that link the people held back best,
    the embedding as it is among them. With fewer than four people nobody can be held back, and it stays as it is.

    Args:
        probes: anonymised.
        originals: of the same people.
        seed: of who is held back, of initial weights and of what a step sees.
        steps: at most.
    """
    probes, originals = probes.usable(), originals.usable()
    size = originals.rows.shape[1]
    people = seeded_order(np.intersect1d(probes.people, originals.people).tolist(), seed, "held back")
    count = max(2, round(HELD_BACK * len(people)))
    if len(people) < count + 2:
        return LinkHead(size), Choice()
    back, front = people[:count], people[count:]
    held = probes.of(back), originals.of(back)
    best, start = Choice(), linked(LinkHead(size), *held)
    best_score = start
    front_sides = probes.of(front), originals.of(front)
    ridge = max(RIDGES, key=lambda one: linked(linear_start(*front_sides, one), *held))
    starts = [(width, None) for width in WIDTHS] + [(0, ridge)]
    for (width, start_from), temperature, decay in product(starts, TEMPERATURES, DECAYS):
        asked, own_best, waited = Choice(width, temperature, decay, steps, start_from), 0.0, 0
        for step, head in training(*front_sides, asked, seed):
            score = linked(head, *held)
            if score > best_score:  # of equals the one with fewer steps, and the embedding as it is before all
                best, best_score = replace(asked, steps=step), score
            own_best, waited = max(score, own_best), 0 if score > own_best else waited + 1
            if waited >= PATIENCE and own_best > start:  # before its first gain a head may have far to go
                break
    return fit(probes, originals, best, seed), best


def fit(probes: Vectors, originals: Vectors, choice: Choice, seed: int) -> LinkHead:
    """A head fitted as was chosen.

    Args:
        probes: anonymised.
        originals: of the same people.
        choice: see there.
        seed: of initial weights and of what a step sees.
    """
    *_, (_, head) = training(probes.usable(), originals.usable(), choice, seed)
    return head


def linear_start(probes: Vectors, originals: Vectors, ridge: float) -> LinkHead:
    """A head whose linear map takes each anonymised embedding to the mean of its person's other originals.

    Steps from the embedding as it is do not get across a turn or a change of sign; least squares does at once. Pairs
    say where an embedding lies, not how far others must stay from it: that is what the steps after it add.

    Args:
        probes: anonymised.
        originals: of the same people.
        ridge: see `RIDGES`.
    """
    right, _ = _pairs(probes, originals)
    paired = right.any(axis=1)
    head, size = LinkHead(originals.rows.shape[1]), originals.rows.shape[1]
    if not paired.any():
        return head
    seen = probes.rows[paired].astype(np.float64)
    meant = (right[paired] @ originals.rows.astype(np.float64)) / right[paired].sum(axis=1, keepdims=True)
    centred = seen - seen.mean(axis=0)
    spread = centred.T @ centred
    penalty = ridge * max(np.trace(spread) / size, 1e-12) * np.eye(size)
    turn = np.linalg.solve(spread + penalty, centred.T @ (meant - meant.mean(axis=0)))
    added = {"weight": turn.T - np.eye(size), "bias": meant.mean(axis=0) - seen.mean(axis=0) @ turn}
    head.probe.load_state_dict({name: torch.from_numpy(values) for name, values in added.items()})
    return head


def training(probes: Vectors, originals: Vectors, choice: Choice, seed: int) -> Iterator[tuple[int, LinkHead]]:
    """Steps of AdamW on InfoNCE: each anonymised photo against all originals, other photos of the person being right.

    Args:
        probes: anonymised.
        originals: of the same people.
        choice: where to start, width, temperature, weight decay, steps.
        seed: of initial weights and of what a step sees.

    Yields:
        How many steps were taken, and the head: before the first, every few, and after the last.

    Reference: Oord et al., Representation Learning with Contrastive Predictive Coding, 2018; several right answers as
        in Khosla et al., Supervised Contrastive Learning, 2020.
    """
    head = LinkHead(originals.rows.shape[1], choice.width, seed)
    if choice.ridge is not None:
        head = linear_start(probes, originals, choice.ridge)
    yield 0, head
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=choice.decay)
    random = np.random.default_rng(seed)
    seen: _Seen | None = None
    for step in range(1, choice.steps + 1):
        if seen is None or max(len(probes.people), len(originals.people)) > ROWS:
            seen = _Seen.of(*(side[_some(len(side.people), random)] for side in (probes, originals)))
        if seen.usable.any():
            rows = [moved(branch, own) for branch, own in zip(head.children(), seen.rows, strict=True)]
            logits = (rows[0] @ rows[1].T / choice.temperature).masked_fill(seen.never, -torch.inf)
            of_right = logits.log_softmax(1).masked_fill(~seen.right, 0.0)
            loss = -(of_right.sum(1) / seen.right.sum(1).clamp(min=1))[seen.usable].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if step % EVERY == 0 or step == choice.steps:
            yield step, head


def linked(head: LinkHead, probes: Vectors, originals: Vectors) -> float:
    """How well a head links: how often a photo is nearer to one of its person than to another's, ties counting half.

    Args:
        head: untrained, or trained on other people.
        probes: anonymised.
        originals: of the same people.
    """
    similarity = head.probes(probes.rows) @ head.originals(originals.rows).T
    right, apart = _pairs(probes, originals)
    found = []
    for row, own, may in zip(similarity.round(6), right, apart, strict=True):
        others = np.sort(row[may & ~own])
        if own.any() and len(others):
            below = np.searchsorted(others, row[own], "left") + np.searchsorted(others, row[own], "right")
            found.append(below.mean() / (2 * len(others)))
    return float(np.mean(found)) if found else 0.5


@dataclass(frozen=True)
class _Seen:
    """What one step sees: embeddings, which pairs are right, which are never asked, and whose probes count."""

    rows: tuple[Tensor, Tensor]
    right: Tensor
    never: Tensor
    usable: Tensor

    @classmethod
    def of(cls, probes: Vectors, originals: Vectors) -> "_Seen":
        right, apart = (torch.from_numpy(which) for which in _pairs(probes, originals))
        rows = torch.from_numpy(probes.rows).float(), torch.from_numpy(originals.rows).float()
        return cls(rows, right, ~apart, right.any(1))


def _branch(size: int, width: int) -> nn.Module:
    last = nn.Linear(width or size, size)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(size, width), nn.GELU(), last) if width else last


def _pairs(probes: Vectors, originals: Vectors) -> tuple[Bool[Array, "n m"], Bool[Array, "n m"]]:
    """Which pairs show one person in two photos, and which are of two photos at all."""
    apart: Bool[Array, "n m"] = probes.groups[:, None] != originals.groups
    return apart & (probes.people[:, None] == originals.people), apart


def _some(count: int, random: np.random.Generator) -> Array:
    """All rows, or as many as a step takes."""
    return np.arange(count) if count <= ROWS else random.choice(count, ROWS, replace=False)
