"""What lies in a store, and what may go: by age since the last use, or by size with the longest unused first."""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from filelock import FileLock, Timeout

from privacy_exp import UserError
from privacy_exp.cache.entry import LABEL

DAY = 86_400  # seconds


@dataclass(frozen=True)
class Item:
    """A folder of the store.

    Attributes:
        kind: "recognizer", "cell" and so on; "damaged" for what was set aside, "partial" for what a killed job left.
        folder: where it lies.
        size: bytes that vanish with it: a checkpoint that a run folder shares with it (a hard link) counts nothing,
            and one that several items share counts with the one that was used last.
        used: time of its last use, in seconds since 1970.
        seconds: that computing it took, where that is known.
    """

    kind: str
    folder: Path
    size: int
    used: float
    seconds: float | None

    @property
    def frees_something(self) -> bool:
        """Whether more vanishes with it than its label: pruning by size passes over what run folders hold as well."""
        label = _stat(self.folder / LABEL)
        return self.size > (label.st_size if label is not None else 0)

    @property
    def days(self) -> float:
        """Since the last use."""
        return (time.time() - self.used) / DAY


def items(root: Path) -> list[Item]:
    """Everything in a store, the longest unused first; what another job removes meanwhile is passed over."""
    folders = {path: stat for path in root.glob("*/*") if (stat := _stat(path)) is not None and S_ISDIR(stat.st_mode)}
    stats = {folder: _files(folder) for folder in folders}
    links = Counter((stat.st_dev, stat.st_ino) for own in stats.values() for stat in own)
    found = []
    for folder in sorted(folders, key=lambda folder: folders[folder].st_mtime, reverse=True):
        size = 0
        for stat in stats[folder]:
            if links.pop((stat.st_dev, stat.st_ino), 0) == stat.st_nlink:  # all in the store, met for the first time
                size += stat.st_size
        kind = "partial" if folder.name.startswith(".") else folder.parent.name
        found.append(Item(kind, folder, size, folders[folder].st_mtime, _seconds(folder)))
    return found[::-1]


def to_prune(
    found: Sequence[Item], kind: str | None = None, days: float | None = None, max_gb: float | None = None
) -> list[Item]:
    """The items that a pruning would remove.

    Args:
        found: all items, the longest unused first.
        kind: only of this kind.
        days: all that were last used longer ago.
        max_gb: the longest unused, until the rest of the store has at most so many gigabytes (1e9 bytes).

    Raises:
        UserError: neither `days` nor `max_gb` is given, or one is negative.
    """
    if days is None and max_gb is None:
        raise UserError("pruning needs a measure: prune.days=30 or prune.max_gb=20.")
    for name, value in (("days", days), ("max_gb", max_gb)):
        if value is not None and value < 0:
            raise UserError(f"`prune.{name}` must be at least 0, but got {value}.")
    kinds = sorted({item.kind for item in found})
    if kind is not None and kind not in kinds:
        raise UserError(f"`prune.kind` must be one of {', '.join(kinds) or 'nothing: the store is empty'}, got {kind}.")
    candidates = [item for item in found if kind in (None, item.kind)]
    chosen = [item for item in candidates if days is not None and item.days > days]
    if max_gb is not None:
        going = {item.folder for item in chosen}
        left = sum(item.size for item in found if item.folder not in going)
        for item in candidates:
            if left <= max_gb * 1e9:
                break
            if item.folder not in going and item.frees_something:
                chosen.append(item)
                left -= item.size
    return chosen


def remove(item: Item) -> bool:
    """Deletes an item unless a job holds it; returns whether it is gone."""
    name = item.folder.name.removeprefix(".").removesuffix(".part").removesuffix(".old")
    try:
        with FileLock(item.folder.with_name(f"{name}.lock"), timeout=0):
            shutil.rmtree(item.folder)
    except FileNotFoundError:  # another job was quicker
        return not item.folder.exists()
    except Timeout:
        return False
    return True


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # gone since it was listed
        return None


def _files(folder: Path) -> list[os.stat_result]:
    """Of all files below a folder, of which other jobs may rename some just now."""
    paths = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return [stat for path in paths if (stat := _stat(path)) is not None and S_ISREG(stat.st_mode)]


def _seconds(folder: Path) -> float | None:
    try:
        return float(json.loads((folder / LABEL).read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
