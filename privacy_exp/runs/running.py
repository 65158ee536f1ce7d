"""Who works in a run folder: a lock that lives as long as its process, and the cell that the folder is for."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from privacy_exp.cache.files import write_text
from privacy_exp.types import UserError

log = logging.getLogger(__name__)

LOCK = ".running.lock"
CELL = "cell.json"
"""What the folder is for: the cell's key, how many images, when it was started."""

PATIENCE = 1.0  # seconds before waiting is worth a word; a look at the lock (see `is_running`) holds it for a moment


@contextmanager
def running(folder: Path, key: str | None = None) -> Iterator[None]:
    """Holds a run folder while its cell is computed; waits while another process does.

    Such a process may be the orphan of a killed sweep that finishes its cell, or the same command started twice.

    Args:
        folder: the run's.
        key: of the cell; None: any.

    Raises:
        UserError: the other process computes another cell there, for which there is nothing to wait.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        there = read_cell(folder)
        if key is not None and there is not None and there["key"] != key:
            raise UserError(
                f"another process computes a run of other settings in {folder}. Choose another folder with "
                "hydra.run.dir=DIR or hydra.sweep.dir=DIR."
            ) from None
        log.info("waiting for another process that works in %s", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_running(folder: Path) -> bool:
    """Whether a live process works in the folder."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except PermissionError:  # somebody else's folder
        import fcntl  # where it is missing, on Windows, locks are not asked for like this

        with (folder / LOCK).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def write_cell(folder: Path, key: str, images: int) -> None:
    """Says which cell the folder is for."""
    write_text(folder / CELL, json.dumps({"key": key, "images": images, "started": time.time()}) + "\n")


def read_cell(folder: Path) -> dict[str, Any] | None:
    """What `write_cell` wrote: `key, images, started`; None where no run was started, or nobody can read of which."""
    path = folder / CELL
    try:
        cell = json.loads(path.read_text())
        return {"key": str(cell["key"]), "images": int(cell["images"]), "started": float(cell["started"])}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s) and is passed over", path, error)
        return None
