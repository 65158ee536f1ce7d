"""`record.json` and `images.parquet`: what a run found, for programs to read."""

import json
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from platform import platform, python_version
from typing import Any

import pandas as pd

from privacy_exp import __version__
from privacy_exp.cache.files import atomic_file, write_text
from privacy_exp.types import Metric, UserError

SCHEMA = 2
"""Version of the record's fields; it is part of every key."""

LIBRARIES = ("torch", "torchvision", "diffusers", "transformers", "pytorch-lightning", "facenet-pytorch", "numpy")


@cache
def installed_versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that decide figures."""
    names = {"privacy_exp": __version__, "python": python_version(), "platform": platform(terse=True)}
    return names | {library: version(library) for library in LIBRARIES}


@dataclass
class Record:
    """One cell of a study: what was asked, what was found, how long it took.

    Attributes:
        key: content key of the scientific part of the configuration.
        choices: chosen name of each config group.
        config: the resolved configuration as plain values.
        mask_ratio: share of the frame that was asked for, or None where the method has no budget.
        seed: of masks and noise.
        n: test images.
        metrics: see PROTOCOL names: `accuracy`, `fool_rate`, ...
        observers: who took part in `strongest_observer`, the strongest first.
        timing: seconds a stage, images a second, start and end (seconds since 1970), slot; never among the metrics.
        details: facts about the run that are not metrics, such as whether guidance was live.
        warnings: what a reader of the figures must know.
        device: what the networks ran on.
        versions: of this package, Python and the libraries that decide figures.
    """

    key: str
    choices: dict[str, Any]
    config: dict[str, Any]
    mask_ratio: float | None
    seed: int
    n: int
    metrics: dict[str, Metric]
    observers: list[str]
    timing: dict[str, float | bool | None]
    details: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    device: str = "cpu"
    versions: dict[str, str] = field(default_factory=installed_versions)

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values, in the order of the file."""
        metrics = {name: _plain(metric) for name, metric in self.metrics.items()}
        if "strongest_observer" in metrics:
            metrics["strongest_observer"] |= {"observers": self.observers}
        fields = {k: getattr(self, k) for k in ("key", "choices", "config", "mask_ratio", "seed", "n")}
        rest = {"timing": self.timing, "versions": self.versions, "device": self.device, "details": self.details}
        return {"schema": SCHEMA, **fields, "metrics": metrics, **rest, "warnings": self.warnings}

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """The record of a finished run; see `read_record` for the errors."""
        plain = read_record(folder)
        observers = plain["metrics"].get("strongest_observer", {}).get("observers", [])
        names = {part.name for part in fields(Metric)}
        metrics = {k: Metric(**{n: v for n, v in m.items() if n in names}) for k, m in plain["metrics"].items()}
        kept = {part.name: plain[part.name] for part in fields(cls) if part.name in plain}
        return cls(**kept | {"metrics": metrics, "observers": observers})

    def write(self, folder: Path) -> Path:
        """Writes `record.json` whole or not at all, and returns its path."""
        path = folder / "record.json"
        write_text(path, json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return path


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a finished run.

    Raises:
        FileNotFoundError: the folder holds none.
        UserError: it is damaged or of another schema version.
    """
    path = folder / "record.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no record.json: not a finished run; run `python -m privacy_exp.train` first."
        )
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged ({error}); run the cell again.") from error
    if record.get("schema") != SCHEMA:
        raise UserError(f"{path} has schema {record.get('schema')!r}, but this version reads {SCHEMA}.")
    return record


def write_images(folder: Path, table: pd.DataFrame) -> Path:
    """Writes `images.parquet` whole or not at all, and returns its path.

    No time stamps and no versions stand in it: equal runs give equal files.
    """
    path = folder / "images.parquet"
    with atomic_file(path) as temporary:
        table.to_parquet(temporary, engine="pyarrow", index=False)
    return path


def _plain(metric: Metric) -> dict[str, Any]:
    values = asdict(metric)
    return values if values["reason"] is not None else {k: v for k, v in values.items() if k != "reason"}
