"""Content keys: equal where what matters is equal, whatever the path, launcher or tracker."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def content_key(fields: Mapping[str, Any]) -> str:
    """A short hash of exactly these fields, independent of their order.

    Args:
        fields: plain values (numbers, strings, lists, mappings, None).

    Raises:
        TypeError: a value that JSON cannot hold: it would have no stable form.
    """
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes: in keys a moved file is the same, a changed one is not."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
