"""One photo's row in an index, its id, and the errors that data sets raise."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from privacy_exp.types import UserError


class BadDataError(UserError):
    """Input data that cannot be used; the message names the thing and the way out."""


class BadImageError(BadDataError):
    """A photo that cannot be read; the message names the file and what is wrong with it.

    Args:
        message: what a user reads where the command stops.
        left_out: the line that stands in its place where such photos are left out; None: the message itself.
    """

    def __init__(self, message: str, left_out: str | None = None) -> None:
        super().__init__(message)
        self.left_out = message if left_out is None else left_out


Points = tuple[tuple[float, float], ...]
"""(x, y) points in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One photo's row in the index; no pixels.

    Attributes:
        id: see `safe_id`.
        identity: who it shows, as the data names them; None where unknown.
        group: photos of one group (same shoot, near-duplicates) stay on one side of the split; None: on its own.
        landmarks: five (x, y) points in pixels of the image as `FaceData.read` returns it, or None.
        attributes: named booleans, or None.
    """

    id: str
    identity: str | None
    group: str | None = None
    landmarks: Points | None = None
    attributes: Mapping[str, bool] | None = None


def people_of(photos: Sequence[Photo]) -> list[str] | None:
    """Who is on each photo, as the data names them; None where that is not known of all.

    Args:
        photos: rows of the index.
    """
    known = [photo.identity for photo in photos if photo.identity is not None]
    return known if len(known) == len(photos) else None


class Flags(Mapping[str, bool]):
    """Named booleans of one photo in a few bytes: a dict for each of 200,000 photos would take half a gigabyte.

    Args:
        names: the names, shared by all photos.
        values: one boolean a name.
    """

    __slots__ = ("bits", "places")

    def __init__(self, names: tuple[str, ...], values: Sequence[bool]) -> None:
        self.places = _places(names)
        self.bits = sum(1 << i for i, value in enumerate(values) if value)

    def __getitem__(self, name: str) -> bool:
        return bool(self.bits >> self.places[name] & 1)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


@cache
def _places(names: tuple[str, ...]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


class Examined(NamedTuple):
    """What a check of one photo found.

    Attributes:
        content: hash of what decides the pixels (a file's bytes, a drawing's parameters), independent of any path.
        size: (height, width) in pixels of the image as `FaceData.read` returns it.
        look: a perceptual hash, alike for pictures that look alike; empty where nobody took it.
        doubt: what is odd about a picture that can be read all the same; empty where nothing is.
    """

    content: str
    size: tuple[int, int]
    look: bytes = b""
    doubt: str = ""


def safe_id(relative_path: str) -> str:
    """The image id of a relative path: without suffix, every byte outside [A-Za-z0-9_] as %XX."""
    stem = relative_path.rsplit(".", 1)[0] if "." in relative_path.rsplit("/", 1)[-1] else relative_path
    raw = stem.encode("utf-8", "surrogateescape")  # file names need not be valid UTF-8
    return "".join(chr(b) if b < 128 and (chr(b).isalnum() or b == 95) else f"%{b:02X}" for b in raw)
