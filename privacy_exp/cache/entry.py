"""What an entry of the store says about itself: where it comes from, and that its files are as they were written."""

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import platform, python_version
from typing import Any

from privacy_exp import __version__
from privacy_exp.cache.files import write_text

LABEL = "entry.json"
"""Beside an entry's files: what it is, when and with what it was made, and each file's size and SHA-256."""

LIBRARIES = (
    *("torch", "torchvision", "diffusers", "transformers", "pytorch-lightning", "facenet-pytorch", "numpy", "pillow"),
    *("opencv-python-headless", "onnx", "onnxruntime", "onnx2torch", "grad-cam", "captum"),
)
"""Whose versions may move pixels, weights or scores."""

_Signature = tuple[tuple[str, int, int], ...]
_sound: dict[Path, _Signature] = {}  # entries this process has read in full, as they were then


@cache
def installed_versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that decide figures."""
    found = {"privacy_exp": __version__, "python": python_version(), "platform": platform(terse=True)}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def origin() -> dict[str, Any]:
    """What stands beside every stored thing: `versions`, and how many `threads` torch has (None without torch)."""
    torch = sys.modules.get("torch")
    return {"versions": installed_versions(), "threads": torch.get_num_threads() if torch else None}


def origin_of(folder: Path) -> dict[str, Any]:
    """What `origin` was when an entry was made; empty where its label does not say."""
    try:
        label = json.loads((folder / LABEL).read_text())
    except (OSError, ValueError):
        return {}
    return {name: label[name] for name in ("versions", "threads") if isinstance(label, dict) and name in label}


def differences(made: Mapping[str, Any]) -> list[str]:
    """How the present differs from what something was made with, such as "torch 2.13.0, now 2.14.1"."""
    now = origin()
    before = made.get("versions", {})
    found = [f"{n} {before[n]}, now {v}" for n, v in now["versions"].items() if before.get(n, v) != v]
    threads = made.get("threads")
    if threads is not None and now["threads"] not in (None, threads):
        found.append(f"{threads} threads, now {now['threads']}")
    return found


def label(folder: Path, kind: str, fields: Mapping[str, Any], seconds: float, files: Mapping[str, Any]) -> None:
    """Writes a label; see `seal` for the arguments."""
    content = {"kind": kind, "made": time.time(), "seconds": seconds, **origin(), "fields": fields, "files": files}
    write_text(folder / LABEL, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def seal(folder: Path, kind: str, fields: Mapping[str, Any], seconds: float) -> None:
    """Writes the label of a complete entry.

    Args:
        folder: holds all files of the entry.
        kind: what it is, such as "recognizer".
        fields: that its key was made of.
        seconds: that computing it took.
    """
    label(folder, kind, fields, seconds, {str(p.relative_to(folder)): _size_and_hash(p) for p in _files(folder)})


def damage(folder: Path) -> str | None:
    """What is wrong with an entry, in a few words; None where every file is as it was written.

    Files are hashed once per process, and again when their size or time has changed since.
    """
    try:
        content = json.loads((folder / LABEL).read_text())
        expected: dict[str, dict[str, Any]] = content["files"]
        names = sorted(expected)
    except FileNotFoundError:
        return f"no {LABEL}"
    except (ValueError, KeyError, TypeError):
        return f"{LABEL} cannot be read"
    signature = tuple((name, *_stamp(folder / name)) for name in names)
    if _sound.get(folder) == signature:
        return None
    for name, known in expected.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if _size_and_hash(path) != known:
            return f"{name} has changed since it was written"
    _sound[folder] = signature
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / LABEL)


def _size_and_hash(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _stamp(path: Path) -> tuple[int, int]:
    if not path.is_file():
        return -1, -1
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
