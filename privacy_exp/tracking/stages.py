"""How far a run has come: its stages tell whoever watches, and draw a bar of their own where nobody does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, runtime_checkable

from tqdm import tqdm


@runtime_checkable
class Watcher(Protocol):
    """Whoever wants to know how far a run has come."""

    def begin(self, name: str, total: int) -> None:
        """A stage begins.

        Args:
            name: what is done, such as "painting".
            total: steps of it; 0 where it does not say how far it is.
        """

    def advance(self, steps: int) -> None:
        """The stage that began last has come further."""


class _Nobody:
    def begin(self, name: str, total: int) -> None:
        del name, total

    def advance(self, steps: int) -> None:
        del steps


NOBODY: Watcher = _Nobody()
"""Watches and says nothing."""

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Whatever runs inside tells this watcher, and draws nothing itself."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def stage(name: str, total: int, unit: str = "img") -> Iterator[Callable[[int], object]]:
    """One stage of a run; what it yields takes the steps that are done.

    Args:
        name: what is done.
        total: steps of it.
        unit: of a step, for the bar of its own.

    Example:
        >>> class Memory:
        ...     def begin(self, name, total): print(name, total)
        ...     def advance(self, steps): print("and", steps)
        >>> with watched(Memory()), stage("painting", 3) as advance:
        ...     advance(2)
        painting 3
        and 2
    """
    watcher = _watcher.get()
    if watcher is not None:
        watcher.begin(name, total)
        yield watcher.advance
        return
    with tqdm(total=total, desc=name, unit=unit) as bar:
        yield bar.update


def begin(name: str) -> None:
    """A stage that does not say how far it is; whoever does not watch sees nothing of it."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher.begin(name, 0)
