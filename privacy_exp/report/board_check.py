"""`board check` and `board pack`: nothing of a submission is believed that can be computed again."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from privacy_exp.cache.content import file_digest
from privacy_exp.cache.files import write_text
from privacy_exp.report.board import ENTRIES, KINDS, VERSION, Entry, one_of, read_section
from privacy_exp.report.board_attacker import TABLE, check_attacker, rank_1_of
from privacy_exp.report.board_pictures import check_pictures
from privacy_exp.report.board_submission import MANIFEST, TOOL, Submission, check_manifest, listed, read_submission
from privacy_exp.report.eee import public_command
from privacy_exp.types import UserError

CHECKS: dict[str, Callable[[Submission, Path], Entry | None]] = {
    "pictures": check_pictures,
    "attacker": check_attacker,
}


def check(file: Path, board: Path, add: bool = False) -> Entry:
    """Checks a submission, says what was computed again, and adds its entry to the board if asked.

    Args:
        file: the manifest, or the folder that holds it.
        board: folder of the board.
        add: whether the entry is written.

    Returns:
        The entry.

    Raises:
        UserError: it is refused; the message has a line for every reason.
    """
    submission = read_submission(file / MANIFEST if file.is_dir() else file, board)
    check_manifest(submission)
    entry = None if submission.faults else CHECKS[submission.kind](submission, board)
    if submission.faults or entry is None:
        lines = "".join(f"\n  - {fault}" for fault in submission.faults)
        raise UserError(f"{file} is refused:{lines}")
    print(f"accepted {entry.name}: {submission.tool['name']} in {submission.section.title}")
    for line in submission.recomputed:
        print(f"         {line}")
    if add:
        path = board / submission.section.name / ENTRIES / f"{entry.name}.json"
        write_text(path, json.dumps(entry.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        print(f"entry    {path}")
    return entry


def pack(
    folder: Path,
    board: Path,
    section: str | None,
    tool: Mapping[str, str | None],
    kind: str = "pictures",
    against: str | None = None,
) -> Path:
    """Writes the manifest of a run's folder, or of an attacker's, and returns its path.

    Args:
        folder: a finished run, or an attacker's `similarity.parquet` with the code that made it.
        board: folder of the board.
        section: of the board.
        tool: `name, version, source, licence`.
        kind: "pictures" or "attacker".
        against: entry that an attacker looked at.

    Raises:
        UserError: something is missing.
    """
    if section is None or not tool.get("name"):
        raise UserError("`section` and `tool.name` must be given: board pack FOLDER section=NAME tool.name=NAME.")
    asked = read_section(board / section)
    if not folder.is_dir():
        raise UserError(f"`pack` must be a folder, but got {folder}.")
    told: dict[str, Any] = {"board": VERSION, "kind": one_of("kind", kind, KINDS), "section": section}
    told["tool"] = {key: tool.get(key) or "unknown" for key in TOOL}
    told["files"] = {name: file_digest(folder / name) for name in listed(folder)}
    if kind == "pictures":
        told["command"] = public_command(folder)
    else:
        rank_1 = rank_1_of(pd.read_parquet(folder / TABLE), asked.images)
        told |= {"command": None, "against": against, "code": [n for n in told["files"] if n != TABLE]}
        told["claims"] = {"rank_1": rank_1.value}
    path = folder / MANIFEST
    write_text(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return path
