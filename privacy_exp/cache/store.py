"""What has been computed already: folders by content key, made once even when two jobs want them at once."""

import errno
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from privacy_exp.cache.entry import LABEL, damage, differences, label, origin_of, seal
from privacy_exp.cache.files import explained
from privacy_exp.cache.keys import content_key

log = logging.getLogger(__name__)

LAYOUT = 3
"""Version of an entry's own files; it is part of every key, so that entries of other versions are never met."""

CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
FULL = (errno.ENOSPC, errno.EDQUOT)


class Store:
    """Folders of finished things, by kind and content key.

    An entry is written under a temporary name and renamed when it is complete. Its checksums are compared before it is
    used; a damaged one is set aside and computed again. On read-only or full media entries are read as anywhere, and
    what is missing is computed without being stored, with a warning.

    Args:
        root: where they lie; made when first needed. Shared by runs, and by machines on one file system with locks.

    Attributes:
        notes: a sentence for each thing that was reused although other versions of a library, or another number of
            threads, had made it; they belong into the record's warnings.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()
        self.notes: list[str] = []
        self._unstored: dict[Path, tempfile.TemporaryDirectory[str]] = {}  # what a closed store would hold

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
            log.warning("%s is damaged (%s) and is not used", folder, wrong)
            return None
        self._note(kind, folder)
        with suppress(OSError):  # the time of the last use, for pruning; read-only media need none
            os.utime(folder)
        return folder

    def open_folder(self, kind: str, fields: Mapping[str, Any]) -> Path:
        """A folder that fills file by file, such as the scores of a method, with a label from its beginning.

        Its files carry checksums of their own. On read-only media it may not be there.
        """
        folder = self.folder(kind, fields)
        if (folder / LABEL).is_file():
            self._note(kind, folder)
            with suppress(OSError):
                os.utime(folder)
        else:
            with suppress(OSError):
                label(folder, kind, fields, 0.0, {})
        return folder

    def _note(self, kind: str, folder: Path) -> None:
        """Warns once of a thing that was made with other versions or threads."""
        found = differences(origin_of(folder))
        if found:
            note = f"a stored {kind} is used that was made with {'; '.join(found)} ({folder.name})"
            if note not in self.notes:
                self.notes.append(note)
                log.warning("%s; prune.kind=%s makes it anew", note, kind)

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
            OSError: no space left for temporary files either.
        """
        found = self.find(kind, fields)
        if found is not None:
            return found, True
        with self.locked(kind, fields) as held:
            if held is None:
                return self._without_storing(self.folder(kind, fields), compute)
            found = self.find(kind, fields)  # another job may have made it while this one waited
            if found is not None:
                return found, True
            try:
                return held.put(compute, resumable), False
            except OSError as error:
                if error.errno not in FULL:
                    raise
            return self._without_storing(self.folder(kind, fields), compute)  # a full store fails nothing

    @contextmanager
    def locked(self, kind: str, fields: Mapping[str, Any]) -> Iterator["Held | None"]:
        """Holds the lock of this thing; waits for a job that has it.

        Yields:
            The place to put it; None where the store cannot be written to: there is no lock then, and nothing to
            protect.
        """
        folder = self.folder(kind, fields)
        lock = FileLock(folder.with_suffix(".lock"))
        writable = self._acquire(lock, folder)
        try:
            yield Held(folder, kind, fields) if writable else None
        finally:
            lock.release()

    def _acquire(self, lock: FileLock, folder: Path) -> bool:
        """Takes the lock, waiting for it; False where the medium is full or closed to writing."""
        try:
            if self.root == default_root() and not self.root.exists():
                self.root.mkdir(mode=0o700, parents=True)  # one's own: it holds pictures of faces
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(folder.parent, os.W_OK):
                return False
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.info("waiting for another job that computes the same %s", folder.parent.name)
                lock.acquire()
        except OSError as error:
            if error.errno in CLOSED + FULL:
                return False
            raise
        return True

    def _without_storing(self, folder: Path, compute: Callable[[Path], None]) -> tuple[Path, bool]:
        if folder in self._unstored:
            return Path(self._unstored[folder].name), True
        log.warning(
            "the cache %s is full or cannot be written to: what is missing there is computed and not kept; choose "
            "another place with cache.root=DIR",
            self.root,
        )
        place = tempfile.TemporaryDirectory(prefix="privacy_exp-")
        compute(Path(place.name))
        self._unstored[folder] = place  # as long as this store is used
        return Path(place.name), False


@dataclass(frozen=True)
class Held:
    """An entry whose lock this process has.

    Attributes:
        folder: of the entry.
        kind: see `Store.fetch`.
        fields: see `Store.fetch`.
    """

    folder: Path
    kind: str
    fields: Mapping[str, Any]

    def put(self, compute: Callable[[Path], object], resumable: bool = False) -> Path:
        """Makes the entry anew and returns its folder; see `Store.fetch`."""
        partial = self.folder.with_name(f".{self.folder.name}.part")
        try:
            if self.folder.exists() and damage(self.folder) is not None:
                self.set_aside()
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)  # of a killed job: the lock is ours, nobody fills it now
            partial.mkdir(parents=True, exist_ok=True)
            started = time.perf_counter()
            done = False
            try:
                compute(partial)
                seal(partial, self.kind, self.fields, time.perf_counter() - started)
                self._exchange(partial)
                done = True
            finally:
                if not (done or resumable):
                    shutil.rmtree(partial, ignore_errors=True)
        except OSError as error:
            if error.errno in FULL:
                raise explained(error, self.folder) from error
            raise
        return self.folder

    def set_aside(self) -> None:
        """A damaged entry keeps its files, for somebody who wants to know what happened; pruning removes them."""
        aside = self.folder.parents[1] / "damaged" / f"{self.kind}-{self.folder.name}-{time.time_ns()}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        self.folder.replace(aside)

    def _exchange(self, partial: Path) -> None:
        """Puts the new entry into its place; a sound one that was asked for again makes room and then goes."""
        old = self.folder.with_name(f".{self.folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            self.folder.replace(old)
        partial.replace(self.folder)
        shutil.rmtree(old, ignore_errors=True)


def default_root() -> Path:
    """`$XDG_CACHE_HOME/privacy_exp`, else `~/.cache/privacy_exp`, else, without a home, a folder for temporary files.

    An empty `XDG_CACHE_HOME` counts as none, and so does a relative one, as its specification says.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given / "privacy_exp"
    home = os.environ.get("HOME", "")
    if Path(home).is_absolute():
        return Path(home) / ".cache" / "privacy_exp"
    try:
        return Path.home() / ".cache" / "privacy_exp"
    except RuntimeError:  # neither HOME nor a user of this number
        return Path(tempfile.gettempdir()) / f"privacy_exp-{os.getuid()}"
