"""Pictures of a run in WebDataset's tar shards (`layout=packed`), for studies whose file system counts files.

    packed/pictures-000000.tar    000001.results.jpg  000001.masks.jpg  000001.control.jpg  000001.draw1.jpg  000001.cls
    packed/originals-000000.tar   000001.original.jpg 000001.cls
    packed/index.json             how much of each shard counts

Batches are appended, and count from the moment at which the index, written whole, says so. What a killed run has left
behind that point is written over by the next batch. Members have no times and no owners: equal pictures give equal
shards, so that all cells of a data set can share those of the originals.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from privacy_exp.cache.files import explained, write_text
from privacy_exp.runs.layouts import KINDS, NOTES, PACKED
from privacy_exp.runs.picture import Member
from privacy_exp.types import UserError

INDEX = f"{PACKED}/index.json"
NOTES_TAR = f"{NOTES}/notes.tar"
LOCK = f"{NOTES}/packed.lock"
PER_SHARD = 1000
"""Photos from which on a shard is full: 20,000 photos of 512 pixels make 40 files of some 300 MB."""

AGAIN = "copy the run here again, or compute the cell again with rerun=true"


@dataclass
class Shard:
    """The two tar files of some photos: what was made of them, and the originals.

    Attributes:
        photos: how many.
        pictures: bytes that count of `pictures-N.tar`.
        originals: bytes that count of `originals-N.tar`.
    """

    photos: int = 0
    pictures: int = 0
    originals: int = 0


@dataclass
class Index:
    """What counts of a packed run.

    Attributes:
        shards: by their number.
        notes: bytes that count of the tar of notes on batches, while the run goes on.
    """

    shards: list[Shard] = field(default_factory=list)
    notes: int = 0


def read_index(folder: Path) -> Index | None:
    """The index of a packed run; None where the run is not packed.

    Raises:
        UserError: it cannot be read.
    """
    path = folder / INDEX
    try:
        plain = json.loads(path.read_text())
        return Index([Shard(**shard) for shard in plain["shards"]], int(plain["notes"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); {AGAIN}.") from error


def append(folder: Path, pictures: Mapping[str, bytes], notes: Mapping[str, bytes]) -> None:
    """Adds a batch: all of it counts afterwards, or nothing.

    Args:
        folder: the run's; several processes may add to it.
        pictures: name in a run of folders to content, such as results/000001-generated-label-3.jpg.
        notes: on the batch, by name; see `read_notes`.

    Raises:
        OSError: no space left or not writable; nothing of the batch counts then.
    """
    (folder / LOCK).parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK):
        index = read_index(folder) or Index()
        if not (folder / NOTES_TAR).is_file():  # every batch was forgotten: they are painted anew
            shutil.rmtree(folder / PACKED, ignore_errors=True)
            index = Index()
        if not index.shards or index.shards[-1].photos >= PER_SHARD:
            index.shards.append(Shard())
        shard, number = index.shards[-1], len(index.shards) - 1
        for kind, members in _members_by_file(pictures).items():
            size = _add(shard_file(folder, kind, number), getattr(shard, kind), members)
            setattr(shard, kind, size)
        shard.photos += len({_taken_apart(name)[0] for name in pictures})
        index.notes = _add(folder / NOTES_TAR, index.notes, notes)
        write_text(folder / INDEX, json.dumps(asdict(index)) + "\n")


def shard_file(folder: Path, kind: str, number: int) -> Path:
    """A shard's file.

    Args:
        folder: the run's.
        kind: "pictures" or "originals".
        number: of the shard.
    """
    return folder / PACKED / f"{kind}-{number:06d}.tar"


def original_shards(folder: Path) -> list[Path]:
    """The shards of originals of a packed run; none where it is not packed."""
    return sorted((folder / PACKED).glob("originals-*.tar"))


def picture_shards(folder: Path) -> list[Path]:
    """The shards of masks, results and controls of a packed run; none where it is not packed."""
    return sorted((folder / PACKED).glob("pictures-*.tar"))


def _add(path: Path, counted: int, members: Mapping[str, bytes]) -> int:
    """Appends members behind the bytes that count, and returns how many bytes count now."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "w+b") as file:
            if file.seek(0, os.SEEK_END) < counted:
                raise _cut_short(path, file.tell(), counted)
            file.truncate(counted)
            file.seek(counted)
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for name, content in members.items():
                    about = tarfile.TarInfo(name)
                    about.size = len(content)
                    tar.addfile(about, io.BytesIO(content))
                counted = tar.offset  # the mark of the end, which follows, is written over by the next batch
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explained(error, path) from error
    return counted


