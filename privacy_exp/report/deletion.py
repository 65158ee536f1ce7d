"""Deletion curves as files: json and csv for programs, a picture and a table for people."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from privacy_exp.cache.files import atomic_file, write_text

COLUMNS = ("method", "share", "prob", "prob_low", "prob_high", "fool_rate")


def write_deletion(folder: Path, content: dict[str, Any]) -> Path:
    """Writes `deletion.json`, `.csv`, `.png` and `.svg`, prints the table, and returns the path of the json.

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
    _draw(folder, content)
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
    table = Table(title=title)
    for name in ("method", "area (lower = better)", "95 % interval", f"p against {content['against']}", "verdict"):
        table.add_column(name, justify="left" if name in ("method", "verdict") else "right")
    for curve in sorted(content["curves"], key=lambda c: c["auc"]["value"]):
        auc, p = curve["auc"], curve["p_vs_random"]
        interval = f"{auc['low']:.3f} … {auc['high']:.3f}"
        shown = "–" if p is None else f"{p:.4f}"
        table.add_row(curve["method"], f"{auc['value']:.3f}", interval, shown, verdict(curve, content["against"]))
    text = io.StringIO()
    Console(file=text, width=132).print(table)
    return text.getvalue().rstrip()


def _draw(folder: Path, content: dict[str, Any]) -> None:
    """Mean probability and fool rate over the hidden share; the method that the others are tested against in black."""
    from matplotlib.figure import Figure  # half a second that --help should not wait for

    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    order = sorted(content["curves"], key=lambda c: c["auc"]["value"])
    colours = _colours(len(order))
    for curve, colour in zip(order, colours, strict=True):
        reference = curve["method"] == content["against"]
        style = {"color": "black", "linewidth": 2.5, "zorder": 3} if reference else {"color": colour, "linewidth": 1.2}
        label = f"{curve['method']} {curve['auc']['value']:.3f}"
        left.plot(curve["shares"], curve["prob"], label=label, **style)
        if reference:
            left.fill_between(curve["shares"], curve["prob_low"], curve["prob_high"], color="black", alpha=0.12)
        if None not in curve["fool_rate"]:
            right.plot(curve["shares"], curve["fool_rate"], **style)
    for axes, name in ((left, "probability of the true identity"), (right, "fool rate")):
        axes.set(xlabel=f"hidden share of the {content['region']}", ylabel=name, xlim=(0, 1), ylim=(0, 1))
        axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize="small", title="area, best first", frameon=False)
    figure.suptitle(f"{content['data']} · {content['recognizer']} · mean fill · {content['n']} images")
    for suffix in ("png", "svg"):
        with atomic_file(folder / f"deletion.{suffix}") as temporary:
            figure.savefig(temporary, dpi=120, format=suffix)


def _colours(count: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["turbo"](0.05 + 0.9 * i / max(count - 1, 1)) for i in range(count)]
