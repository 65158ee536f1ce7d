"""What every part of the benchmark shares: runs that take turns in one process, and the lines they become."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Line:
    """One measured thing: a line of a table.

    Attributes:
        what: what was measured.
        value: median of the rounds, or the one figure.
        low: smallest of the rounds; None where it was measured once.
        high: largest of the rounds; None where it was measured once.
        unit: of the three, such as "ms/image"; "" for a ratio.
        rounds: how often it was measured.
        bar: what the project promises, such as "≤ 0.9" or "≥ 6"; None for a figure without a promise.
        note: what a reader must know.
    """

    what: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    rounds: int = 1
    bar: str | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value keeps the promise; None where there is none."""
        if self.bar is None:
            return None
        sign, limit = self.bar.split()
        return self.value <= float(limit) if sign == "≤" else self.value >= float(limit)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "met": self.met}


Times = dict[str, list[float]]
"""Seconds of each candidate, one a round."""


def in_turns(candidates: Mapping[str, Callable[[], object]], rounds: int = 5, warm_up: bool = True) -> Times:
    """Times candidates in turns, A B C A B C …, so that a load from elsewhere meets all of them alike.

    Args:
        candidates: what to run, by name.
        rounds: how often each is timed.
        warm_up: run each once before, untimed.
    """
    if warm_up:
        for run in candidates.values():
            run()
    seconds: Times = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            settle()
            started = time.perf_counter()
            run()
            settle()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def settle() -> None:
    """Waits for what a GPU still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def duration(what: str, seconds: list[float], scale: float = 1.0, unit: str = "s", **more: Any) -> Line:
    """A line of times.

    Args:
        what: what was measured.
        seconds: one a round.
        scale: from seconds to `unit`, such as 1000 / images.
        unit: of the line.
        more: the line's other fields.
    """
    values = [scale * value for value in seconds]
    return Line(what, statistics.median(values), min(values), max(values), unit, len(values), **more)


def ratio(what: str, above: list[float], below: list[float], scale: float = 1.0, **more: Any) -> Line:
    """A line of ratios, each of two times from the same round.

    Args:
        what: what was measured.
        above: seconds, one a round.
        below: seconds, one a round.
        scale: for times of unequal amounts of work.
        more: the line's other fields.
    """
    values = [scale * a / b for a, b in zip(above, below, strict=True)]
    return Line(what, statistics.median(values), min(values), max(values), "", len(values), **more)