def saved_members(folder: Path) -> dict[str, Member]:
    """Every picture of a packed run, by its name in a run of folders; none where the run is not packed.

    Raises:
        UserError: a shard is missing, cut short or damaged; the message names it.
    """
    index = read_index(folder)
    found: dict[str, Member] = {}
    for number, shard in enumerate(index.shards if index else []):
        for kind in ("pictures", "originals"):
            path, counted = shard_file(folder, kind, number), getattr(shard, kind)
            if not counted:
                continue
            if not path.is_file():
                raise UserError(f"{path} is missing, but {INDEX} lists it; {AGAIN}.")
            known = path.stat()
            if known.st_size < counted:
                raise _cut_short(path, known.st_size, counted)
            found |= _scanned(path, counted, known.st_ino, known.st_mtime_ns)
    return found


@lru_cache(maxsize=64)  # every measure lists a run's pictures
def _scanned(path: Path, counted: int, inode: int, changed: int) -> dict[str, Member]:
    del inode, changed
    places: dict[str, tuple[int, int]] = {}
    classes: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            for about in _heads(file, counted):
                key, _, rest = about.name.partition(".")
                if rest == "cls":
                    file.seek(about.offset_data)
                    classes[key] = file.read(about.size).decode()
                else:
                    places[about.name] = about.offset_data, about.size
    except (tarfile.TarError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); {AGAIN}.") from error
    names = {member: _put_together(member, classes) for member in places}
    return {name: Member(path, name, *places[member]) for member, name in names.items()}


def _heads(file: io.BufferedReader, counted: int) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=file, mode="r:") as tar:
        kept: list[tarfile.TarInfo] = vars(tar)["members"]  # all that were read, a kilobyte each
        while (about := tar.next()) is not None and about.offset < counted:
            yield about
            kept.clear()
            if tar.offset >= counted:
                return
        raise tarfile.ReadError(f"its members end at byte {tar.offset} of {counted}")


def read_notes(folder: Path) -> dict[str, bytes]:
    """What stands in the notes of a packed run, by name; nothing where there are none.

    Raises:
        UserError: they are damaged.
    """
    path, index = folder / NOTES_TAR, read_index(folder)
    if index is None or not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            found = {}
            for about in list(_heads(file, index.notes)) if index.notes else []:
                file.seek(about.offset_data)
                found[about.name] = file.read(about.size)
            return found
    except (tarfile.TarError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}).") from error


def _members_by_file(pictures: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Members of each of the two files, all of a photo beside each other, as WebDataset wants them."""
    found: dict[str, dict[str, dict[str, bytes]]] = {"pictures": {}, "originals": {}}
    for name, content in pictures.items():
        image_id, class_id, rest = _taken_apart(name)
        members = found["originals" if rest.startswith("original.") else "pictures"].setdefault(image_id, {})
        members[f"{image_id}.{rest}"] = content
        if class_id.isdecimal():
            members[f"{image_id}.cls"] = class_id.encode()
    return {kind: {n: c for members in photos.values() for n, c in members.items()} for kind, photos in found.items()}


def _taken_apart(name: str) -> tuple[str, str, str]:
    """Image id, class id and the rest of a member's name, of a name in a run of folders."""
    *draws, kind, file = name.split("/")
    stem, _, suffix = file.rpartition(".")
    image_id, _, rest = stem.partition("-")
    return image_id, rest.rpartition("-")[2], f"draw{draws[1]}.{suffix}" if draws else f"{kind}.{suffix}"


def _put_together(member: str, classes: Mapping[str, str]) -> str:
    """The name in a run of folders of a member."""
    image_id, what, suffix = member.split(".")
    kind, before = ("results", f"draws/{what[4:]}/") if what.startswith("draw") else (what, "")
    if kind not in KINDS:
        raise ValueError(f"{member} is no picture of a run")
    return f"{before}{kind}/{image_id}-{KINDS[kind]}-label-{classes.get(image_id, 'unknown')}.{suffix}"


def _cut_short(path: Path, size: int, counted: int) -> UserError:
    return UserError(f"{path} is cut short: it holds {size} of {counted} bytes; {AGAIN}.")
