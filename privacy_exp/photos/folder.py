"""A folder of whole photos in, the same folder out; killed and started again it goes on."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from privacy_exp.cache.files import write_text
from privacy_exp.cache.keys import content_key
from privacy_exp.photos.files import (
    Photo,
    UnreadablePhotoError,
    carries_mark,
    check_metadata,
    list_photos,
    read_photo,
    save_photo,
)
from privacy_exp.photos.finding import Found
from privacy_exp.photos.outcome import Outcome
from privacy_exp.photos.treating import PhotoAnonymizer, Treated
from privacy_exp.types import UserError

log = logging.getLogger(__name__)

STATE = ".privacy_exp"
"""Folder of notes inside `out`: the settings, and what is known of each finished photo."""

PIXELS_AT_ONCE = 100_000_000
"""Pixels of photos in memory from which a batch is painted though it isn't full: eight photos of 12 megapixels."""


def anonymize_folder(
    source: Path,
    out: Path,
    anonymizer: PhotoAnonymizer,
    settings: Mapping[str, Any],
    batch_size: int = 16,
    keep_metadata: Sequence[str] = (),
) -> Outcome:
    """Writes every photo of a folder anew into another one, under the same relative name.

    Args:
        source: the photos, sub-folders included.
        out: takes the results; new, empty, or from an earlier call with the same settings.
        anonymizer: treats them.
        settings: all that decides the results, as plain values; other settings are refused in an `out` begun before.
        batch_size: faces painted at a time, of several photos.
        keep_metadata: names of EXIF tags that are kept.

    Raises:
        UserError: no such folder or no photo in it, an `out` of other settings or in use, a tag that can't be kept.
    """
    check_metadata(keep_metadata)
    names, unread, others = _checked(source, out)
    thresholds = {watcher.name: watcher.threshold for watcher in anonymizer.looking.watchers}
    keeping = None if anonymizer.people is None else anonymizer.people.watcher.strict
    outcome = Outcome(unread=unread, others=others, thresholds=thresholds, keeping=keeping)
    with _held(out):
        _same_settings(out, content_key({**settings, "keep_metadata": list(keep_metadata)}))
        waiting = []
        for name in names:
            row = _finished(source, out, name)
            if row is None:
                waiting.append(name)
            else:
                outcome.rows.append(row)
        if outcome.rows:
            log.info("%d of %d photos were finished before; going on with the rest", len(outcome.rows), len(names))
        with tqdm(total=len(waiting), unit="photo", desc="anonymising") as bar:
            for group in _groups(source, waiting, anonymizer, batch_size, keep_metadata, outcome, bar):
                _treat(group, source, out, anonymizer, outcome)
                bar.update(len(group))
        outcome.rows.sort(key=lambda row: row["photo"])
        outcome.unmarked = [row["photo"] for row in outcome.rows if row["changed"] and not row["marked"]]
        outcome.stale = _stale(out, {row["photo"] for row in outcome.rows})
    return outcome


def _checked(source: Path, out: Path) -> tuple[list[str], list[str], int]:
    if not source.is_dir():
        raise UserError(f"`photos` must be a folder, but there is no {source}.")
    inner, outer = out.resolve(), source.resolve()
    if inner == outer or inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise UserError(
            f"`out` must lie beside `photos` and not inside it, nor the other way round, but got {out} and {source}."
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"`out` must be a folder, but {out} is a file.")
    names, unread, others = list_photos(source)
    if not names:
        raise UserError(f"`photos` {source} holds no photo that can be read ({len(unread)} in other formats).")
    if out.is_dir() and any(out.iterdir()) and not (out / STATE / "settings.json").is_file():
        raise UserError(f"`out` {out} holds files already that are not of an earlier call; name a new folder.")
    return names, unread, others


@contextmanager
def _held(out: Path) -> Iterator[None]:
    (out / STATE).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / STATE / "lock", timeout=0):
            shutil.rmtree(out / STATE / "work", ignore_errors=True)  # what a kill left half-written
            yield
    except Timeout as error:
        raise UserError(
            f"`out` {out} is being written by another process; wait for it, or name another folder."
        ) from error


