"""Deletion curves as files: json and csv for programs, a figure and a table for people."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from privacy_exp.cache.files import write_text
from privacy_exp.report.charts import deletion
from privacy_exp.report.paper import write_chart
from privacy_exp.report.table import render

COLUMNS = ("method", "share", "prob", "prob_low", "prob_high", "fool_rate")


def write_deletion(folder: Path, content: dict[str, Any]) -> Path:
    """Writes `deletion.json`, `.csv`, `.png`, `.pdf` and `.svg`, prints the table, and returns the path of the json.

    Args:
        folder: takes them.
        content: `data, recognizer, region, against, n, people, clean_accuracy, curves`.
    """
    path = folder / "deletion.json"
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(COLUMNS)
    for curve in content["curves"]:
        names = ("shares", *COLUMNS[2:])
        writer.writerows((curve["method"], *values) for values in zip(*(curve[n] for n in names), strict=True))
    write_text(folder / "deletion.csv", rows.getvalue())
    write_chart(deletion(content), folder)
    print(_table(content))
    print(f"files    {path}\npicture  {folder / 'deletion.png'}")
    return path


def verdict(curve: dict[str, Any], against: str) -> str:
    """In words: whether a method finds what matters sooner than the one it is tested against."""
    if curve["method"] == against:
        return "–"
    if curve["p_vs_random"] is None:
        return f"not tested: {curve['p_reason']}"
    if curve["p_vs_random"] >= 0.05:
        return "no difference shown"
    return "better" if curve["auc_minus_random"] < 0 else "worse"


def _table(content: dict[str, Any]) -> str:
    title = (
        f"{content['data']} · {content['recognizer']} · {content['region']} · {content['n']} images of "
        f"{content['people']} people · clean accuracy {content['clean_accuracy']:.3f}"
    )
    table = Table(title=escape(title))
    for name in ("method", "area (lower = better)", "95 % interval", f"p against {content['against']}", "verdict"):
        table.add_column(name, justify="left" if name in ("method", "verdict") else "right")
    for curve in sorted(content["curves"], key=lambda c: c["auc"]["value"]):
        auc, p = curve["auc"], curve["p_vs_random"]
        interval = f"{auc['low']:.3f} … {auc['high']:.3f}"
        shown = "–" if p is None else f"{p:.4f}"
        table.add_row(curve["method"], f"{auc['value']:.3f}", interval, shown, verdict(curve, content["against"]))
    return render(table)
