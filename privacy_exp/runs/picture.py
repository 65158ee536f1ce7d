"""One saved picture: a file of its own, or a member of a tar shard."""

import hashlib
import io
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from privacy_exp.cache.content import file_digest
from privacy_exp.types import UserError


@dataclass(frozen=True)
class Member:
    """A picture inside a shard, with as much of a path's ways as readers of pictures use.

    Attributes:
        shard: the tar file.
        name_in_run: of the file that this picture is in a run of folders, such as results/000001-generated-label-3.jpg.
        offset: of its first byte in the shard.
        size: in bytes.

    Example:
        >>> Member(Path("pictures-000000.tar"), "results/7-generated-label-3.jpg", 512, 9).suffix
        '.jpg'
    """

    shard: Path
    name_in_run: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}:{self.name_in_run}"

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return PurePosixPath(self.name_in_run).name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name_in_run).stem

    @property
    def suffix(self) -> str:
        """The suffix, with its point."""
        return PurePosixPath(self.name_in_run).suffix

    def absolute(self) -> "Member":
        """The same picture, whatever the working folder."""
        return Member(self.shard.absolute(), self.name_in_run, self.offset, self.size)

    def stat(self) -> os.stat_result:
        """What the system knows of the shard."""
        return self.shard.stat()

    def read_bytes(self) -> bytes:
        """The picture's file.

        Raises:
            UserError: the shard ends before the picture does.
        """
        known = self.stat()
        if hasattr(os, "pread"):  # threads and forks share no position
            opened = _opened(self.shard, known.st_ino, known.st_mtime_ns)  # held: else it may close before it is read
            content = os.pread(opened.number, self.size, self.offset)
        else:  # Windows
            with self.shard.open("rb") as own:
                own.seek(self.offset)
                content = own.read(self.size)
        if len(content) != self.size:
            raise UserError(f"{self.shard} is cut short inside {self.name_in_run}; run the cell again.")
        return content


Picture = Path | Member
"""What a run's pictures are listed and read as."""


class _Opened:
    """A shard that is open as long as somebody may read from it."""

    def __init__(self, shard: Path) -> None:
        self.number = os.open(shard, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.number)


@lru_cache(maxsize=16)
def _opened(shard: Path, inode: int, changed: int) -> _Opened:
    """A shard is opened once for many pictures: on a shared file system opening is what takes time."""
    del inode, changed
    return _Opened(shard)


def to_open(picture: Picture) -> Path | io.BytesIO:
    """What Pillow opens a picture by."""
    return picture if isinstance(picture, Path) else io.BytesIO(picture.read_bytes())


def picture_digest(picture: Picture) -> str:
    """SHA-256 of a picture's file; the same in a folder and in a shard."""
    if isinstance(picture, Path):
        return file_digest(picture)
    known = picture.stat()
    return _digest(picture.absolute(), known.st_ino, known.st_mtime_ns)


@lru_cache(maxsize=1 << 17)  # a record, its check and every judge ask for the same ones
def _digest(member: Member, inode: int, changed: int) -> str:
    del inode, changed
    return hashlib.sha256(member.read_bytes()).hexdigest()
