"""CelebA in its official layout, or any data set written in that layout."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, Unpack

import numpy as np
from jaxtyping import UInt8

from privacy_exp.data.base import FaceData
from privacy_exp.data.files import examine_image, is_image, points, read_groups, read_image, truth, unique_ids
from privacy_exp.data.keys import DataKeys
from privacy_exp.data.photo import BadDataError, Examined, Flags, Photo, Points
from privacy_exp.data.tables import FileNames, refuse_foreign

Row = TypeVar("Row")
_GET = "Fetch CelebA with `python scripts/download_celeba.py DIR` and set data.root=DIR."


class CelebA(FaceData):
    """CelebA's aligned faces with the identities, attributes and landmarks of its text files, split within identity.

    Reads `img_align_celeba/` (any subset of the images), `identity_CelebA`, and where they are there
    `list_attr_celeba`, `list_landmarks_align_celeba` (.txt or .csv) and `groups.csv` (image, group), with any line
    ends, padding, separators, with or without count lines and headers. The official partition shares no identity
    between its parts, so it cannot serve to recognise people and is not read.

    Args:
        root: the folder with `img_align_celeba/`, or the folder around it (`celeba/`).
        **keys: see `FaceData`.

    Raises:
        BadDataError: from `setup()`; the message names the file, the line and the way out.

    Example:
        >>> data = CelebA("celeba", max_test_images=600)
        >>> data.setup()  # doctest: +SKIP

    Reference: Liu et al., Deep Learning Face Attributes in the Wild, 2015.
    """

    def __init__(self, root: str | None = None, **keys: Unpack[DataKeys]) -> None:
        super().__init__(**keys)
        self.root = root
        self._images = Path()
        self.names: dict[str, str] = {}

    def index(self) -> list[Photo]:
        """All images of the folder, with what the text files say about them."""
        base = self._base()
        self._images = _image_folder(base)
        self.names = unique_ids(f.name for f in self._images.iterdir() if is_image(f.name))
        if not self.names:
            raise BadDataError(f"{self._images} holds no image. {_GET}")
        names = list(self.names.values())
        files = FileNames(names)
        identity_file = _table_file(base, "identity_CelebA")
        if identity_file is None:
            raise BadDataError(f"{base} has no identity_CelebA.txt: without it nobody is known by name. {_GET}")
        identities = _by_file(identity_file, _identities(identity_file), files)
        nameless = [name for name in names if name not in identities]
        if nameless:
            raise BadDataError(
                f"{len(nameless)} of {len(names)} images, such as {nameless[0]}, have no identity in {identity_file}. "
                "Add their rows, or take the images away."
            )
        attributes = _optional(base, "list_attr_celeba", _attributes, files)
        landmarks = _optional(base, "list_landmarks_align_celeba", _landmarks, files)
        groups, unused = read_groups(base / "groups.csv", files)
        self.skipped += unused
        return [
            Photo(key, identities[name], groups.get(name), landmarks.get(name), attributes.get(name))
            for key, name in self.names.items()
        ]

    def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
        """One photo's pixels, RGB in 0-255."""
        return read_image(self._images / self.names[photo.id])

    def examine(self, photo: Photo) -> Examined:
        """Hash of the file's bytes, and its size."""
        return examine_image(self._images / self.names[photo.id])

    def _base(self) -> Path:
        if self.root is None:
            raise BadDataError(f"`root` must be the folder of CelebA, but none was given. {_GET}")
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise BadDataError(f"`root` must be the folder of CelebA, but there is no folder {root}. {_GET}")
        inner = root / "celeba"
        return inner if inner.is_dir() and not (root / "img_align_celeba").is_dir() else root


def _image_folder(base: Path) -> Path:
    """`img_align_celeba` where copies of CelebA keep it; some have it twice, one inside the other."""
    for folder in (base / "img_align_celeba", base / "Img" / "img_align_celeba"):
        if folder.is_dir():
            nested = folder / "img_align_celeba"
            return nested if nested.is_dir() else folder
    archive = next(base.rglob("img_align_celeba.zip"), None)
    if archive is not None:
        raise BadDataError(f"{base} has no folder img_align_celeba/, but {archive} is there: unzip it in {base}.")
    raise BadDataError(f"{base} has no folder img_align_celeba/. {_GET}")


