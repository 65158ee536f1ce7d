"""CSV and W&B as mirrors of the record: the record is the truth, these are for looking.

A mirror never decides whether a cell is done: what fails here is a warning.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.loggers import CSVLogger, Logger

from privacy_exp.cache.files import write_text
from privacy_exp.runs.record import Record
from privacy_exp.tracking.marker import TRACKED

log = logging.getLogger(__name__)


class CsvTracking:
    """Curves and final figures as `csv/metrics.csv` in the run folder."""

    def __init__(self) -> None:
        self.loggers: list[Logger] = []
        self.folder: Path | None = None
        self.recorded = self.broken = False

    def start(self, folder: Path, name: str, group: str, config: Mapping[str, Any]) -> None:
        """Opens the trackers of one run.

        Args:
            folder: the run folder.
            name: of the run.
            group: of all runs of one sweep.
            config: plain values.
        """
        del name, group, config  # the run folder holds them already
        if not torch.distributed.is_initialized():
            # one process is one run, whatever SLURM_PROCID, LOCAL_RANK or RANK say
            rank_zero_only.rank = 0  # type: ignore[attr-defined]
        self.folder, self.recorded, self.broken = folder, False, False
        self.loggers = [CSVLogger(folder, name="", version="csv")]

    def log_record(self, record: Record, images: pd.DataFrame | None = None, picture: Path | None = None) -> None:
        """Logs every metric that has a value, with its interval.

        Args:
            record: of the finished run.
            images: what was found of each image, one row per image; for a tracker that can show a table.
            picture: a grid of faces, masks and results; only a tracker that was told to upload pictures takes it.
        """
        del images, picture
        figures: dict[str, float] = {}
        for name, metric in record.metrics.items():
            parts = {"": metric.value, "/low": metric.low, "/high": metric.high}
            figures |= {f"test/{name}{suffix}": value for suffix, value in parts.items() if value is not None}
        with self.mirroring():
            for logger in self.loggers:
                logger.log_metrics(figures)
            self.recorded = True

    def log_table(self, name: str, table: pd.DataFrame) -> None:
        """Logs a table of text, such as the headline table of a sweep, where the tracker can show one.

        Args:
            name: of the table.
            table: its columns and rows.
        """

    def finish(self, failed: bool) -> None:
        """Closes the trackers; belongs into a `finally`, else the next run of a sweep logs into this one.

        Args:
            failed: marks the run as failed.
        """
        with self.mirroring():
            for logger in self.loggers:
                logger.finalize("failed" if failed else "success")
        written = self.written() if self.folder is not None else []
        if self.folder is not None and self.recorded and written and not failed and not self.broken:
            write_text(self.folder / TRACKED, "\n".join(written) + "\n")
        self.loggers, self.folder = [], None

    def written(self) -> list[str]:
        """What lies in the run folder now, by paths in it."""
        assert self.folder is not None  # noqa: S101  there is one from start to finish
        return ["csv/metrics.csv"] if (self.folder / "csv" / "metrics.csv").is_file() else []

    @contextmanager
    def mirroring(self) -> Iterator[None]:
        """Turns what a tracker raises into a warning."""
        try:
            yield
        except Exception as error:
            self.broken = True
            log.warning("tracking failed, the run itself goes on: %s: %s", type(error).__name__, error)
