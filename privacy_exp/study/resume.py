"""A cell that was computed before is not computed again: whole, as a record, or in part, as finished batches."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privacy_exp.cache.files import write_text
from privacy_exp.cache.links import share, share_file
from privacy_exp.cache.store import Store
from privacy_exp.runs.batches import NOTES, finished_batches, forget_batches
from privacy_exp.runs.folder import KINDS
from privacy_exp.runs.record import Record
from privacy_exp.runs.running import read_cell, running, write_cell
from privacy_exp.types import UserError

log = logging.getLogger(__name__)

KIND = "cell"
RECORD = "record.json"
TRACKED = ".tracked"
"""Left by a run whose trackers were closed well."""

PICTURES = (*KINDS, "draws")

WHOLE = (RECORD, "images.parquet", "manifest.csv", "recognizer.ckpt", "grid.png", *PICTURES)
"""What a finished cell consists of. A run folder may hold anything else: logs, trackers' files, a whole checkout."""


class Claim:
    """A cell that this process alone computes, and the folder that it goes to.

    Attributes:
        record: of the finished cell, if it was computed before; its files lie in the folder then.
        source: where the finished cell came from; None where it is computed now.
    """

    def __init__(self, store: Store, key: str, folder: Path, images: int, rerun: bool, writable: bool) -> None:
        self.store, self.key, self.folder, self.writable = store, key, folder, writable
        self.fields = {"key": key}
        self.record: Record | None = None
        self.source: Path | None = None
        if not rerun:
            self._refuse_other_cells()
        if rerun:
            self._clear()
        elif (folder / RECORD).is_file():
            self.source = folder
        else:
            self.source = store.find(KIND, self.fields)
            if self.source is not None:
                share(self.source, folder, only=[name for name in WHOLE if name != RECORD])
                share_file(self.source / RECORD, folder / RECORD)  # last: a folder with a record is complete
        if self.source is not None:
            self.record = Record.read(folder)
        elif not rerun:
            self._adopt()
        write_cell(folder, key, images)
        if writable and self.record is None:
            write_text(self._pointer, str(folder.resolve()) + "\n")

    @property
    def tracked(self) -> bool:
        """Whether the trackers of this very folder have logged the cell already."""
        return self.source == self.folder and (self.folder / TRACKED).is_file()

    def keep(self) -> None:
        """Shares the finished cell with the store."""
        forget_batches(self.folder)
        if self.writable and (self.record is None or self.store.find(KIND, self.fields) is None):
            self.store.put(KIND, self.fields, lambda entry: share(self.folder, entry, only=WHOLE))
            self._pointer.unlink(missing_ok=True)

    @property
    def _pointer(self) -> Path:
        """Names the folder in which this cell was begun last."""
        return self.store.folder(KIND, self.fields).with_suffix(".begun")

    def _refuse_other_cells(self) -> None:
        known = read_cell(self.folder)
        keys = [] if known is None else [known["key"]]
        if (self.folder / RECORD).is_file():
            keys.append(Record.read(self.folder).key)
        if any(key != self.key for key in keys):
            raise UserError(
                f"{self.folder} holds another cell: its configuration, data or checkpoint differed, or a version of "
                "this program that computed figures otherwise. Choose another folder with hydra.run.dir=DIR or "
                "hydra.sweep.dir=DIR, remove this one, or compute the cell in its place with rerun=true."
            )

    def _clear(self) -> None:
        for name in (RECORD, TRACKED):  # first: a folder with a record is complete
            (self.folder / name).unlink(missing_ok=True)
        forget_batches(self.folder)
        for name in PICTURES:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _adopt(self) -> None:
        """Shares the batches that an interrupted run of this cell has left in another folder."""
        if not self._pointer.is_file():
            return
        before = Path(self._pointer.read_text().strip())
        known = read_cell(before) if before.is_dir() and before.resolve() != self.folder.resolve() else None
        if known is None or known["key"] != self.key or not finished_batches(before):
            return
        for name in (*PICTURES, NOTES):  # the notes last: what they name is there
            if (before / name).is_dir():
                share(before / name, self.folder / name)
        log.info("finished batches are taken from %s", before)


@contextmanager
def claimed(store: Store, key: str, folder: Path, images: int, rerun: bool) -> Iterator[Claim]:
    """Holds a cell and its run folder; waits while another job has one of them.

    Args:
        store: where finished cells are looked for and kept.
        key: of the cell.
        folder: the run folder.
        images: how many it will paint.
        rerun: compute it again whatever is there.

    Raises:
        UserError: the folder holds another cell.
    """
    with running(folder), store.locked(KIND, {"key": key}) as writable:
        yield Claim(store, key, folder, images, rerun, writable)
