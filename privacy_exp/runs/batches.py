"""Pictures of one batch appear together or not at all, and what else is known of the batch stays beside them.

A killed run leaves whole batches. Started again it goes on with the next one, in the same batches as before, so that
the pictures are those of a run that nobody disturbed.
"""

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

log = logging.getLogger(__name__)

NOTES = ".batches"
"""Sub-folder with what is known of each batch, until the run's record is written."""


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
    """A staging folder for one batch; its pictures move into `folder` when the block ends well.

    Args:
        folder: the run's.
        ids: of the batch's images; the first one names it.

    Yields:
        The staging folder, and what to fill in about the batch.

    Raises:
        OSError: no space left or not writable; nothing of the batch stays then.
    """
    staging = folder.path / f".{ids[0]}.part"
    ready = folder.path / f".{ids[0]}.ready"
    shutil.rmtree(staging, ignore_errors=True)
    batch = Batch()
    try:
        yield RunFolder(staging, folder.image_format), batch
        notes = {name: value for name, value in vars(batch).items() if name != "rows"}
        write_text(staging / NOTES / f"{ids[0]}.json", json.dumps(notes))
        with atomic_file(staging / NOTES / f"{ids[0]}.parquet") as temporary:
            batch.rows.to_parquet(temporary, engine="pyarrow", index=False)
        staging.replace(ready)  # from here on the batch counts as done
        _move(ready, folder.path)
    except OSError as error:
        raise explained(error, folder.path) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def finished_batches(folder: Path) -> list[Batch]:
    """All batches that are done, after clearing up what a killed run left half-way."""
    for ready in folder.glob(".*.ready"):
        _move(ready, folder)
    for staging in folder.glob(".*.part"):
        shutil.rmtree(staging, ignore_errors=True)
    return [batch for path in sorted((folder / NOTES).glob("*.json")) if (batch := _read(path)) is not None]


def _read(path: Path) -> Batch | None:
    """A finished batch; a damaged one is forgotten, so that it is painted again."""
    try:
        notes = json.loads(path.read_text())
        rows = pd.read_parquet(path.with_suffix(".parquet"))
        return Batch(rows, float(notes["mask_s"]), float(notes["inpaint_s"]), [int(n) for n in notes["sanity"]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s): its pictures are painted again", path, error)
        path.unlink(missing_ok=True)
        return None


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
