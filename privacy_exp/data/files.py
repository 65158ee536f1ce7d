"""Image files and the small tables beside them: read, check, and say what is wrong."""

import hashlib
import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from privacy_exp.data.colour import cut_short, to_srgb
from privacy_exp.data.duplicates import look_of
from privacy_exp.data.photo import BadDataError, BadImageError, Examined, Points, safe_id
from privacy_exp.data.tables import FileNames, left_over, match_files, read_table
from privacy_exp.runs.folder import FAULTS
from privacy_exp.runs.picture import Picture, to_open

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
    ".avif",
    ".heic",
    ".heif",
)
"""Image files that are read, in upper or lower case; .heic and .heif with the extra `heic`."""

UNREAD = (
    ".arw",
    ".cr2",
    ".cr3",
    ".dng",
    ".jp2",
    ".jxl",
    ".nef",
    ".orf",
    ".psd",
    ".raf",
    ".svg",
    ".mov",
    ".mp4",
    ".avi",
)
"""Pictures and films that are not read; they are counted, so that nobody misses photos unawares."""

_TRUTH = {"1": True, "-1": False, "0": False, "true": True, "false": False}
NEEDED = {
    ".heic": "HEIC needs `pip install privacy-exp[heic]`",
    ".heif": "HEIC needs `pip install privacy-exp[heic]`",
    ".avif": "AVIF needs `pip install --upgrade pillow`",
}
"""What to install where files of a kind are no image to Pillow."""

_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
THUMBNAIL = 32
"""Pixels: a check decodes JPEG files no smaller than this; every byte is read all the same."""


def is_image(name: str) -> bool:
    """Whether a file's name has one of `SUFFIXES` and is not hidden."""
    return name.lower().endswith(SUFFIXES) and not name.rsplit("/", 1)[-1].startswith(".")


def read_image(path: Picture, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """An image file's pixels, RGB in 0-255, upright (EXIF orientation), transparency over white.

    Args:
        path: the file.
        size: (height, width) to scale to, by covering the frame and cutting to its centre; None keeps the file's own.

    Raises:
        BadImageError: the file is missing, empty, cut short or no image.
    """
    try:
        with Image.open(to_open(path)) as file:
            image = upright_srgb(file)
    except FAULTS as error:
        raise _bad_image(path, error) from error
    if size is not None:
        image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BICUBIC)
    return np.array(image)


def examine_image(path: Picture, size: tuple[int, int] | None = None) -> Examined:
    """Hash of a file's bytes and the size that `read_image` gives; decodes the whole file, at an eighth for JPEG.

    Raises:
        BadImageError: as `read_image`.
    """
    try:
        state = path.stat()
        return _examine(path.absolute(), state.st_size, state.st_mtime_ns, size)
    except FAULTS as error:
        raise _bad_image(path, error) from error


@cache  # a sweep in one process sets the same data up for each of its runs; a file that changed is examined again
def _examine(path: Picture, n_bytes: int, changed: int, size: tuple[int, int] | None) -> Examined:
    del n_bytes, changed
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        own_size = _upright_size(image)
        image.draft("RGB", (THUMBNAIL, THUMBNAIL))  # reads every byte all the same: a file cut short is noticed
        small = upright_srgb(image)
        doubt = cut_short(small) if image.format == "JPEG" else ""
    return Examined(hashlib.sha256(content).hexdigest(), size or own_size, look_of(small), doubt)


def upright_size(path: Picture) -> tuple[int, int]:
    """(height, width) that `read_image` gives, from the file's header alone.

    Raises:
        BadImageError: the file is missing or has no readable header.
    """
    try:
        with Image.open(to_open(path)) as image:
            return _upright_size(image)
    except FAULTS as error:
        raise _bad_image(path, error) from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if _orientation(image) >= 5 else (height, width)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where it is missing, of another type, or EXIF is broken."""
    if image.format == "TIFF":
        return 1  # Pillow itself says the upright size and turns the picture as it loads
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except FAULTS:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def upright_srgb(file: Image.Image) -> Image.Image:
    """An opened file's picture upright and in sRGB, 8 bits; transparency is put over white.

    Raises:
        ValueError: see `to_srgb`.
    """
    turn = _TURNS.get(_orientation(file))
    image = to_srgb(file)
    return image if turn is None else image.transpose(turn)


def _bad_image(path: Picture, error: BaseException) -> BadImageError:
    fault = fault_of(path, error)
    return BadImageError(
        f"The image {path} cannot be read: {fault}. Fetch it again or take it away, or set data.on_bad_image=skip to "
        "leave such images out and list them.",
        f"unreadable image {path}: {fault}",
    )


def fault_of(path: Picture, error: BaseException) -> str:
    """Why a file can't be read, in words; where a reader is missing, how to get it."""
    if isinstance(path, Path) and path.is_file() and path.stat().st_size == 0:
        return "it is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return NEEDED.get(path.suffix.lower(), "it is not an image")
    if isinstance(error, MemoryError):
        return f"its header asks for more memory than there is, and the file has {path.stat().st_size} bytes"
    return str(error)


def unique_ids(names: Iterable[str]) -> dict[str, str]:
    """Image id to the relative path it stands for, in the order of ids.

    Raises:
        BadDataError: two paths have one id, such as `a.jpg` and `a.png`; or an id is too long for a file name.
    """
    found: dict[str, str] = {}
    for name in names:
        key = safe_id(name)
        if key in found:
            first, second = sorted((found[key], name))
            raise BadDataError(f"{first} and {second} share the image id {key}. Rename or remove one of the two files.")
        if len(key) > 200:  # results are files named after the id, and file systems allow 255 bytes
            raise BadDataError(f"{name} makes an image id of {len(key)} characters; at most 200 fit. Shorten the name.")
        found[key] = name
    return dict(sorted(found.items()))


def read_groups(path: Path, files: FileNames) -> tuple[dict[str, str], list[str]]:
    """Image to its group from a csv table (image, group), and what was left over; empty if there is no such file.

    Images without a row or a name for the group stand on their own.

    Raises:
        BadDataError: the table has other columns, or names none of the images.
    """
    if not path.is_file():
        return {}, []
    table = read_table(path, None, blank_cells=True)
    if len(table.columns) != 1:
        raise BadDataError(f"{path} must have two columns, image and group, but has {1 + len(table.columns)}.")
    matched = match_files(table, files)
    groups = {name: row[table.columns[0]] for name, row in matched.rows.items() if row[table.columns[0]]}
    return groups, left_over(table, matched)


def truth(cell: str, path: Path, name: str) -> bool:
    """A boolean cell: 1 or -1 as in CelebA, 0 or 1, true or false.

    Raises:
        BadDataError: anything else.
    """
    value = _TRUTH.get(cell.lower())
    if value is None:
        raise BadDataError(f"The row of {name} in {path} says {cell!r}; attributes are 1 or -1 (or 0, true, false).")
    return value


def points(cells: list[str], path: Path, name: str) -> Points:
    """Five (x, y) points from ten cells.

    Raises:
        BadDataError: not ten numbers.
    """
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        numbers = []
    if len(numbers) != 10 or not np.isfinite(numbers).all():
        raise BadDataError(f"The row of {name} in {path} must be ten numbers, x and y of five points, but is {cells}.")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))
