"""Unaligned photos of known people become aligned crops with landmarks, ready for `data=folder`."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from privacy_exp.cache.files import write_bytes, write_text
from privacy_exp.photos.crops import CELEBA_SIZE, cut, placement
from privacy_exp.photos.files import UnreadablePhotoError, list_photos, read_photo
from privacy_exp.photos.finding import FaceFinder
from privacy_exp.types import UserError

TABLES = ("groups.csv", "attributes.csv")
"""Tables beside the photos that `data=folder` reads; they are written anew with the names of the crops."""


@dataclass
class Prepared:
    """What became of the photos.

    Attributes:
        written: relative names of the crops.
        left_out: name to the reason: no face, several faces, or a file that can't be read.
    """

    written: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def prepare(people: Path, out: Path, finder: FaceFinder, size: tuple[int, int] = CELEBA_SIZE) -> Prepared:
    """Cuts the one face of each photo out, aligned to CelebA's template, into the same sub-folders.

    Args:
        people: one sub-folder per person.
        out: a new or empty folder; takes the crops as PNG, `landmarks.csv` and `left_out.csv`, and `groups.csv` and
            `attributes.csv` where `people` holds them.
        finder: finds the faces. Where one face is four times as large as any other, it is the photo's.
        size: (height, width) of the crops, in pixels.

    Raises:
        UserError: no folders of people, an `out` that is a file or has files in it, or no photo with one face.
    """
    if not people.is_dir():
        raise UserError(f"`people` must be a folder with one sub-folder per person, but there is no {people}.")
    if out.resolve().is_relative_to(people.resolve()):
        raise UserError(f"`out` must lie beside `people`, but {out} lies in it.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            f"`out` must be a new or empty folder, but {out} {'holds files' if out.is_dir() else 'is a file'}."
        )
    names, unread, _ = list_photos(people)
    flat = [name for name in names if "/" not in name]
    if flat:
        raise UserError(f"`people` must have one sub-folder per person, but {flat[0]} lies in {people} itself.")
    done = Prepared(left_out=dict.fromkeys(unread, "this format is not read"))
    targets, rows, stems = dict[str, str](), [], Counter(stem for name in names for stem in {name, _stem(name)})
    for name in tqdm(names, unit="photo", desc="preparing"):
        try:
            pixels = read_photo(people / name).pixels
        except UnreadablePhotoError as error:
            done.left_out[name] = str(error)
            continue
        found = finder.find(pixels)
        if not found or (len(found) > 1 and found[0].size < 4 * found[1].size):
            done.left_out[name] = f"{len(found)} faces" if found else "no face found"
            continue
        matrix = placement(found[0].landmarks, size)
        crop = cut(pixels, matrix, size)
        # where a.jpg and a.png lie side by side, the suffix stays in the name, so that they do not become one crop
        target = (name if stems[_stem(name)] > 1 else _stem(name)) + ".png"
        stream = io.BytesIO()
        Image.fromarray((crop * 255).round().byte().permute(1, 2, 0).numpy()).save(stream, "PNG")
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(out / target, stream.getvalue())
        points = found[0].landmarks @ matrix[:, :2].numpy().T + matrix[:, 2].numpy()
        rows.append([target, *np.round(points.reshape(-1), 2).tolist()])
        done.written.append(target)
        targets[name] = target
    if not done.written:
        raise UserError(f"`people` {people} holds no photo with exactly one face of at least {finder.min_size} pixels.")
    header = [
        "image",
        *(f"{part}_{axis}" for part in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth") for axis in "xy"),
    ]
    write_text(out / "landmarks.csv", _table([header, *rows]))
    write_text(out / "left_out.csv", _table([["photo", "reason"], *([k, v] for k, v in done.left_out.items())]))
    for table in TABLES:
        if (people / table).is_file():
            write_text(out / table, _renamed(people / table, targets))
    return done


def _renamed(path: Path, targets: Mapping[str, str]) -> str:
    """A table whose first column holds the names of crops in place of photos; rows of other photos go."""
    header, *rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    return _table([header, *([targets[row[0]], *row[1:]] for row in rows if row and row[0] in targets)])


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _table(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
