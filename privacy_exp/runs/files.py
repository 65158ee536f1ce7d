"""All pictures of a run by their names, whichever layout they lie in, and the way from one layout to the other."""

import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from privacy_exp.cache.files import write_bytes
from privacy_exp.runs.layouts import KINDS, NOTES, PACKED
from privacy_exp.runs.picture import Picture
from privacy_exp.runs.shards import INDEX, PER_SHARD, append, read_index, saved_members
from privacy_exp.types import UserError

PICTURES = (*KINDS, "draws", PACKED)
"""Sub-folders of a run that hold its pictures."""

PACKING = ".packing"
"""Sub-folder in which shards are made of files."""


def saved_pictures(folder: Path) -> dict[str, Picture]:
    """Every picture of a run by its name in a run of folders, sorted as paths are.

    Raises:
        UserError: a shard is missing, cut short or damaged; the message names it.
    """
    found: dict[str, Picture] = dict(saved_members(folder))
    for kind in (*KINDS, "draws"):
        for path in (folder / kind).rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                found[str(path.relative_to(folder))] = path
    return dict(sorted(found.items(), key=lambda one: Path(one[0])))


def painted(folder: Path) -> int:
    """How many images of a run are painted; those of a batch that is being written may count."""
    index = read_index(folder)
    if index is not None:
        return sum(shard.photos for shard in index.shards)
    return len(list((folder / "results").glob("*-generated-*")))


def unpack(folder: Path) -> int:
    """Writes every picture of a packed run into a file of its own, as with `layout=folders`, and drops the shards.

    The record stays as it is: it lists pictures by the same names in both layouts. Killed, it is started again.

    Args:
        folder: a finished run.

    Returns:
        How many files; 0 where the run is not packed.

    Raises:
        UserError: a run that is not finished, or a shard that is missing, cut short or damaged.
        OSError: no space left or not writable.
    """
    _refuse_unfinished(folder)
    members = saved_members(folder)
    for name, member in members.items():
        write_bytes(folder / name, member.read_bytes())
    (folder / INDEX).unlink(missing_ok=True)  # from here on the files are what is read
    shutil.rmtree(folder / PACKED, ignore_errors=True)
    return len(members)


def unpack_all(root: Path, dry_run: bool = False) -> Iterator[str]:
    """Unpacks a run, or every finished run below a folder; a sentence on each.

    Args:
        root: the run, or the folder.
        dry_run: only say what would be done.

    Raises:
        UserError: no packed run is there.
    """
    folders = sorted(index.parents[1] for index in root.rglob(INDEX))
    if not folders:
        raise UserError(f"`unpack` must be a run with layout=packed, or a folder of such runs, but got {root}.")
    for folder in folders:
        if (folder / NOTES).is_dir():
            yield f"{folder}: not finished, stays packed"
        elif dry_run:
            yield f"{folder}: {len(saved_members(folder))} pictures would become files"
        else:
            yield f"{folder}: {unpack(folder)} pictures are files again"


def pack(folder: Path) -> int:
    """The other way round; returns how many pictures went into shards.

    Args:
        folder: a finished run.

    Raises:
        UserError: a run that is not finished.
        OSError: no space left or not writable.
    """
    _refuse_unfinished(folder)
    if (folder / INDEX).is_file():
        return 0
    pictures, aside = saved_pictures(folder), folder / PACKING
    shutil.rmtree(aside, ignore_errors=True)
    for names in _by_photos(list(pictures)):
        append(aside, {name: pictures[name].read_bytes() for name in names}, {})
    (aside / PACKED).replace(folder / PACKED)  # from here on the shards are what is read
    shutil.rmtree(aside)
    for kind in (*KINDS, "draws"):
        shutil.rmtree(folder / kind, ignore_errors=True)
    return len(pictures)


def lay_out(folder: Path, layout: str) -> None:
    """Brings a finished run into a layout, "folders" or "packed"; see `unpack` and `pack`."""
    if layout == "packed":
        pack(folder)
    else:
        unpack(folder)


def _by_photos(names: list[str]) -> Iterator[list[str]]:
    """Names of a few photos at a time, in the order of their ids; as many fill a shard."""

    def photo(name: str) -> str:
        return name.rpartition("/")[2].partition("-")[0]

    photos = [list(own) for _, own in groupby(sorted(names, key=photo), photo)]
    for start in range(0, len(photos), PER_SHARD):
        yield [name for own in photos[start : start + PER_SHARD] for name in own]


def _refuse_unfinished(folder: Path) -> None:
    if (folder / NOTES).is_dir():
        raise UserError(f"the run in {folder} is not finished; start its command again, then change its layout.")
