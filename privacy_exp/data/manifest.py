"""The manifest of a split: a csv table that records it exactly, and reads it back."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from privacy_exp.cache.files import atomic_file
from privacy_exp.data.identity_split import PARTS, Split
from privacy_exp.data.photo import BadDataError, Photo
from privacy_exp.data.tables import read_table

ALIKE = "alike.csv"
"""Which photos look alike across the split; beside a run's manifest, where there are any."""

COLUMNS = ("image_id", "identity", "label", "part", "group")


def write_alike(path: Path, pairs: Sequence[tuple[Photo, Photo]], photos: Mapping[str, Sequence[Photo]]) -> None:
    """Writes pairs of photos that look alike as csv (first, second, their parts and people); no file without any.

    Args:
        path: the csv file.
        pairs: see `FaceData.alike`.
        photos: the parts.
    """
    if not pairs:
        path.unlink(missing_ok=True)
        return
    part = {photo.id: name for name, own in photos.items() for photo in own}
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("first", "second", "first_part", "second_part", "first_identity", "second_identity"))
        for a, b in pairs:
            writer.writerow((a.id, b.id, part[a.id], part[b.id], a.identity, b.identity))


def write_manifest(path: str | Path, photos: Mapping[str, Sequence[Photo]], identities: Sequence[str]) -> None:
    """Writes the split as a csv table (image_id, identity, label, part, group) that `read_manifest` reads back."""
    path = Path(path)
    labels = {identity: label for label, identity in enumerate(identities)}
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for part in PARTS:
            for p in photos.get(part, ()):
                label = "" if p.identity is None else labels[p.identity]
                table.writerow([p.id, p.identity or "", label, part, p.group or ""])


def read_manifest(path: str | Path, photos: Iterable[Photo]) -> Split:
    """The exact split that a manifest records, with its labels.

    Args:
        path: a `manifest.csv`.
        photos: the data's index; photos that the manifest does not name are left out.

    Raises:
        BadDataError: the file is missing or malformed, or names photos or identities that the data does not have.
    """
    rows = _manifest_rows(Path(path))
    index = {photo.id: photo for photo in photos}
    lost = [row["image_id"] for row in rows if row["image_id"] not in index]
    if lost:
        raise BadDataError(
            f"The manifest {path} names {len(lost)} of {len(rows)} photos that the data lacks: {', '.join(lost[:5])}"
            f"{', ...' if len(lost) > 5 else ''}. Point `data.root` at the data it was written for, or make a new "
            "split with data.manifest=null."
        )
    parts: dict[str, list[Photo]] = {part: [] for part in PARTS}
    for row in rows:
        photo = index[row["image_id"]]
        if (photo.identity or "") != row["identity"]:
            raise BadDataError(
                f"The manifest {path} says that {photo.id} shows {row['identity']!r}, but the data says "
                f"{photo.identity!r}. Make a new split with data.manifest=null."
            )
        parts[row["part"]].append(replace(photo, group=row["group"] or photo.group))
    return Split({part: sorted(p, key=lambda photo: photo.id) for part, p in parts.items()}, _names(path, rows), [])


def _manifest_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise BadDataError(f"`manifest` must be a manifest.csv that a run wrote, but there is no file {path}.")
    table = read_table(path, COLUMNS[1:], key=COLUMNS[0], blank_cells=True)
    rows = [{COLUMNS[0]: name, **row} for name, row in table.rows.items()]
    if not rows:
        raise BadDataError(f"The manifest {path} names no photo. Take the manifest.csv of a run folder.")
    sides: dict[str, str] = {}
    for row in rows:
        number, fault = table.lines[row["image_id"]], None
        if row["part"] not in PARTS:
            fault = f"has the part {row['part']!r}; allowed are {', '.join(PARTS)}"
        elif row["group"] and sides.setdefault(row["group"], row["part"]) != row["part"]:
            fault = f"puts group {row['group']!r} into {row['part']} as well as {sides[row['group']]}"
        if fault:
            raise BadDataError(f"Line {number} of the manifest {path} {fault}. Correct the line or take another run's.")
    return rows


def _names(path: str | Path, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Label index to identity, checked to be one to one and without gaps."""
    pairs = {(row["label"], row["identity"]) for row in rows if row["identity"]}
    names = {int(label): identity for label, identity in pairs if label.isdecimal()}
    if len(names) != len(pairs) or len(set(names.values())) != len(names) or sorted(names) != list(range(len(names))):
        raise BadDataError(
            f"The labels of the manifest {path} must number its {len({identity for _, identity in pairs})} identities "
            "from 0 without gaps, one label an identity. Correct the label column or take another run's manifest."
        )
    return [names[label] for label in range(len(names))]
