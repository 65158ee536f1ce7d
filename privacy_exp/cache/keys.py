"""Content keys: equal where what matters is equal, whatever the path, launcher or tracker."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from privacy_exp.cache.content import content_digest, file_digest
from privacy_exp.cache.sources import sources

__all__ = ["WITHOUT_EFFECT", "content_key", "file_digest", "has_effect", "is_path", "scientific"]

PACKAGE = Path(__file__).parents[1]

WITHOUT_EFFECT = frozenset(
    {
        "accelerator",
        "attention_slicing",
        "batch_size",
        "channels_last",
        "compile",
        "device",
        "devices",
        "enable_checkpointing",
        "enable_model_summary",
        "enable_progress_bar",
        "inference_mode",
        "log_every_n_steps",
        "logger",
        "num_workers",
        "offload",
        "strategy",
    }
)
"""Names of arguments, of any part, that say where, how fast and how loudly it computes: no figure depends on them, but
for rounding. It is the one list of the package; a class adds its own in `Configured.without_effect`. The batch size of
a fit does matter: `fit_key` names it by itself."""

PATHS = frozenset({"checkpoint", "dir", "file", "folder", "lora", "model", "path", "reference", "weights"})
"""Last words of the names of arguments that may be files or folders, such as `lora` and `judge_model`."""


def has_effect(name: str) -> bool:
    """Whether figures depend on an argument of this name."""
    return name not in WITHOUT_EFFECT


def is_path(name: str) -> bool:
    """Whether an argument of this name may be a file or a folder, which its content then stands for."""
    return name == "init_from" or name.rpartition("_")[2] in PATHS


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


def scientific(value: Any, name: str = "") -> Any:
    """The part of a configuration that decides figures, for a key.

    Arguments without effect are left out. A file or folder is named by the digest of its content: a moved checkpoint
    is the same, a changed one is not. Beside each `_target_` stands the digest of the code that it runs, so that an
    edited class, the user's own included, is another one.

    Args:
        value: plain values, nested.
        name: of the argument that has this value; it decides whether a text is a path.
    """
    if isinstance(value, Mapping):
        known = {key: scientific(part, key) for key, part in value.items() if has_effect(key)}
        return known | {"_source_": sources(value["_target_"])} if "_target_" in value else known
    if isinstance(value, list | tuple):
        return [scientific(part, name) for part in value]
    return _content(value) if isinstance(value, str) and is_path(name) else value


def _content(value: str) -> str:
    """The digest of the files that `value` is the path of, else `value` itself (a hub id)."""
    if not value:  # as a path this would be the working folder
        return value
    path = Path(value).expanduser()
    if value.startswith("privacy_exp/"):
        path = PACKAGE / value.removeprefix("privacy_exp/")
    try:
        there = path.is_file() or (path.is_dir() and ("/" in value or _is_checkpoint(path)))
    except OSError:  # longer than any path may be
        return value
    return content_digest(path) if there else value


def _is_checkpoint(path: Path) -> bool:
    """Whether diffusers or peft saved this folder: a model's short name may be that of a folder by chance."""
    named = ("model_index.json", "config.json", "*.safetensors")
    return any(True for pattern in named for _ in path.glob(pattern))
