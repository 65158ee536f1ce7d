"""Pictures of one batch appear together or not at all, and what else is known of the batch stays beside them.

A killed run leaves whole batches. Started again it goes on with the next one, in the same batches as before, so that
the pictures are those of a run that nobody disturbed.
"""

import io
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from privacy_exp.cache.files import atomic_file, explained, write_text
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.layouts import NOTES
from privacy_exp.runs.shards import append, read_index, read_notes, saved_members

log = logging.getLogger(__name__)


@dataclass
class Batch:
    """What is known of a finished batch besides its pictures.

    Attributes:
        rows: one row per image, with its `image_id`.
        mask_s: seconds spent on masks.
        inpaint_s: seconds spent on repainting, without the control.
        sanity: counts of results, of black and of flat ones.
    """

    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    mask_s: float = 0.0
    inpaint_s: float = 0.0
    sanity: Sequence[int] = (0, 0, 0)


@contextmanager
def whole_batch(folder: RunFolder, ids: Sequence[str]) -> Iterator[tuple[RunFolder, Batch]]:
    """A staging folder for one batch; its pictures move into `folder`, or into its shards, when the block ends well.

    Args:
        folder: the run's.
        ids: of the batch's images; the first one names it.

    Yields:
        The staging folder, and what to fill in about the batch.

    Raises:
        OSError: no space left or not writable; nothing of the batch stays then.
    """
    batch = Batch()
    if folder.packed:
        staged: dict[str, bytes] = {}
        yield folder.staging(staged), batch
        append(folder.path, staged, {f"{ids[0]}.json": _facts(batch).encode(), f"{ids[0]}.parquet": _table(batch)})
        return
    staging = folder.path / f".{ids[0]}.part"
    ready = folder.path / f".{ids[0]}.ready"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        yield RunFolder(staging, folder.image_format), batch
        write_text(staging / NOTES / f"{ids[0]}.json", _facts(batch))
        with atomic_file(staging / NOTES / f"{ids[0]}.parquet") as temporary:
            batch.rows.to_parquet(temporary, engine="pyarrow", index=False)
        staging.replace(ready)  # from here on the batch counts as done
        _move(ready, folder.path)
    except OSError as error:
        raise explained(error, folder.path) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def finished_batches(folder: Path) -> list[Batch]:
    """All batches that are done, after clearing up what a killed run left half-way.

    Where a shard of a packed run is lost or damaged, none counts as done.
    """
    for ready in folder.glob(".*.ready"):
        _move(ready, folder)
    for staging in folder.glob(".*.part"):
        shutil.rmtree(staging, ignore_errors=True)
    if read_index(folder) is not None:
        return _packed_batches(folder)
    return [batch for path in sorted((folder / NOTES).glob("*.json")) if (batch := _read(path)) is not None]


def _packed_batches(folder: Path) -> list[Batch]:
    try:
        notes = read_notes(folder)
        if notes:
            saved_members(folder)
        return [_batch(notes[n], notes[f"{n[:-5]}.parquet"]) for n in sorted(notes) if n.endswith(".json")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        _say_forgotten(folder / NOTES, error)
        forget_batches(folder)
        return []


def _read(path: Path) -> Batch | None:
    """A finished batch; a damaged one is forgotten, so that it is painted again."""
    try:
        facts, table = path.read_bytes(), path.with_suffix(".parquet").read_bytes()
        return _batch(facts, table)
    except (OSError, ValueError, KeyError, TypeError) as error:
        _say_forgotten(path, error)
        path.unlink(missing_ok=True)
        return None


def _batch(facts: bytes, table: bytes) -> Batch:
    notes = json.loads(facts)
    rows = pd.read_parquet(io.BytesIO(table))
    return Batch(rows, float(notes["mask_s"]), float(notes["inpaint_s"]), [int(n) for n in notes["sanity"]])


def _say_forgotten(path: Path, error: Exception) -> None:
    log.warning("%s is damaged (%s): its pictures are painted again", path, error)


def _facts(batch: Batch) -> str:
    return json.dumps({name: value for name, value in vars(batch).items() if name != "rows"})


def _table(batch: Batch) -> bytes:
    file = io.BytesIO()
    batch.rows.to_parquet(file, engine="pyarrow", index=False)
    return file.getvalue()


def forget_batches(folder: Path) -> None:
    """Removes the notes, and what a killed run left half-way: after it every image counts as not yet painted."""
    for path in (folder / NOTES, *folder.glob(".*.ready"), *folder.glob(".*.part")):
        shutil.rmtree(path, ignore_errors=True)


def _move(ready: Path, folder: Path) -> None:
    for path in sorted(ready.rglob("*")):
        if path.is_file():
            target = folder / path.relative_to(ready)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    shutil.rmtree(ready)
