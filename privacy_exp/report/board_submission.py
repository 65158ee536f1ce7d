"""A submission to a board: a folder, and a manifest that lists the SHA-256 of every file in it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from privacy_exp.cache.content import file_digest
from privacy_exp.report.board import KINDS, BoardSection, one_of, read_json, read_section
from privacy_exp.types import UserError

MANIFEST = "submission.json"
TOOL = ("name", "version", "source", "licence")
LEFT_OUT = (".", "draws/", "report/", "wandb/", "csv/")
"""Beginnings of paths in a run's folder that are no part of a submission."""


@dataclass
class Submission:
    """A folder with its manifest.

    Attributes:
        folder: holds all that is listed.
        kind: "pictures" or "attacker".
        section: that it is meant for.
        tool: `name, version, source, licence`.
        told: the manifest, whole.
        files: SHA-256 by path in the folder.
        faults: what is wrong; a check adds a sentence each.
        recomputed: what was computed again, and what could not be.
    """

    folder: Path
    kind: str
    section: BoardSection
    tool: dict[str, str]
    told: Mapping[str, Any]
    files: Mapping[str, str]
    faults: list[str] = field(default_factory=list)
    recomputed: list[str] = field(default_factory=list)


def read_submission(file: Path, board: Path) -> Submission:
    """A manifest and the section that it is meant for.

    Raises:
        UserError: it is no manifest, or names no section of the board.
    """
    told = read_json(file)
    try:
        kind, name = one_of("kind", told["kind"], KINDS), str(told["section"])
        tool = {key: str(told["tool"][key]) for key in TOOL}
        files = {str(path): str(digest) for path, digest in told["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is no manifest of a submission: it lacks {error}.") from error
    section = read_section(board / Path(name).name)
    return Submission(file.parent, kind, section, tool, told, files)


def check_manifest(submission: Submission) -> None:
    """Every listed file is there as it was when the manifest was written, inside the folder, and nothing else is."""
    root = submission.folder.resolve()
    for name, digest in submission.files.items():
        path = submission.folder / name
        if Path(name).is_absolute() or not path.resolve().is_relative_to(root):
            submission.faults.append(f"{name} leads out of the submission's folder.")
        elif not path.is_file():
            submission.faults.append(f"{name} is listed, but missing.")
        elif file_digest(path) != digest:
            submission.faults.append(f"{name} was altered after the manifest was written.")
    extra = sorted(set(listed(submission.folder)) - set(submission.files))
    if extra:
        submission.faults.append(f"{len(extra)} files are not listed, such as {extra[0]}.")


def listed(folder: Path) -> list[str]:
    """The files that a manifest lists: all but the manifest, hidden ones and what trackers and reports left."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(n for n in names if n != MANIFEST and not n.startswith(LEFT_OUT))


def manifest_digest(files: Mapping[str, str]) -> str:
    """One digest that stands for all files and their names."""
    return hashlib.sha256(json.dumps(dict(sorted(files.items()))).encode()).hexdigest()
