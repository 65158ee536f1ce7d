"""Deletion curves that another command computed: `deletion.json`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from privacy_exp.report.metrics import as_text
from privacy_exp.types import Metric, UserError

SCHEMA = 1


def find_deletion(path: str | None, sweeps: Sequence[Path]) -> list[Mapping[str, Any]]:
    """The curves to show: of the given file, else of every `deletion.json` that lies in a sweep's folder.

    Args:
        path: a file, or None.
        sweeps: folders of sweeps.

    Raises:
        FileNotFoundError: no such file.
        UserError: it holds no deletion curves of this schema.
    """
    if path is not None:
        return [read_deletion(Path(path))]
    return [read_deletion(file) for sweep in sweeps for file in sorted(sweep.glob("deletion*.json"))]


def read_deletion(path: Path) -> Mapping[str, Any]:
    """One file of curves; see `find_deletion`."""
    if not path.is_file():
        raise FileNotFoundError(f"`deletion` must be a deletion.json, but {path} is no file.")
    try:
        content = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}); compute the deletion curves again.") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA or not isinstance(content.get("curves"), list):
        raise UserError(f"{path} has schema {schema!r}; the report reads deletion curves of schema {SCHEMA}.")
    for curve in content["curves"]:
        if len(curve.get("shares", ())) != len(curve.get("prob", ())) or not curve.get("method"):
            raise UserError(f"{path}: a curve needs a method and as many `prob` as `shares`.")
    found: dict[str, Any] = content
    return found


def deletion_frame(content: Mapping[str, Any]) -> pd.DataFrame:
    """Area under each curve with its interval, and the paired test against random patches."""
    rows = []
    for curve in content["curves"]:
        area = curve.get("auc") or {}
        metric = Metric(area.get("value"), area.get("low"), area.get("high"), area.get("n", 0))
        p = curve.get("p_vs_random")
        test = f"{p:.4f}" if p is not None else curve.get("p_reason") or "–"
        rows.append({"method": curve["method"], "area under the curve": as_text(metric), "p against random": test})
    return pd.DataFrame(rows, columns=["method", "area under the curve", "p against random"])
