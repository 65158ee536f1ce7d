"""W&B as a mirror, and what of a run may leave the machine with it."""

import netrc
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pandas as pd
from pytorch_lightning.loggers import WandbLogger

from privacy_exp.runs.record import Record
from privacy_exp.tracking.tracker import CsvTracking
from privacy_exp.types import UserError

PLACES = {"WANDB_DATA_DIR": "data", "WANDB_CACHE_DIR": "cache", "WANDB_ARTIFACT_DIR": "artifacts"}
"""Where W&B puts files besides the run's own, below `wandb/` in the run folder: a home may be closed or full."""

GOALS = {"fool_rate": "maximize", "accuracy": "maximize"}
"""Figures that stand in a run's summary under their plain names, for tables and sweeps, and which way is better."""

PLACE_WORDS = ("root", "dir", "out", "folder", "file", "path")
"""Last words of keys whose values are places on this machine even where nothing lies there now."""


class Curves(WandbLogger):
    """Lightning's logger for W&B, whose failures cost no fit.

    Args:
        tracking: is told of failures.
        run: W&B's.
        offline: see Lightning.
    """

    def __init__(self, tracking: CsvTracking, run: Any, offline: bool) -> None:
        super().__init__(experiment=run, offline=offline)
        self.tracking = tracking

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs figures."""
        with self.tracking.mirroring():
            super().log_metrics(dict(metrics), step)


class WandbTracking(CsvTracking):
    """W&B through Lightning's logger, with the CSV beside it.

    What it sends by default: figures, curves, and the configuration with places on this machine cut to their last part.
    It sends no address or commit of a checkout, no list of packages, no name of a person or a photo, and no picture.

    Args:
        project: W&B project.
        entity: W&B user or team; None takes the account's own.
        mode: "offline" writes files for a later `wandb sync` and needs neither key nor network; "online" uploads;
            "disabled" keeps the CSV alone.
        tags: labels of the run.
        upload_images: whether pictures may leave the machine. Keep it off for real people.
        upload_names: whether names of people and photos may; else people are numbers.
    """

    def __init__(
        self,
        project: str = "privacy_exp",
        entity: str | None = None,
        mode: str = "offline",
        tags: Sequence[str] = (),
        upload_images: bool = False,
        upload_names: bool = False,
    ) -> None:
        super().__init__()
        if mode not in ("offline", "online", "disabled"):
            raise UserError(f"`tracking.mode` must be offline, online or disabled, but got {mode!r}.")
        if mode == "online" and not has_key():
            raise UserError(
                "`tracking.mode=online` needs a W&B key, and none was found: run `wandb login`, set WANDB_API_KEY, "
                "or stay with tracking.mode=offline and upload later with `wandb sync`."
            )
        self.project, self.entity, self.mode, self.tags = project, entity, mode, list(tags)
        self.upload_images, self.upload_names = upload_images, upload_names
        self.run: Any = None
        self._before: dict[str, str | None] = {}

    def start(self, folder: Path, name: str, group: str, config: Mapping[str, Any]) -> None:
        """Opens the trackers of one run; see `CsvTracking.start`."""
        super().start(folder, name, group, config)
        if self.mode == "disabled":
            return
        self._move_in(folder)
        with self.mirroring():
            self.run = self._open(folder, name, group, config)
            self.loggers.append(Curves(self, self.run, self.mode == "offline"))

    def _open(self, folder: Path, name: str, group: str, config: Mapping[str, Any]) -> Any:
        import wandb  # it makes folders for temporary files on import

        settings = wandb.Settings(
            mode=self.mode,
            silent=True,
            console="off",
            disable_code=True,
            disable_git=True,
            host="-",  # else the machine's name
            save_code=False,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        return wandb.init(
            project=self.project,
            entity=self.entity,
            name=name,
            group=group,
            job_type="train",
            tags=self.tags,
            id=None if "WANDB_SWEEP_ID" in os.environ else secrets.token_hex(4),  # an id from outside would be shared
            resume="never",
            config=without_places({**config, "goals": GOALS}),
            dir=folder,
            settings=settings,
            reinit="finish_previous",
        )

    def log_record(self, record: Record, images: pd.DataFrame | None = None, picture: Path | None = None) -> None:
        """Logs the metrics, which W&B puts into the run's summary, the table, and the picture if uploads are on."""
        super().log_record(record, images, picture)
        with self.mirroring():
            if self.run is not None:
                self.run.log(headline(record))
            if images is not None:
                self._table("test/images", images if self.upload_names else without_names(images))
            if self.run is not None and picture is not None and self.upload_images:
                self.loggers[-1].log_image("test/grid", [str(picture)])  # type: ignore[attr-defined]

    def log_table(self, name: str, table: pd.DataFrame) -> None:
        """Logs a table; see `CsvTracking.log_table`."""
        with self.mirroring():
            self._table(name, table)
            self.recorded = True

    def _table(self, name: str, table: pd.DataFrame) -> None:
        """As a file of the run: as an artifact it would be found by a path of this machine."""
        if self.run is None:
            return
        import wandb

        shown = wandb.Table(dataframe=plain_table(table))
        shown.bind_to_run(self.run, name, self.run.step)
        self.run.log({name: shown})

    def finish(self, failed: bool) -> None:
        """Closes the trackers; see `CsvTracking.finish`."""
        with self.mirroring():
            if self.run is not None:
                self.run.finish(exit_code=1 if failed else 0)
        super().finish(failed)
        self.run = None
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        self._before = {}

    def written(self) -> list[str]:
        """See `CsvTracking.written`; W&B's part is the folder of the run."""
        assert self.folder is not None  # noqa: S101  there is one from start to finish
        if self.run is None:
            return super().written()
        return [*super().written(), os.path.relpath(Path(self.run.dir).parent, self.folder)]

    def _move_in(self, folder: Path) -> None:
        for name, place in PLACES.items():
            self._before.setdefault(name, os.environ.get(name))
            os.environ[name] = str(folder / "wandb" / place)


