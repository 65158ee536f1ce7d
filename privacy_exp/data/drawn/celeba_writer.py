"""Writes any data set in CelebA's official layout: the folder of images and the four text files."""

from pathlib import Path

from PIL import Image

from privacy_exp.data.base import FaceData
from privacy_exp.data.photo import BadDataError, Photo

POINTS = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")


def write_celeba(data: FaceData, out: Path, quality: int = 95) -> None:
    """Writes all photos of `data`; the text files come last, so that a folder cut short is not taken for whole.

    Images are numbered from 000001.jpg in the order of ids. The partition shares no identity between its parts (8 of
    10 people train, one each for the others), as CelebA's does. Lines end in CRLF, points are whole pixels.

    Args:
        data: photos with identity, landmarks and attributes.
        out: a new or empty folder.
        quality: of the JPEG files.

    Raises:
        BadDataError: `out` is not empty, or a photo lacks identity, landmarks or attributes.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadDataError(f"`out` must be a new or empty folder, but {out} holds files. Name another one.")
    photos = sorted(data.index(), key=lambda photo: photo.id)
    for photo in photos:
        if photo.identity is None or photo.landmarks is None or photo.attributes is None:
            raise BadDataError(f"{photo.id} has no identity, landmarks or attributes, which CelebA's files need.")
    images = out / "img_align_celeba"
    images.mkdir(parents=True)
    rows = {f"{number:06d}.jpg": photo for number, photo in enumerate(photos, start=1)}
    for name, photo in rows.items():
        Image.fromarray(data.read(photo)).save(images / name, quality=quality, subsampling=0)
    people = {identity: number for number, identity in enumerate(sorted({str(p.identity) for p in photos}), start=1)}
    _write(out / "identity_CelebA.txt", [f"{name} {people[str(photo.identity)]}" for name, photo in rows.items()])
    parts = {identity: {8: 1, 9: 2}.get((number - 1) % 10, 0) for identity, number in people.items()}
    _write(out / "list_eval_partition.txt", [f"{name} {parts[str(photo.identity)]}" for name, photo in rows.items()])
    _write(out / "list_attr_celeba.txt", _attributes(rows))
    header = " ".join(f"{point}_{axis}" for point in POINTS for axis in "xy") + " "
    _write(out / "list_landmarks_align_celeba.txt", [str(len(rows)), header, *(_points(*row) for row in rows.items())])


def _attributes(rows: dict[str, Photo]) -> list[str]:
    """The count, the names with a trailing space, and 1 or -1 for each, padded."""
    names = sorted({name for photo in rows.values() for name in photo.attributes or {}})
    lines = [
        name + "".join(f" {1 if (photo.attributes or {})[key] else -1:2d}" for key in names)
        for name, photo in rows.items()
    ]
    return [str(len(rows)), " ".join(names) + " ", *lines]


def _points(name: str, photo: Photo) -> str:
    return name + "".join(f" {round(value):4d}" for point in photo.landmarks or () for value in point)


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\r\n" for line in lines), newline="")
