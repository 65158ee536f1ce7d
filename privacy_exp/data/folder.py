"""Faces in folders: one sub-folder per identity, as LFW, VGGFace2 and one's own photos come, or crops of anyone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from jaxtyping import UInt8

from privacy_exp.data.base import FaceData
from privacy_exp.data.files import (
    SUFFIXES,
    examine_image,
    points,
    read_groups,
    read_image,
    truth,
    unique_ids,
    upright_size,
)
from privacy_exp.data.find import find_images, refuse_parts, refuse_undecodable
from privacy_exp.data.keys import DataKeys
from privacy_exp.data.photo import BadDataError, BadImageError, Examined, Flags, Photo, Points
from privacy_exp.data.points import resized_points
from privacy_exp.data.tables import FileNames, left_over, match_files, read_table


class Folder(FaceData):
    """Image files in one sub-folder per identity; further sub-folders, linked ones too, belong to it.

    Hidden files and folders, those of other programs (`@eaDir`) and kinds of files that are not read are passed over
    and counted in `skipped`.

    Optional tables in `root`, whose first column is the path of the image relative to `root`: `groups.csv` (path,
    group), `landmarks.csv` (path, x and y of five points in pixels of the upright file) and `attributes.csv` (path and
    named columns of 1 and 0).

    Args:
        root: the folder.
        image_size: (height, width) in pixels to scale to, by covering the frame and cutting to its centre, so that
            faces keep their shape; None keeps the files' own, which must then all be alike.
        labelled: False takes any folder of crops, flat or not; nobody is known by name and all photos are in "test".
        align: the photos are unaligned. Commands then align them first; from Python it is
            `privacy_exp.photos.prepare.prepare`, whose folder is taken without this key.
        **keys: see `FaceData`.

    Raises:
        BadDataError: from `setup()`; the message names the file and the way out.

    Example:
        >>> data = Folder("people", image_size=[218, 178])
        >>> data.setup()  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | None = None,
        image_size: Sequence[int] | int | None = None,
        labelled: bool = True,
        align: bool = False,
        **keys: Unpack[DataKeys],
    ) -> None:
        super().__init__(**keys)
        if image_size is not None and (isinstance(image_size, int) or len(image_size) != 2 or min(image_size) < 1):
            given = image_size if isinstance(image_size, int) else list(image_size)
            raise BadDataError(
                f"`image_size` must be [height, width] in pixels, but got {given}. Set for example "
                "data.image_size=[218,178]."
            )
        self.root, self.align = root, align
        self.labelled = labelled
        self._size = None if image_size is None else (int(image_size[0]), int(image_size[1]))
        self.names: dict[str, str] = {}

    def index(self) -> list[Photo]:
        """All images below the folder, with what the tables beside them say."""
        root = self._root()
        if self.align:
            raise BadDataError(
                "`align` is for commands, which align photos first. From Python, call "
                "privacy_exp.photos.prepare.prepare and take its folder without `align`."
            )
        found = find_images(root)
        names = found.names
        if not names:
            raise BadDataError(f"{root} holds no image; files ending in {', '.join(SUFFIXES)} are read.")
        if self.labelled:
            refuse_parts(root, names)
            refuse_undecodable(name.split("/", 1)[0] for name in names)
        self.skipped += found.passed_over
        loose = [name for name in names if "/" not in name]
        if self.labelled and loose:
            raise BadDataError(
                f"{len(loose)} images, such as {loose[0]}, lie in {root} itself and belong to nobody. Move each into a "
                "sub-folder named after the person, or set data.labelled=false where names are not needed."
            )
        self.names = unique_ids(names)
        files = FileNames(names, root)
        groups, unused = read_groups(root / "groups.csv", files)
        landmarks, more = self._landmarks(root, files)
        attributes, rest = _attributes(root / "attributes.csv", files)
        self.skipped += unused + more + rest
        return [
            Photo(
                key,
                name.split("/", 1)[0] if self.labelled else None,
                groups.get(name),
                landmarks.get(name),
                attributes.get(name),
            )
            for key, name in self.names.items()
        ]

    def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
        """One photo's pixels, RGB in 0-255, at `image_size` where that was given."""
        return read_image(self._root() / self.names[photo.id], self._size)

    def examine(self, photo: Photo) -> Examined:
        """Hash of the file's bytes, and the size it is read at."""
        return examine_image(self._root() / self.names[photo.id], self._size)

    def _root(self) -> Path:
        if self.root is None:
            raise BadDataError("`root` must be a folder of images, but none was given. Set data.root=DIR.")
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise BadDataError(f"`root` must be a folder of images, but there is no folder {root}. Set data.root=DIR.")
        return root

    def _landmarks(self, root: Path, files: FileNames) -> tuple[dict[str, Points], list[str]]:
        """Landmarks by path, moved to where `image_size` puts them, and what was left over."""
        path = root / "landmarks.csv"
        if not path.is_file():
            return {}, []
        table = read_table(path, None)
        matched = match_files(table, files)
        found = {name: points(list(row.values()), path, name) for name, row in matched.rows.items()}
        if self._size is None:
            return found, left_over(table, matched)
        for name, own in found.items():
            try:
                found[name] = _move(own, upright_size(root / name), self._size)
            except BadImageError:
                continue  # `setup` reports or skips the image
        return found, left_over(table, matched)


def _attributes(path: Path, files: FileNames) -> tuple[dict[str, Flags], list[str]]:
    if not path.is_file():
        return {}, []
    table = read_table(path, None)
    matched, names = match_files(table, files), tuple(table.columns)
    flags = {name: Flags(names, [truth(row[c], path, name) for c in names]) for name, row in matched.rows.items()}
    return flags, left_over(table, matched)


def _move(own: Points, old: tuple[int, int], new: tuple[int, int]) -> Points:
    """Points after an image of the old (height, width) was scaled to cover the new one and cut to its centre."""
    scale = max(new[0] / old[0], new[1] / old[1])
    left, top = (old[1] - new[1] / scale) / 2, (old[0] - new[0] / scale) / 2
    moved = resized_points(torch.tensor(own, dtype=torch.float64) - torch.tensor([left, top]), scale)
    return tuple((float(x), float(y)) for x, y in moved)
