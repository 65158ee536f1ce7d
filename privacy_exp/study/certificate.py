"""A certificate: what was asked, what was found, in a sentence, and all that is needed to check it by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privacy_exp.evaluation.certifying import Line, plain
from privacy_exp.study.question import Question

SCHEMA = 1

NOT_SAID = (
    "It holds for people drawn as these were, and for these observers alone: it says nothing of other observers, of "
    "other people or cameras, of photos that depend on each other, or of any single person."
)


@dataclass(frozen=True)
class Certificate:
    """What can be said with confidence, and what not.

    Attributes:
        question: what was asked.
        lines: a method each, over all people.
        groups: a method and group of people each; their own family of tests.
        observers: name to how it recognises, its threshold and where that is from.
        painter: how the inpainter is made again.
        methods: name to how the masking method is made again.
        losses: method to ratio to person to loss.
        facts: data, people set aside and left out, seed.
        warnings: what a reader must know.
    """

    question: Question
    lines: list[Line]
    groups: list[Line]
    observers: Mapping[str, Mapping[str, Any]]
    painter: Mapping[str, Any]
    methods: Mapping[str, Any]
    losses: Mapping[str, Mapping[str, Mapping[str, float]]]
    facts: Mapping[str, Any]
    warnings: list[str]

    @property
    def best(self) -> Line | None:
        """The line with the smallest certified ratio."""
        passed = [line for line in self.lines if line.best is not None]
        return min(passed, key=lambda line: line.best.ratio or 0.0 if line.best else 0.0, default=None)

    @property
    def ratio(self) -> float | None:
        """The smallest certified ratio; None where nothing is certified."""
        return None if self.best is None or self.best.best is None else self.best.best.ratio

    def __str__(self) -> str:
        best = self.best
        said = [self._said(best)] if best is not None else [self._nothing(line) for line in self.lines]
        rest = [line for line in self.lines if line is not best] if best is not None else []
        said += [self._said(line) if line.best else self._nothing(line) for line in [*rest, *self.groups]]
        return "\n".join([*said, NOT_SAID, *(f"note: {line}" for line in self.warnings)])

    def _said(self, line: Line) -> str:
        step = line.best
        assert step is not None  # noqa: S101  asked of certified lines alone
        share = "its own area" if step.ratio is None else f"{step.ratio:.0%} of the frame"
        return (
            f"With confidence {1 - self.question.delta:.0%}, at most {self.question.alpha:.0%} of people{_of(line)} "
            f"are recognised by {' or '.join(self.observers)} where {line.method} hides {share} ({line.n} people "
            f"calibrated, {step.risk:.1%} recognised, p = {step.p:.2g})."
        )

    def _nothing(self, line: Line) -> str:
        step = line.steps[0]
        share = "its own area" if step.ratio is None else f"{step.ratio:.0%} of the frame"
        more = f"it would take {line.needed} people." if line.needed else "no number of people would do."
        return (
            f"Nothing can be certified{_of(line)} of {line.method}: where it hides {share}, {step.risk:.1%} of "
            f"{line.n} people are recognised, and at most {self.question.alpha:.0%} are asked; at this risk {more}"
        )

    def plain(self) -> dict[str, Any]:
        """Everything as values for json."""
        return {
            "schema": SCHEMA,
            "said": str(self).split("\n"),
            "question": {**vars(self.question), "chosen_with": [str(run) for run in self.question.chosen_with]},
            "ratio": self.ratio,
            "method": None if self.best is None else self.best.method,
            "lines": [plain(line) for line in self.lines],
            "groups": [plain(line) for line in self.groups],
            "observers": self.observers,
            "inpainting": self.painter,
            "masking": self.methods,
            "losses": self.losses,
            **self.facts,
            "warnings": self.warnings,
        }


def _of(line: Line) -> str:
    return "" if line.group is None else f" with {line.group}"
