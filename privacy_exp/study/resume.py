"""A cell that was computed before is not computed again: whole, as a record, or in part, as finished batches."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from privacy_exp.cache.content import file_digest
from privacy_exp.cache.copies import copy_file, copy_files
from privacy_exp.cache.entry import differences
from privacy_exp.cache.files import write_text
from privacy_exp.cache.store import CLOSED, FULL, Held, Store
from privacy_exp.runs.batches import finished_batches, forget_batches
from privacy_exp.runs.files import PICTURES, lay_out
from privacy_exp.runs.layouts import NOTES
from privacy_exp.runs.record import LISTED, RECORD, DamagedRecordError, Record, damage
from privacy_exp.runs.running import read_cell, running, write_cell
from privacy_exp.runs.shards import original_shards
from privacy_exp.tracking.marker import TRACKED
from privacy_exp.types import UserError

log = logging.getLogger(__name__)

KIND = "cell"
CHECKPOINT = "recognizer.ckpt"
"""A file that store and run folders share: it is large, and nobody edits it. So are shards of originals."""


class Claim:
    """A cell that this process alone computes, and the folder that it goes to.

    A folder counts as finished, and leaves or enters the store, only where its files are as its record says.

    Made by `claimed`, whose arguments it takes, and with `held`: the cell's place in the store, or None where that
    cannot be written to.

    Attributes:
        record: of the finished cell, if it was computed before; its files lie in the folder then.
        source: where the finished cell came from; None where it is computed now.
    """

    def __init__(
        self, store: Store, key: str, folder: Path, images: int, rerun: bool, held: Held | None, layout: str = "folders"
    ) -> None:
        self.store, self.key, self.folder, self.held, self.layout = store, key, folder, held, layout
        self.fields = {"key": key}
        self.record: Record | None = None
        self.source: Path | None = None
        if rerun:
            self._clear()
        else:
            self._refuse_other_cells()
            self._take_what_is_here()
            if self.record is None:
                self._take_from_store()
            if self.record is None:
                self._adopt()
        write_cell(folder, key, images)
        if held is not None and self.record is None:
            with suppress(OSError):  # a full cache costs this help alone
                write_text(self._pointer, str(folder.resolve()) + "\n")

    def _take_what_is_here(self) -> None:
        """The finished cell in this folder; a damaged one is cleared away."""
        if not (self.folder / RECORD).is_file():
            return
        try:
            record = Record.read(self.folder)
            wrong = damage(self.folder, record.files)
        except DamagedRecordError as error:
            wrong = str(error)
        if wrong is None:
            self.record, self.source = record, self.folder
            for difference in differences({"versions": record.versions, "threads": record.threads}):
                log.warning("the cell in %s was computed with %s", self.folder, difference)
        else:
            log.warning("%s is damaged (%s) and is computed again", self.folder, wrong)
            self._clear()

    def _take_from_store(self) -> None:
        """The finished cell from the store; one whose pictures are not those of its record is set aside."""
        found = self.store.find(KIND, self.fields)
        if found is None:
            return
        try:
            record = Record.read(found)
            wrong = damage(found, record.files)
        except (DamagedRecordError, FileNotFoundError) as error:
            wrong = str(error)
        if wrong is not None:
            log.warning("%s is damaged (%s) and is computed again", found, wrong)
            if self.held is not None:
                self.held.set_aside()
            return
        copy_files(found, self.folder, only=LISTED, linked=_linked(found))
        lay_out(self.folder, self.layout)
        copy_files(found, self.folder, only=[RECORD])  # last: a folder with a record is complete
        self.record, self.source = record, found

    def taken(self, config: dict[str, Any], choices: dict[str, Any]) -> Record:
        """The record that was computed before, as this run's: it says where it came from and what was asked now.

        Args:
            config: of this run.
            choices: of this run.
        """
        assert self.record is not None  # noqa: S101  the caller has looked
        if self.source != self.folder:
            first = (self.record.taken_from or {}).get("config", self.record.config)
            self.record.taken_from = {"folder": str(self.source), "config": first}
            self.record.config, self.record.choices = config, choices
            self.record.warnings += [note for note in self.store.notes if note not in self.record.warnings]
            self.record.write(self.folder)
        return self.record

    @property
    def tracked(self) -> bool:
        """Whether the trackers of this very folder have logged the cell already."""
        return self.source == self.folder and (self.folder / TRACKED).is_file()

    def keep(self) -> None:
        """Copies the finished cell into the store, if its files are still those that were scored."""
        forget_batches(self.folder)
        if self.held is None or (self.record is not None and self.store.find(KIND, self.fields) is not None):
            return
        wrong = damage(self.folder, Record.read(self.folder).files)
        if wrong is not None:
            log.warning("%s is not kept in the store: %s", self.folder, wrong)
            return
        try:
            self._share_originals()
            linked = _linked(self.folder)
            self.held.put(lambda entry: copy_files(self.folder, entry, only=[RECORD, *LISTED], linked=linked))
        except OSError as error:
            if error.errno not in CLOSED + FULL:
                raise
            log.warning("%s is finished and not kept in the cache: %s", self.folder, error.strerror)
            return
        self._pointer.unlink(missing_ok=True)

    def _share_originals(self) -> None:
        """Equal shards of originals become one file, for all cells whose folders the store's file system holds."""
        for shard in original_shards(self.folder):

            def keep(entry: Path, shard: Path = shard) -> None:
                copy_file(shard, entry / "originals.tar", linked=True)

            kept, _ = self.store.fetch("originals_shard", {"sha256": file_digest(shard)}, keep)
            same = kept / "originals.tar"
            if same.stat().st_dev == shard.stat().st_dev:
                copy_file(same, shard, linked=True)

    @property
    def _pointer(self) -> Path:
        """Names the folder in which this cell was begun last."""
        return self.store.folder(KIND, self.fields).with_suffix(".begun")

    def _refuse_other_cells(self) -> None:
        known = read_cell(self.folder)
        keys = [] if known is None else [known["key"]]
        if (self.folder / RECORD).is_file():
            with suppress(DamagedRecordError):
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
        """Copies the batches that an interrupted run of this cell has left in another folder."""
        if not self._pointer.is_file():
            return
        before = Path(self._pointer.read_text().strip())
        known = read_cell(before) if before.is_dir() and before.resolve() != self.folder.resolve() else None
        if known is None or known["key"] != self.key or not finished_batches(before):
            return
        for name in (*PICTURES, NOTES):  # the notes last: what they name is there
            if (before / name).is_dir():
                copy_files(before / name, self.folder / name)
        log.info("finished batches are taken from %s", before)


def _linked(folder: Path) -> list[str]:
    """Names of large files that nobody edits."""
    return [CHECKPOINT, *(shard.name for shard in original_shards(folder))]


@contextmanager
def claimed(store: Store, key: str, folder: Path, images: int, rerun: bool, layout: str = "folders") -> Iterator[Claim]:
    """Holds a cell and its run folder; waits while another job has one of them.

    Args:
        store: where finished cells are looked for and kept.
        key: of the cell.
        folder: the run folder.
        images: how many it will paint.
        rerun: compute it again whatever is there.
        layout: that a cell from the store is given.

    Raises:
        UserError: the folder holds another cell.
    """
    with running(folder, key), store.locked(KIND, {"key": key}) as held:
        yield Claim(store, key, folder, images, rerun, held, layout)
