"""What a certificate is asked: how many may be recognised, how sure, by whom, and over which ratios."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike

from privacy_exp.types import UserError

ATTACKERS = ("linkage", "purification")
"""Who may act before a judge looks."""

WAYS = ("verification", "rank_1")
"""How somebody is recognised: above a threshold, or before all distractors."""


@dataclass(frozen=True)
class Question:
    """The smallest ratio at which at most α of people are recognised, with confidence 1 - δ.

    Attributes:
        alpha: share of people that may be recognised.
        delta: probability with which the answer may be wrong.
        ratios: the grid, fixed beforehand.
        by: "verification" at a threshold, or "rank_1" in a gallery of distractors and the person's own originals.
        far: false accept rate of thresholds that are set here.
        aside: share of people who set thresholds or are distractors, and take no part otherwise.
        threshold: judge to a cosine similarity that was fixed elsewhere, on other people.
        groups: attributes of people; each value is certified by itself, with Holm's correction.
        attackers: "purification" and "linkage" also act before each judge looks; linkage learns from half of the people
            set aside, and the other half sets its threshold.
        chosen_with: run folders by which the method was chosen; their people may not calibrate.

    Raises:
        UserError: a value out of its range.
    """

    alpha: float = 0.1
    delta: float = 0.1
    ratios: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    by: str = "verification"
    far: float = 0.01
    aside: float = 0.3
    threshold: Mapping[str, float] = field(default_factory=dict)
    groups: Sequence[str] = ()
    attackers: Sequence[str] = ()
    chosen_with: Sequence[str | PathLike[str]] = ()

    def __post_init__(self) -> None:
        for name in ("alpha", "delta", "far"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"`{name}` must lie in (0, 1), but got {getattr(self, name)}.")
        if not 0 <= self.aside < 1:
            raise UserError(f"`aside` is a share of the people in [0, 1), but got {self.aside}.")
        if not self.ratios or len(set(self.ratios)) < len(self.ratios) or not all(0 <= r <= 1 for r in self.ratios):
            raise UserError(f"`ratios` must be different shares in [0, 1], at least one, but got {list(self.ratios)}.")
        if self.by not in WAYS:
            raise UserError(f"`by` must be one of {', '.join(WAYS)}, but got {self.by!r}.")
        if odd := sorted(set(self.attackers) - set(ATTACKERS)):
            raise UserError(f"`attackers` may hold {' and '.join(ATTACKERS)}, but got {odd[0]!r}.")
        if "linkage" in self.attackers and self.aside == 0:
            raise UserError(
                "`attackers` linkage needs people set aside to learn from (`aside` above 0): it may not know anybody "
                "who calibrates."
            )
        if self.by == "rank_1" and self.aside == 0:
            raise UserError(
                "`by=rank_1` needs people set aside as distractors (`aside` above 0): a gallery of the calibrating "
                "people themselves would make the loss of one depend on the others."
            )