def work_folder(out: Path) -> Path:
    """Takes files while they are written, so that a kill leaves nothing among the results."""
    folder = out / STATE / "work"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _same_settings(out: Path, key: str) -> None:
    file = out / STATE / "settings.json"
    if file.is_file():
        try:
            known = json.loads(file.read_text()).get("key")
        except (json.JSONDecodeError, AttributeError):
            known = None
        if known != key:
            raise UserError(
                f"`out` {out} was begun with other settings, and old and new photos would be mixed. Name a new folder, "
                "delete that one, or repeat its settings."
            )
    else:
        write_text(file, json.dumps({"key": key}) + "\n", work_folder(out))


def _note(out: Path, name: str) -> Path:
    return out / STATE / "photos" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"


def _finished(source: Path, out: Path, name: str) -> dict[str, Any] | None:
    """What is known of a photo that was finished before; None where it, or its result, is not as it was."""
    try:
        note = json.loads(_note(out, name).read_text())
        same = note["source"] == _digest(source / name) and note["result"] == _digest(out / name)
        return dict(note["row"]) if same else None
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        return None


def _stale(out: Path, written: set[str]) -> list[str]:
    """Results of an earlier call that this one did not write or find."""
    known = [json.loads(note.read_text())["row"]["photo"] for note in (out / STATE / "photos").glob("*.json")]
    return sorted(name for name in known if name not in written and (out / name).is_file())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


_Waiting = tuple[str, Photo, list[Found]]


def _groups(
    source: Path,
    names: Sequence[str],
    anonymizer: PhotoAnonymizer,
    batch_size: int,
    keep_metadata: Sequence[str],
    outcome: Outcome,
    bar: "tqdm[Any]",
) -> Iterator[list[_Waiting]]:
    """Photos whose faces together fill a batch; photos that can't be read are noted and passed over."""
    group: list[_Waiting] = []
    faces = 0
    for name in names:
        try:
            photo = read_photo(source / name, keep_metadata)
        except UnreadablePhotoError as error:
            outcome.failed[name] = str(error).replace(str(source / name), name)
            log.warning("left out: %s", error)
            bar.update()
            continue
        group.append((name, photo, anonymizer.finder.find(photo.pixels)))
        faces += len(group[-1][2])
        bar.set_postfix(faces=faces)
        pixels = sum(photo.pixels.size // 3 for _, photo, _ in group)
        if pixels >= PIXELS_AT_ONCE or sum(len(found) for _, _, found in group) >= batch_size:
            yield group
            group = []
    if group:
        yield group


def _treat(group: list[_Waiting], source: Path, out: Path, anonymizer: PhotoAnonymizer, outcome: Outcome) -> None:
    photos = [photo.pixels for _, photo, _ in group]
    treated = anonymizer([name for name, _, _ in group], photos, [found for _, _, found in group])
    for (name, photo, _), result in zip(group, treated, strict=True):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            save_photo(photo, result.pixels, out / name, result.changed, work_folder(out))
        except UnreadablePhotoError as error:
            outcome.failed[name] = f"{name}: {error}"
            log.warning("left out: %s: %s", name, error)
            continue
        digest = _digest(out / name)
        row = _row(name, photo, result, digest)
        note = {"source": _digest(source / name), "result": digest, "row": row}
        _note(out, name).parent.mkdir(exist_ok=True)
        text = json.dumps(note, allow_nan=False) + "\n"
        write_text(_note(out, name), text, work_folder(out))  # last: with a note it is finished
        outcome.rows.append(row)


def _row(name: str, photo: Photo, result: Treated, digest: str) -> dict[str, Any]:
    faces = [
        {
            "face": "face-" + content_key({"photo": name, "result": digest, "number": number})[:8],
            "box": [round(v, 1) for v in face.found.box],
            "score": round(face.found.score, 4),
            "landmarks": np.round(face.found.landmarks, 1).tolist(),
            "doubtful": face.found.doubtful,
            "treated": face.treated,
            "kept": face.kept,
            "like": face.like,
            "share": round(face.share, 4),
            "tries": face.tries,
            "similarity": {who: round(value, 4) for who, value in face.similarity.items()},
            "recognised_by": face.recognised_by,
            "found_after": face.found_after,
        }
        for number, face in enumerate(result.faces)
    ]
    appeared = [[round(v, 1) for v in one.box] for one in result.appeared]
    marked = result.changed and carries_mark(photo.format)
    size = [int(result.pixels.shape[1]), int(result.pixels.shape[0])]
    return {
        "photo": name,
        "size": size,
        "faces": faces,
        "appeared": appeared,
        "changed": result.changed,
        "marked": marked,
    }
