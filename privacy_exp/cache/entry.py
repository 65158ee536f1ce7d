"""What an entry of the store says about itself, so that damage is noticed before anybody builds on it."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from privacy_exp.cache.files import write_text

LABEL = "entry.json"
"""Beside an entry's files: what it is, when it was made, and each file's size and SHA-256."""

_Signature = tuple[tuple[str, int, int], ...]
_sound: dict[Path, _Signature] = {}  # entries this process has read in full, as they were then


def seal(folder: Path, kind: str, fields: Mapping[str, Any], seconds: float) -> None:
    """Writes the label of a complete entry.

    Args:
        folder: holds all files of the entry.
        kind: what it is, such as "recognizer".
        fields: that its key was made of.
        seconds: that computing it took.
    """
    files = {str(path.relative_to(folder)): _facts(path) for path in _files(folder)}
    label = {"kind": kind, "made": time.time(), "seconds": seconds, "fields": fields, "files": files}
    write_text(folder / LABEL, json.dumps(label, indent=1, ensure_ascii=False) + "\n")


def damage(folder: Path) -> str | None:
    """What is wrong with an entry, in a few words; None where every file is as it was written.

    Files are hashed once a process, and again when their size or time has changed since.
    """
    try:
        label = json.loads((folder / LABEL).read_text())
        expected: dict[str, dict[str, Any]] = label["files"]
    except FileNotFoundError:
        return f"no {LABEL}"
    except (ValueError, KeyError, TypeError):
        return f"{LABEL} cannot be read"
    signature = tuple((name, *_stamp(folder / name)) for name in sorted(expected))
    if _sound.get(folder) == signature:
        return None
    for name, facts in expected.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if _facts(path) != facts:
            return f"{name} has changed since it was written"
    _sound[folder] = signature
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / LABEL)


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _stamp(path: Path) -> tuple[int, int]:
    if not path.is_file():
        return -1, -1
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