def _table_file(base: Path, stem: str) -> Path | None:
    """The text file of that name where copies of CelebA keep it."""
    places = [base / folder / f"{stem}{suffix}" for folder in ("", "Anno", "Eval") for suffix in (".txt", ".csv")]
    return next((place for place in places if place.is_file()), None)


def _optional(base: Path, stem: str, parse: Callable[[Path], dict[str, Row]], files: FileNames) -> dict[str, Row]:
    path = _table_file(base, stem)
    return {} if path is None else _by_file(path, parse(path), files)


def _by_file(path: Path, rows: dict[str, Row], files: FileNames) -> dict[str, Row]:
    """Rows by the image they mean. Rows of images that are not there are passed over: any subset of CelebA will do."""
    found: dict[str, Row] = {}
    for key, row in rows.items():
        name = files.find(key)
        if name is not None and found.setdefault(name, row) is not row:
            raise BadDataError(f"{path} has two rows for {name}, one of them under {key}. Remove one of the lines.")
    if not found:
        refuse_foreign(path, rows, files)
    return found


def parse_table(path: Path, parse: Callable[[str, list[str], list[str]], Row]) -> dict[str, Row]:
    """One of CelebA's text files, row by row.

    Args:
        path: the file.
        parse: makes a value of a row from the image's name, its other cells, and the header's (empty without one).

    Returns:
        Image name to that value.

    Raises:
        BadDataError: a web page in place of the file, an empty file, a wrong count line, or an image named twice.
    """
    count, header, rows = None, list[str](), dict[str, Row]()
    empty = True
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            cells = [cell.strip() for cell in line.split(",")] if "," in line else line.split()
            if not cells:
                continue
            if empty and cells[0].startswith("<"):
                raise BadDataError(
                    f"{path} is a web page, not a table: the download was refused (often with 'quota exceeded'). "
                    f"Delete the file. {_GET}"
                )
            if empty and len(cells) == 1 and cells[0].isdecimal():
                count = int(cells[0])
            elif not header and not rows and not is_image(cells[0]):
                header = cells
            elif cells[0] in rows:
                raise BadDataError(f"Line {number} of {path} names {cells[0]} a second time. Remove one of the lines.")
            else:
                rows[cells[0]] = parse(cells[0], cells[1:], header)
            empty = False
    if empty:
        raise BadDataError(f"{path} is empty. {_GET}")
    if count not in (None, len(rows)):
        raise BadDataError(
            f"The first line of {path} announces {count} rows, but there are {len(rows)}: the file was cut short or "
            "edited. Fetch it again, or correct the number on the first line."
        )
    return rows


def _identities(path: Path) -> dict[str, str]:
    def parse(name: str, cells: list[str], header: list[str]) -> str:
        del header  # the two columns need no names
        if len(cells) != 1 or not cells[0].isdecimal() or not is_image(name):
            line = " ".join([name, *cells])[:80]
            raise BadDataError(f"Rows of {path} must be an image name and a whole number, but one is {line!r}.")
        return str(int(cells[0]))  # 01 and 1 are one person

    return parse_table(path, parse)


def _attributes(path: Path) -> dict[str, Flags]:
    names = tuple[str, ...]()

    def parse(name: str, cells: list[str], header: list[str]) -> Flags:
        nonlocal names
        if not header:
            raise BadDataError(f"{path} has no line with the names of the attributes. {_GET}")
        if not names:  # one tuple for all rows; csv copies also name the image's column
            names = tuple(header[1:] if len(header) == len(cells) + 1 else header)
            twice = sorted({column for column in names if names.count(column) > 1})
            if twice:
                raise BadDataError(f"The header of {path} names {twice[0]} twice. Rename or remove one of the columns.")
        if len(cells) != len(names):
            raise BadDataError(
                f"The row of {name} in {path} has {len(cells)} attributes, but the header names {len(names)}. Correct "
                "the row, or fetch the file again."
            )
        return Flags(names, [truth(cell, path, name) for cell in cells])

    return parse_table(path, parse)


def _landmarks(path: Path) -> dict[str, Points]:
    return parse_table(path, lambda name, cells, header: points(cells, path, name))
