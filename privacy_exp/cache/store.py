"""What has been computed already: folders by content key, made once even when two jobs want them at once."""

import errno
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from privacy_exp.cache.entry import damage, seal
from privacy_exp.cache.files import explained
from privacy_exp.cache.keys import content_key

log = logging.getLogger(__name__)

LAYOUT = 2
"""Version of an entry's own files; it is part of every key, so that entries of other versions are never met."""

CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
FULL = (errno.ENOSPC, errno.EDQUOT)

_unstored: dict[Path, "tempfile.TemporaryDirectory[str]"] = {}  # what a store that cannot be written to would hold


class Store:
    """Folders of finished things, by kind and content key.

    An entry is written under a temporary name and renamed when it is complete. Its checksums are compared before it is
    used; a damaged one is set aside and computed again. On read-only media entries are read as anywhere, and what is
    missing is computed without being stored, with a warning.

    Args:
        root: where they lie; made when first needed. Shared by runs, and by machines on one file system with locks.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()

    def folder(self, kind: str, fields: Mapping[str, Any]) -> Path:
        """Where the thing lies, whether it is there or not."""
        return self.root / kind / content_key({"layout": LAYOUT, "fields": fields})

    def find(self, kind: str, fields: Mapping[str, Any]) -> Path | None:
        """The folder that holds this thing, or None where there is none or it is damaged."""
        folder = self.folder(kind, fields)
        if not folder.is_dir():
            return None
        wrong = damage(folder)
        if wrong is not None:
            log.warning("%s is damaged (%s) and is computed again", folder, wrong)
            return None
        with suppress(OSError):  # the time of the last use, for pruning; read-only media need none
            os.utime(folder)
        return folder

    def fetch(
        self, kind: str, fields: Mapping[str, Any], compute: Callable[[Path], None], resumable: bool = False
    ) -> tuple[Path, bool]:
        """The folder that holds this thing, computed first if it is not there yet.

        Args:
            kind: what it is, such as "recognizer".
            fields: everything that decides its content, as plain values.
            compute: fills the empty folder that it is given.
            resumable: `compute` can go on with what an earlier, killed call of it has left in the folder.

        Returns:
            The folder, and whether it had been there before.

        Raises:
            OSError: no space left; the message names the place and the way out.
        """
        folder = self.folder(kind, fields)
        found = self.find(kind, fields)
        if found is not None:
            return found, True
        with self.locked(kind, fields) as writable:
            if not writable:
                return self._without_storing(folder, compute)
            found = self.find(kind, fields)  # another job may have made it while this one waited
            if found is not None:
                return found, True
            self.put(kind, fields, compute, resumable)
        return folder, False

    def put(
        self, kind: str, fields: Mapping[str, Any], compute: Callable[[Path], object], resumable: bool = False
    ) -> Path:
        """Makes an entry anew and returns its folder; for callers that hold the lock. See `fetch`."""
        folder = self.folder(kind, fields)
        partial = folder.with_name(f".{folder.name}.part")
        try:
            if folder.exists() and damage(folder) is not None:
                self._set_aside(folder)
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)  # of a killed job: the lock is ours, so nobody fills it now
            partial.mkdir(parents=True, exist_ok=True)
            started = time.perf_counter()
            done = False
            try:
                compute(partial)
                seal(partial, kind, fields, time.perf_counter() - started)
                shutil.rmtree(folder, ignore_errors=True)  # a sound one that was asked for again
                partial.replace(folder)
                done = True
            finally:
                if not (done or resumable):
                    shutil.rmtree(partial, ignore_errors=True)
        except OSError as error:
            if error.errno in FULL:
                raise explained(error, folder) from error
            raise
        return folder

    @contextmanager
    def locked(self, kind: str, fields: Mapping[str, Any]) -> Iterator[bool]:
        """Holds the lock of this thing; waits for a job that has it.

        Yields:
            Whether the store can be written to. Where it cannot there is no lock, and nothing to protect.

        Raises:
            OSError: no space left for the lock.
        """
        folder = self.folder(kind, fields)
        lock = FileLock(folder.with_suffix(".lock"))
        writable = self._acquire(lock, folder)
        try:
            yield writable
        finally:
            lock.release()

    def _acquire(self, lock: FileLock, folder: Path) -> bool:
        """Takes the lock, waiting for it; False where the medium is closed to writing."""
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(folder.parent, os.W_OK):
                return False
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.info("waiting for another job that computes the same %s", folder.parent.name)
                lock.acquire()
        except OSError as error:
            if error.errno in CLOSED:
                return False
            raise explained(error, folder) from error
        return True

    def _without_storing(self, folder: Path, compute: Callable[[Path], None]) -> tuple[Path, bool]:
        if folder in _unstored:
            return Path(_unstored[folder].name), True
        log.warning(
            "the store %s cannot be written to: what is missing there is computed and not kept; choose another place "
            "with store.root=DIR",
            self.root,
        )
        place = tempfile.TemporaryDirectory(prefix="privacy_exp-")
        compute(Path(place.name))
        _unstored[folder] = place  # until the process ends
        return Path(place.name), False

    def _set_aside(self, folder: Path) -> None:
        """A damaged entry keeps its files, for somebody who wants to know what happened; pruning removes them."""
        aside = self.root / "damaged" / f"{folder.parent.name}-{folder.name}-{time.time_ns()}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        folder.replace(aside)


def default_root() -> Path:
    """`$XDG_CACHE_HOME/privacy_exp`, by default `~/.cache/privacy_exp`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "privacy_exp"
