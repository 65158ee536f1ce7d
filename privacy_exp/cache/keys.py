"""Content keys: equal where what matters is equal, whatever the path, launcher or tracker."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]

WITHOUT_EFFECT = frozenset(
    {
        "attention_slicing",
        "batch_size",
        "channels_last",
        "compile",
        "device",
        "enable_progress_bar",
        "num_workers",
        "offload",
    }
)
"""Keys of any part that change its speed and memory, and figures by rounding at most."""


def content_key(fields: Mapping[str, Any]) -> str:
    """A short hash of exactly these fields, independent of their order; 1 and 1.0 are the same.

    Args:
        fields: plain values (numbers, strings, lists, mappings, None).

    Raises:
        TypeError: a value that JSON cannot hold: it would have no stable form.
    """
    canonical = json.dumps(_numbers(fields), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]


def _numbers(value: Any) -> Any:
    """Whole numbers without a point: the command line gives 3 where a yaml says 3.0."""
    if isinstance(value, Mapping):
        return {name: _numbers(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def scientific(value: Any) -> Any:
    """The part of a configuration that decides figures, for a key.

    Keys that change speed alone are left out, and files and folders are named by the hash of their content: a moved
    checkpoint is the same, a changed one is not.

    Args:
        value: plain values, nested.
    """
    if isinstance(value, Mapping):
        return {name: scientific(part) for name, part in value.items() if name not in WITHOUT_EFFECT}
    if isinstance(value, list | tuple):
        return [scientific(part) for part in value]
    return _content(value) if isinstance(value, str) else value


def _content(value: str) -> str:
    """The hash of the files that `value` is the path of, else `value` itself (a hub id, a prompt, a name)."""
    if not value:  # the empty prompt, which as a path is the working folder
        return value
    path = Path(value).expanduser()
    if value.startswith("privacy_exp/"):
        path = PACKAGE / value.removeprefix("privacy_exp/")
    try:
        if path.is_file():
            return file_digest(path)
        if path.is_dir() and ("/" in value or _is_checkpoint(path)):
            files = sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] != "." and p.suffix != ".md")
            return content_key({str(p.relative_to(path)): file_digest(p) for p in files})
    except OSError:  # a prompt may be longer than any path
        return value
    return value


def _is_checkpoint(path: Path) -> bool:
    """Whether diffusers or peft saved this folder: other words may be names of folders by chance."""
    named = ("model_index.json", "config.json", "*.safetensors")
    return any(True for pattern in named for _ in path.glob(pattern))


_hashes: dict[tuple[Path, int, int], str] = {}  # large checkpoints are read once a process


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes: in keys a moved file is the same, a changed one is not."""
    stat = path.stat()
    known = path.resolve(), stat.st_size, stat.st_mtime_ns
    if known not in _hashes:
        with path.open("rb") as file:
            _hashes[known] = hashlib.file_digest(file, "sha256").hexdigest()
    return _hashes[known]
