"""How long the rest of a run takes: by the pace of what it does now, and by what the rest took last time."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from privacy_exp.cache.files import write_text

PACES = "paces.json"
"""In the store: the seconds and steps of each stage of the last run of each kind."""

MOST_KINDS = 200


class Watch:
    """The stages of one run as they come: what is done now, and what is left.

    Args:
        store: its root, where the paces of earlier runs lie.
        kind: equal for runs that take as long a photo.
        tell: called after each step; it draws.
        clock: seconds.

    Example:
        >>> now = iter([0.0, 0.0, 4.0, 4.0])
        >>> watch = Watch(Path("store"), "kind", clock=lambda: next(now))
        >>> watch.begin("painting", 10)
        >>> watch.advance(4)
        >>> watch.left()
        6.0
    """

    def __init__(
        self,
        store: Path,
        kind: str,
        tell: Callable[["Watch"], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.path, self.kind, self.tell, self.clock = store / PACES, kind, tell, clock
        self.started = clock()
        self.name, self.total, self.done, self.since = "reading", 0, 0, self.started
        self.passed: list[tuple[str, float, int]] = []
        self.before = self._read().get(kind, [])

    def begin(self, name: str, total: int) -> None:
        """See `Watcher`."""
        self._close()
        self.name, self.total, self.done = name, total, 0
        self.tell(self)

    def advance(self, steps: int) -> None:
        """See `Watcher`."""
        self.done += steps
        self.tell(self)

    def left(self) -> float | None:
        """Seconds, as far as they are known; None before anything is."""
        spent = self.clock() - self.since
        names = [name for name, _, _ in self.before]
        place = names.index(self.name) if self.name in names else None
        own = None
        if self.done:
            own = spent / self.done * (self.total - self.done)
        elif place is not None:
            _, seconds, total = self.before[place]
            own = max(0.0, seconds * (self.total / total if total and self.total else 1) - spent)
        if place is None:
            first = not self.passed and self.name == "reading"
            return sum(seconds for _, seconds, _ in self.before) if first and self.before else own
        return (own or 0.0) + sum(seconds for _, seconds, _ in self.before[place + 1 :])

    def keep(self) -> None:
        """Keeps the paces of a run that has finished, for the next of its kind."""
        self._close()
        known = self._read()
        known.pop(self.kind, None)
        kept = dict([*known.items(), (self.kind, self.passed)][-MOST_KINDS:])
        with suppress(OSError):  # a store that cannot be written costs a run no figure
            write_text(self.path, json.dumps(kept) + "\n")

    def _close(self) -> None:
        now = self.clock()
        self.passed.append((self.name, round(now - self.since, 3), self.total))
        self.since = now

    def _read(self) -> dict[str, list[tuple[str, float, int]]]:
        with suppress(OSError, ValueError, AttributeError, TypeError):
            content = json.loads(self.path.read_text())
            return {
                str(kind): [(str(name), float(seconds), int(total)) for name, seconds, total in stages]
                for kind, stages in content.items()
            }
        return {}


def in_words(seconds: float) -> str:
    """A duration as people say it.

    Example:
        >>> [in_words(seconds) for seconds in (0.4, 14.2, 170, 5400)]
        ['1 s', '14 s', '3 min', '1.5 h']
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
