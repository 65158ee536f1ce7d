"""Work beside work: what comes next is made ready, and what is done is put away, while the one in between goes on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

DEPTH = 2
"""Items that are ready before they are asked for, and that wait to be put away: enough to even out a slow one."""

Item = TypeVar("Item")


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item, None, None]:
    """The same items in the same order, made by another thread, at most `depth` before they are asked for.

    An error comes when the item that raised it is asked for. Close the iterator (`contextlib.closing`) where it may not
    be used up, so that the thread ends with it.

    Args:
        items: iterated by the other thread alone.
        depth: items that wait.

    Example:
        >>> list(ahead(range(3)))
        [0, 1, 2]
    """
    iterator, end = iter(items), object()
    with _one_thread() as thread:
        ready = deque(thread.submit(next, iterator, end) for _ in range(depth))
        try:
            while (item := ready.popleft().result()) is not end:
                ready.append(thread.submit(next, iterator, end))
                yield item
        finally:
            thread.shutdown(wait=False, cancel_futures=True)


@contextmanager
def behind(depth: int = DEPTH) -> Iterator[Callable[..., None]]:
    """Runs calls in another thread, one after the other, and is left when all of them are done.

    A call that fails does not stop those after it: what they have to put away was worked for. Its error is raised by
    the block: by one of the next calls that are handed over, else at the end.

    Args:
        depth: calls that wait; handing over one more waits for the first.

    Yields:
        Takes a function and its arguments.

    Example:
        >>> done = []
        >>> with behind() as hand_over:
        ...     for number in range(3):
        ...         hand_over(done.append, number)
        >>> done
        [0, 1, 2]
    """
    waiting: deque[Future[object]] = deque()
    with _one_thread() as thread:

        def hand_over(work: Callable[..., object], *given: object) -> None:
            while len(waiting) >= depth:
                waiting[0].result()  # a failed call stays the first, so that its error wins over those after it
                waiting.popleft()
            waiting.append(thread.submit(work, *given))

        try:
            yield hand_over
        finally:
            errors = [error for call in waiting if (error := call.exception()) is not None]
            if errors:
                raise errors[0]


def _one_thread() -> ThreadPoolExecutor:
    """A thread on the GPU of this one: torch keeps the current device by thread."""
    if torch.cuda.is_initialized():
        return ThreadPoolExecutor(1, initializer=torch.cuda.set_device, initargs=(torch.cuda.current_device(),))
    return ThreadPoolExecutor(1)
