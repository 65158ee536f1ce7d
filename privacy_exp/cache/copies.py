"""Copies of files and folders, whole or not at all.

Pictures are copied, never linked: people write into run folders, and a picture that two folders share would change in
both. Where the file system can, a copy takes no room until one of the two is written to.
"""

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from privacy_exp.cache.files import explained

FICLONE = 0x40049409  # Linux: share the blocks of a file until one copy is changed (Btrfs, XFS)


def copy_files(source: Path, target: Path, only: Collection[str] | None = None, linked: Collection[str] = ()) -> int:
    """Puts files below `source` into `target`, under the same names.

    Args:
        source: a folder.
        target: a folder, made if need be; files it has under these names are replaced.
        only: names directly below `source`, of files and folders; None takes all.
        linked: names of large files that nobody edits, such as checkpoints: one file in both folders, where one file
            system holds both.

    Returns:
        How many files.

    Raises:
        OSError: no space left or not writable.
    """
    count = 0
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and (only is None or relative.parts[0] in only):
            copy_file(path, target / relative, linked=path.name in linked)
            count += 1
    return count


def copy_file(source: Path, target: Path, linked: bool = False) -> None:
    """Makes `target` a copy of `source`, or with `linked` the same file where that is possible."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # of a killed process: writing into it would write into what it is linked to
        if not (linked and _link(source, temporary)) and not _clone(source, temporary):
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    except OSError as error:
        raise explained(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> bool:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        return False
    return True


def _clone(source: Path, target: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    with source.open("rb") as read, target.open("wb") as written, suppress(OSError):
        fcntl.ioctl(written, FICLONE, read.fileno())
        return True
    return False
