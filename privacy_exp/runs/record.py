"""`record.json` and `images.parquet`: what a run found, for programs to read."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from privacy_exp.cache.entry import installed_versions, origin
from privacy_exp.cache.files import atomic_file, write_text
from privacy_exp.runs.answer import answer
from privacy_exp.runs.files import PICTURES, saved_pictures
from privacy_exp.runs.parts import parts_of
from privacy_exp.runs.picture import Picture, picture_digest
from privacy_exp.runs.plan import command
from privacy_exp.runs.questions import three_questions
from privacy_exp.runs.shards import saved_members
from privacy_exp.types import Metric, UserError

__all__ = ["SCHEMA", "DamagedRecordError", "Record", "damage", "installed_versions", "read_record", "write_images"]

SCHEMA = 2
"""Version of the record's fields; it is part of every key."""

RECORD = "record.json"
IN_WORDS = "record.md"
STRIP = "reconstruction.png"
"""Originals, results, and what `attacker=reconstruction` makes of them, where a run asked for it."""

LISTED = ("images.parquet", "manifest.csv", "alike.csv", "recognizer.ckpt", "grid.png", STRIP, *PICTURES)
"""Files and folders whose digests a record lists: with the record they are what a finished run consists of."""

NEEDED = {"choices": dict, "config": dict, "metrics": dict, "n": int}
"""Fields that every record has, and their types."""


class DamagedRecordError(UserError):
    """A record that nobody can read."""


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
        timing: seconds per stage, images per second, start and end (seconds since 1970), slot; never among the metrics.
        details: facts about the run that are not metrics, such as whether guidance was live.
        warnings: what a reader of the figures must know.
        device: what the networks ran on.
        versions: of this package, Python and the libraries that decide figures.
        threads: that torch computed with.
        taken_from: where a record that was not computed here comes from: `folder`, and `config` of the run that
            computed it; None where it was computed here.
        files: SHA-256 of the run's pictures and tables by their paths in the run folder; `write` fills it in.
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
    threads: int | None = field(default_factory=lambda: origin()["threads"])
    taken_from: dict[str, Any] | None = None
    files: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values, in the order of the file."""
        metrics = {name: _plain(metric) for name, metric in self.metrics.items()}
        if "strongest_observer" in metrics:
            metrics["strongest_observer"] |= {"observers": self.observers}
        fields = {k: getattr(self, k) for k in ("key", "choices", "config", "mask_ratio", "seed", "n")}
        names = ("timing", "versions", "threads", "device", "taken_from", "details", "warnings", "files")
        return {"schema": SCHEMA, **fields, "metrics": metrics, **{k: getattr(self, k) for k in names}}

    def answer(self) -> str:
        """What was found, in a few sentences."""
        return answer(self.as_dict())

    def in_words(self) -> str:
        """The content of `record.md`: the answer, the warnings, and the licences of the parts."""
        warnings = "".join(f"- {' '.join(text.split())}\n" for text in self.warnings)
        text = f"# What this run found\n\n{self.answer()}\n" + (f"\n## Warnings\n\n{warnings}" if warnings else "")
        told = three_questions(self.as_dict()["metrics"])
        text += f"\n## Three questions\n\n{told.pop('not_this')}\n\n"
        text += "".join(f"- {name.replace('_', ' ').capitalize()}: {said}\n" for name, said in told.items())
        rows = [" | ".join(str(value).replace("|", "\\|") for value in part) for part in parts_of(self.as_dict())]
        head = "part | licence | source | commercial use | digest or revision"
        table = "".join(f"| {row} |\n" for row in (head, " | ".join(["---"] * 5), *rows))
        return f"{text}\n## Parts\n\n{table}" if rows else text

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
        """Writes `record.json` whole or not at all, with the digests of the folder's files, and returns its path.

        `record.md` beside it says in words what was found.
        """
        self.files = {name: picture_digest(path) for name, path in _listed(folder).items()}
        self.details["questions"] = three_questions(self.as_dict()["metrics"])
        self.details["parts"] = [part._asdict() for part in parts_of(self.as_dict())]
        write_text(folder / IN_WORDS, self.in_words())
        path = folder / RECORD
        write_text(path, json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return path


def _listed(folder: Path) -> dict[str, Picture]:
    """The files of a run that its record lists, sorted; packed pictures by the names that they have in folders."""
    found: dict[str, Picture] = {name: folder / name for name in LISTED if (folder / name).is_file()}
    return dict(sorted((found | saved_pictures(folder)).items(), key=lambda one: Path(one[0])))


def damage(folder: Path, files: Mapping[str, str]) -> str | None:
    """What is wrong with the files of a finished run, in a few words; None where all are as its record says.

    Args:
        folder: of the run.
        files: see `Record`.
    """
    if not files:
        return f"{RECORD} lists no files"
    try:
        packed = saved_members(folder)
        for name, digest in files.items():
            path = packed.get(name, folder / name)
            if isinstance(path, Path) and not path.is_file():
                return f"{name} is missing"
            if picture_digest(path) != digest:
                return f"{name} has changed since the record was written"
    except UserError as error:  # a shard
        return str(error)
    return None


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a finished run, as plain values. Every command reads records through here.

    Raises:
        FileNotFoundError: the folder holds none.
        DamagedRecordError: it cannot be read, or lacks what every record has.
        UserError: it is of another schema version.
    """
    path = folder / RECORD
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no record.json: not a finished run; run `python -m privacy_exp.train` first."
        )
    again = command(folder, "rerun=true")
    way = "run the cell again" + (f": `{again}`" if again else "")
    try:
        record = json.loads(path.read_text(), parse_constant=str)  # NaN stays a word: it is no figure
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedRecordError(f"{path} is damaged ({error}); {way}.") from error
    if not isinstance(record, dict) or "schema" not in record:
        raise DamagedRecordError(f"{path} is no record of a run; {way}.")
    if record["schema"] != SCHEMA:
        raise UserError(f"{path} has schema {record['schema']!r}, but this version reads {SCHEMA}; {way}.")
    lacking = [key for key, kind in NEEDED.items() if type(record.get(key)) is not kind]
    if lacking:
        raise DamagedRecordError(f"{path} is no record of a run: it lacks {', '.join(lacking)}; {way}.")
    return dict(record)


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
