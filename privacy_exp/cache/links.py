"""Files that two folders share: hard links where one file system holds both, copies elsewhere.

A shared file is never written in place (see `atomic_file`), so that neither folder can change the other's.
"""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from privacy_exp.cache.files import explained


def share(source: Path, target: Path, only: Collection[str] | None = None) -> int:
    """Puts files below `source` into `target`, under the same names.

    Args:
        source: a folder.
        target: a folder, made if need be; files it has under these names are replaced.
        only: names directly below `source`, of files and folders; None takes all.

    Returns:
        How many files.

    Raises:
        OSError: no space left or not writable.
    """
    count = 0
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and (only is None or relative.parts[0] in only):
            share_file(path, target / relative)
            count += 1
    return count


def share_file(source: Path, target: Path) -> None:
    """Makes `target` the same file as `source`, or a copy of it, whole or not at all."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # of a killed process: writing into it would write into what it is linked to
        try:
            temporary.hardlink_to(source)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    except OSError as error:
        raise explained(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)
