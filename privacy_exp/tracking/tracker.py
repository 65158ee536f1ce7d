"""CSV and W&B as mirrors of the record: the record is the truth, these are for looking."""

import netrc
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pandas as pd
import wandb
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from privacy_exp.runs.record import Record
from privacy_exp.types import UserError


class CsvTracking:
    """Curves and final figures as `csv/metrics.csv` in the run folder."""

    def __init__(self) -> None:
        self.loggers: list[Logger] = []

    def start(self, folder: Path, name: str, group: str, config: Mapping[str, Any]) -> None:
        """Opens the trackers of one run.

        Args:
            folder: the run folder.
            name: of the run.
            group: of all runs of one sweep.
            config: plain values.
        """
        del name, group, config  # the run folder holds them already
        self.loggers = [CSVLogger(folder, name="", version="csv")]

    def log_record(self, record: Record, images: pd.DataFrame | None = None, picture: Path | None = None) -> None:
        """Logs every metric that has a value, with its interval.

        Args:
            record: of the finished run.
            images: what was found of each image, a row an image; for a tracker that can show a table.
            picture: a grid of faces, masks and results; only a tracker that was told to upload pictures takes it.
        """
        del images, picture
        figures: dict[str, float] = {}
        for name, metric in record.metrics.items():
            parts = {"": metric.value, "/low": metric.low, "/high": metric.high}
            figures |= {f"test/{name}{suffix}": value for suffix, value in parts.items() if value is not None}
        for logger in self.loggers:
            logger.log_metrics(figures)

    def log_table(self, name: str, table: pd.DataFrame) -> None:
        """Logs a table of text, such as the headline table of a sweep, where the tracker can show one.

        Args:
            name: of the table.
            table: its columns and rows.
        """
        for logger in self.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_table(name, dataframe=table)

    def finish(self, failed: bool) -> None:
        """Closes the trackers; belongs into a `finally`, else the next run of a sweep logs into this one.

        Args:
            failed: marks the run as failed.
        """
        for logger in self.loggers:
            logger.finalize("failed" if failed else "success")


class WandbTracking(CsvTracking):
    """W&B through Lightning's logger, with the CSV beside it.

    Args:
        project: W&B project.
        entity: W&B user or team; None takes the account's own.
        mode: "offline" writes files for a later `wandb sync` and needs neither key nor network; "online" uploads;
            "disabled" keeps the CSV alone.
        tags: labels of the run.
        upload_images: whether pictures may leave the machine. Keep it off for real people.
    """

    def __init__(self, project: str, entity: str | None, mode: str, tags: Sequence[str], upload_images: bool) -> None:
        super().__init__()
        if mode not in ("offline", "online", "disabled"):
            raise UserError(f"`tracking.mode` must be offline, online or disabled, but got {mode!r}.")
        if mode == "online" and not has_key():
            raise UserError(
                "`tracking.mode=online` needs a W&B key, and none was found: run `wandb login`, set WANDB_API_KEY, "
                "or stay with tracking.mode=offline and upload later with `wandb sync`."
            )
        self.project, self.entity, self.mode, self.tags = project, entity, mode, list(tags)
        self.upload_images = upload_images

    def start(self, folder: Path, name: str, group: str, config: Mapping[str, Any]) -> None:
        """Opens the trackers of one run; see `CsvTracking.start`."""
        super().start(folder, name, group, config)
        if self.mode == "disabled":
            return
        settings = wandb.Settings(mode=self.mode, silent=True, console="off", x_disable_meta=True)
        run = wandb.init(
            project=self.project,
            entity=self.entity,
            name=name,
            group=group,
            job_type="train",
            tags=self.tags,
            id=None if "WANDB_SWEEP_ID" in os.environ else secrets.token_hex(4),  # an id from outside would be shared
            resume="never",
            config=dict(config),
            dir=folder,
            settings=settings,
            reinit="finish_previous",
        )
        self.loggers.append(WandbLogger(experiment=run, offline=self.mode == "offline"))

    def log_record(self, record: Record, images: pd.DataFrame | None = None, picture: Path | None = None) -> None:
        """Logs the metrics, which W&B puts into the run's summary, the table, and the picture if uploads are on."""
        super().log_record(record, images, picture)
        for logger in self.loggers:
            if not isinstance(logger, WandbLogger):
                continue
            if images is not None:
                logger.log_table("test/images", dataframe=plain_table(images))
            if picture is not None and self.upload_images:
                logger.log_image("test/grid", [str(picture)])

    def finish(self, failed: bool) -> None:
        """Closes the trackers; see `CsvTracking.finish`."""
        super().finish(failed)
        if wandb.run is not None:
            wandb.run.finish(exit_code=1 if failed else 0)


def plain_table(images: pd.DataFrame) -> pd.DataFrame:
    """The same table without pandas' own null, which W&B does not know: numbers and text, None where there is none."""
    return images.astype(object).where(images.notna(), None)


def has_key() -> bool:
    """Whether W&B would find credentials: in WANDB_API_KEY or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    return path.is_file() and netrc.netrc(path).authenticators(host) is not None