def headline(record: Record) -> dict[str, float]:
    """What panels draw: the figures with goals and their intervals, by plain names and by guidance, over the ratio.

    A line plot of W&B joins the runs of a group by a figure that each of them logged: `mask_ratio` is that figure.
    """
    found = {} if record.mask_ratio is None else {"mask_ratio": record.mask_ratio}
    guidance = record.config.get("inpainting", {}).get("guidance_scale")
    for name in GOALS:
        metric = record.metrics.get(name)
        ends = {} if metric is None else {"": metric.value, "/low": metric.low, "/high": metric.high}
        for suffix, value in ends.items():
            if value is not None:
                found[f"{name}{suffix}"] = value
                if guidance is not None:
                    found[f"{name}/{panel_key(guidance)}{suffix}"] = value
    return found


def panel_key(guidance: float) -> str:
    """The part of a figure's name that says with which guidance it was found."""
    return f"guidance_{guidance:g}"


def without_places(value: Any, key: str = "") -> Any:
    """The same configuration with every path on this machine cut to its last part; hub ids stay."""
    if isinstance(value, Mapping):
        return {name: without_places(part, str(name)) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(part, key) for part in value]
    if not isinstance(value, str | Path) or not str(value):
        return value
    text = str(value)
    local = text.startswith(("/", "~", "./", "../")) or key.rpartition("_")[2] in PLACE_WORDS
    try:
        local = local or ("/" in text and not text.startswith("privacy_exp/") and Path(text).exists())
    except OSError:  # longer than a path may be
        local = False
    return Path(text).name if local else text


def without_names(images: pd.DataFrame) -> pd.DataFrame:
    """The same table without names of photos and people: photos are counted, people are their labels."""
    table = images.drop(columns=[name for name in images if _is_text(images[name])])
    table.insert(0, "image", range(len(table)))
    return table


def _is_text(column: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


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
