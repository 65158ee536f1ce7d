"""A board: a folder of records that anyone can clone, check again and turn into a page. No server keeps it."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from privacy_exp.types import Metric, UserError

SECTION = "section.yaml"
IMAGES = "images.csv"
ENTRIES = "entries"
VERSION = 1
"""Of the files of a board and of submissions."""

KINDS = ("pictures", "attacker")

FIGURES = ("accuracy_anonymized", "rank_1", "accuracy", "recovered_share", "tar_cross_1e-2", "tar_1e-2")
"""What an observer still recognises, the first that a record has."""


@dataclass(frozen=True)
class BoardSection:
    """Entries that may stand in one table: one protocol version, one data set, one list of observers.

    Attributes:
        name: of its folder.
        title: in words.
        protocol: schema version of the records.
        data: what the pictures are, in words.
        make: the command that makes the originals, or whatever else leads to them.
        data_digest: as records state it.
        observers: who must have been asked, such as "target", "judge/independent".
        equal_area: share of the frame that every entry hides; None where a method may choose its own.
        gate: clean accuracy below which figures are flagged.
        images: image id to (person, SHA-256 of the original's pixels).
    """

    name: str
    title: str
    protocol: int
    data: str
    make: str
    data_digest: str
    observers: tuple[str, ...]
    equal_area: float | None
    gate: float
    images: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Entry:
    """What the board keeps of a submission that was checked.

    Attributes:
        name: of its file, unique in its section.
        kind: "pictures" or "attacker".
        tool: `name, version, source, licence`.
        against: entry that an attacker looked at; None for pictures.
        observers: observer to its figure and the figure's name.
        metrics: further figures by their names in the record.
        facts: `n, people, mask_ratio, warnings`.
        verify: what it needs to be verified again: `command, parts, files, manifest, versions, recomputed`.
    """

    name: str
    kind: str
    tool: Mapping[str, Any]
    against: str | None
    observers: Mapping[str, tuple[str, Metric]]
    metrics: Mapping[str, Metric]
    facts: Mapping[str, Any]
    verify: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """As its file holds it."""
        observers = {name: {"figure": figure} | plain(metric) for name, (figure, metric) in self.observers.items()}
        return {
            "board": VERSION,
            "kind": self.kind,
            "tool": dict(self.tool),
            "against": self.against,
            "observers": observers,
            "metrics": {name: plain(metric) for name, metric in self.metrics.items()},
            "facts": dict(self.facts),
            "verify": dict(self.verify),
        }


def plain(metric: Metric) -> dict[str, Any]:
    """A metric as json holds it."""
    return {"value": metric.value, "low": metric.low, "high": metric.high, "n": metric.n, "reason": metric.reason}


def read_sections(board: Path) -> list[BoardSection]:
    """The sections of a board by the names of their folders.

    Raises:
        UserError: it has none, or one that cannot be read.
    """
    found = [read_section(path.parent) for path in sorted(board.glob(f"*/{SECTION}"))]
    if not found:
        raise UserError(
            f"`dir` must be the folder of a board, with a {SECTION} in each of its sub-folders, but {board} holds none."
        )
    return found


def read_section(folder: Path) -> BoardSection:
    """One section.

    Raises:
        UserError: it is no section, or lacks something.
    """
    path = folder / SECTION
    if not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in folder.parent.glob(f"*/{SECTION}"))) or "none"
        raise UserError(f"`section` must be one of the board's ({known}), but got {folder.name!r}.")
    try:
        told = yaml.safe_load(path.read_text())
        with (folder / IMAGES).open(newline="") as file:
            images = {row["image_id"]: (row["identity"], row["sha256"]) for row in csv.DictReader(file)}
        return BoardSection(
            name=folder.name,
            title=str(told["title"]),
            protocol=int(told["protocol"]),
            data=str(told["data"]),
            make=str(told["make"]),
            data_digest=str(told["data_digest"]),
            observers=tuple(map(str, told["observers"])),
            equal_area=None if told["equal_area"] is None else float(told["equal_area"]),
            gate=float(told["gate"]),
            images=images,
        )
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} is no section of a board ({type(error).__name__}: {error}).") from error


def read_entries(board: Path, section: BoardSection) -> list[Entry]:
    """The entries of a section by name.

    Raises:
        UserError: a file that is no entry.
    """
    return [read_entry(path) for path in sorted((board / section.name / ENTRIES).glob("*.json"))]


def read_entry(path: Path) -> Entry:
    """One entry.

    Raises:
        UserError: the file is no entry of this version.
    """
    told = read_json(path)
    try:
        observers = {name: (str(m["figure"]), _metric(m)) for name, m in told["observers"].items()}
        return Entry(
            name=path.stem,
            kind=one_of("kind", told["kind"], KINDS),
            tool={name: str(told["tool"][name]) for name in ("name", "version", "source", "licence")},
            against=None if told["against"] is None else str(told["against"]),
            observers=observers,
            metrics={name: _metric(m) for name, m in told["metrics"].items()},
            facts=dict(told["facts"]),
            verify=dict(told["verify"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no entry of a board ({type(error).__name__}: {error}).") from error


def read_json(path: Path) -> dict[str, Any]:
    """A json file of this version of the board.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    try:
        told = json.loads(path.read_text(), parse_constant=lambda word: _refuse(f"it holds {word}"))
        if not isinstance(told, dict) or told.get("board") != VERSION:
            _refuse(f"`board` must be {VERSION}, the version of the format")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
    return dict(told)


def one_of(name: str, value: Any, known: Sequence[str]) -> str:
    """The value where it is known.

    Raises:
        UserError: it is not.
    """
    if value not in known:
        raise UserError(f"`{name}` must be one of {', '.join(known)}, but got {value!r}.")
    return str(value)


def named_arguments(words: Sequence[str]) -> list[str]:
    """The command line with names: `board DIR`, `board check FILE` and `board pack FOLDER` as people type them.

    Example:
        >>> named_arguments(["check", "my/submission.json", "add=true"])
        ["check='my/submission.json'", 'add=true']
        >>> named_arguments(["docs/board", "out=site"])
        ["dir='docs/board'", 'out=site']
    """
    bare = [word for word in words if "=" not in word and not word.startswith("-")]
    verb = bare[0] if bare and bare[0] in ("check", "pack") else None
    places = bare[1:] if verb else bare
    if len(places) > 1 or (verb and not places):
        raise SystemExit("usage: board DIR out=SITE, board check FILE dir=DIR, or board pack FOLDER section=NAME")
    quoted = [f"{verb or 'dir'}='{place.replace(chr(39), chr(92) + chr(39))}'" for place in places]
    return quoted + [word for word in words if word not in bare]


def _metric(told: Mapping[str, Any]) -> Metric:
    figures = [told[name] for name in ("value", "low", "high")]
    if any(f is not None and (isinstance(f, bool) or not isinstance(f, int | float)) for f in figures):
        _refuse(f"{figures} are no figures")
    value, low, high = (None if f is None else float(f) for f in figures)
    return Metric(value, low, high, int(told["n"]), None if told["reason"] is None else str(told["reason"]))


def _refuse(words: str) -> Any:
    raise ValueError(words)
