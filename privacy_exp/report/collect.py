"""Reading sweeps: which cells have finished, what they found, and what cannot be shown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privacy_exp.evaluation.statistics.intervals import bootstrap_mean
from privacy_exp.runs.plan import command, numbered, read_plan, run_folders
from privacy_exp.runs.record import read_record
from privacy_exp.types import Metric, UserError

FACES = ("image_id", "identity", "label")
"""Columns that say who is on a picture."""

COLUMNS = (*FACES, "pred", "pred_anonymized", "share_hidden")
"""Columns of `images.parquet` that tests and the gallery need."""


@dataclass(frozen=True)
class Row:
    """One finished run.

    Attributes:
        name: sweep and number, unique in a report.
        folder: its run folder.
        record: `record.json` as it stands, but without NaN.
        metrics: its metrics and `share_hidden`, the mean over `images.parquet`; none of them is NaN.
        images: `images.parquet`, or None where it is missing.
        faces: who is on each picture: `images`, or of pairs `evaluation.parquet`; None where it is missing.
        command: the line that computes this cell again, or None where the run folder does not say.
    """

    name: str
    folder: Path
    record: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    images: pd.DataFrame | None
    faces: pd.DataFrame | None
    command: str | None

    def metric(self, name: str) -> Metric:
        """A metric, or null with the reason where the record has none of that name."""
        return self.metrics.get(name, Metric(None, None, None, int(self.record["n"]), "not in this record"))

    def get(self, key: str) -> Any:
        """A value of the configuration by its dotted key, or None where the chosen part has no such key."""
        value: Any = self.record["config"]
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    @property
    def method(self) -> str:
        """Name of the masking method."""
        return str(self.record["choices"].get("masking"))

    @property
    def mask_ratio(self) -> float | None:
        """Share of the frame that was asked for, or None where the method decides itself."""
        return self.record.get("mask_ratio")

    @property
    def guidance(self) -> float | None:
        """Guidance scale, or None where the inpainter has none."""
        return self.get("inpainting.guidance_scale")

    @property
    def drawn(self) -> bool:
        """Whether the faces are drawn: then no real person can be seen."""
        named = str(self.get("data._target_")).endswith(".DrawnFaces")
        return named or self.record.get("details", {}).get("drawn") is True

    @property
    def observers(self) -> tuple[str, ...]:
        """Who took part in `strongest_observer`, by name; the record lists the strongest first."""
        found = self.record["metrics"].get("strongest_observer", {})
        return tuple(sorted(found.get("observers", ()))) if isinstance(found, Mapping) else ()


@dataclass
class Collection:
    """What was found in the folders of one report.

    Attributes:
        cells: finished runs, in the order of the sweeps and their numbers.
        unfinished: run folders without a record.
        missing: cells of a sweep's plan that have not begun.
        problems: one sentence each on what cannot be shown.
    """

    cells: list[Row] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


SAME = ("key", "metrics")
"""Parts of a record in which two run folders of one cell agree: the second was taken from the first."""


def collect(sweeps: Sequence[Path]) -> Collection:
    """Reads every run below the given folders.

    Args:
        sweeps: folders of sweeps or of single runs.

    Raises:
        FileNotFoundError: no such folder.
        UserError: no folder holds a record that can be shown.
    """
    study = Collection()
    known: dict[str, str] = {}
    for sweep in sweeps:
        if not sweep.is_dir():
            raise FileNotFoundError(f"`sweep` must be the folder of a sweep or of a run, but {sweep} is none.")
        for folder in run_folders(sweep):
            name = sweep.name if folder == sweep else f"{sweep.name}/{folder.relative_to(sweep)}"
            if (folder / "record.json").is_file():
                try:
                    cell = read_row(folder, name, study.problems)
                except ValueError as error:
                    study.problems.append(str(error))
                    continue
                content = json.dumps({part: cell.record[part] for part in SAME}, sort_keys=True)
                if content in known:
                    study.problems.append(f"{name} is the same cell as {known[content]} and is left out.")
                else:
                    known[content] = name
                    study.cells.append(cell)
            else:
                study.unfinished.append(name)
        plan = read_plan(sweep)
        begun = numbered(sweep) if plan else {}
        study.missing += [f"{sweep.name}/{i}" for i in range(plan["count"] if plan else 0) if i not in begun]
    if not study.cells:
        raise UserError(_nothing(sweeps, study))
    return study


def read_row(folder: Path, name: str, problems: list[str]) -> Row:
    """Reads one finished run.

    Args:
        folder: holds `record.json`.
        name: of the cell in the report.
        problems: takes a sentence for everything in it that cannot be shown.

    Raises:
        UserError: the record is damaged or of another schema version.
    """
    try:
        record = read_record(folder)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    metrics = {key: _metric(name, key, value, problems) for key, value in record["metrics"].items()}
    pairs = record["choices"].get("data") == "pairs"  # what other tools made has no row a picture
    images = None if pairs else _images(folder / "images.parquet", name, COLUMNS, problems)
    faces = _images(folder / "evaluation.parquet", name, FACES, problems) if pairs else images
    return Row(name, folder, record, metrics | {"share_hidden": _share(images)}, images, faces, command(folder))


def _metric(cell: str, name: str, value: Any, problems: list[str]) -> Metric:
    n = int(value.get("n", 0)) if isinstance(value, Mapping) else 0
    figures = [value.get(key) if isinstance(value, Mapping) else value for key in ("value", "low", "high")]
    for figure in figures:
        if figure is not None and (isinstance(figure, bool) or not isinstance(figure, int | float)):
            problems.append(f"{cell}: {name} holds {figure!r}, which is no number; it is shown as missing.")
            return Metric(None, None, None, n, f"the record holds {figure!r}")
    reason = value.get("reason") if isinstance(value, Mapping) else None
    if figures[0] is None:
        return Metric(None, None, None, n, reason or "the record gives no reason")
    figure, low, high = (None if figure is None else float(figure) for figure in figures)
    return Metric(figure, low, high, n, reason)


def _images(path: Path, cell: str, columns: Sequence[str], problems: list[str]) -> pd.DataFrame | None:
    without = "so this cell has no pictures" + (" and takes no part in paired tests" if columns == COLUMNS else "")
    if not path.is_file():
        problems.append(f"{cell}: {path.name} is missing, {without}.")
        return None
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        problems.append(f"{cell}: {path.name} is damaged ({error}), {without}.")
        return None
    lacking = sorted(set(columns) - set(table.columns))
    if lacking:
        problems.append(f"{cell}: {path.name} lacks the columns {', '.join(lacking)}, {without}.")
        return None
    return table


def _share(images: pd.DataFrame | None) -> Metric:
    if images is None or images.empty:
        return Metric(None, None, None, 0, "images.parquet does not say")
    return bootstrap_mean(images["share_hidden"].to_numpy(np.float64), images["label"].to_numpy())


def _nothing(sweeps: Sequence[Path], study: Collection) -> str:
    where = ", ".join(str(sweep) for sweep in sweeps)
    if study.problems:
        more = len(study.problems) - 1
        return f"`sweep` {where}: no record can be shown. {study.problems[0]}" + (f" ({more} more)" if more else "")
    if study.unfinished:
        return f"`sweep` {where}: {len(study.unfinished)} runs have started, but none has finished yet."
    return f"`sweep` {where} holds no run: give the folder that `python -m privacy_exp.train -m` wrote its cells to."
