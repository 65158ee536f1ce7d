"""Content keys: equal where what matters is equal, whatever the path, launcher or tracker."""

import hashlib
import json
from collections.abc import Mapping
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
