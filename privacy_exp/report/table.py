"""Tables for the terminal: how they are drawn, and the result of a run as one."""

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from privacy_exp.report.metrics import describe, in_order
from privacy_exp.runs.record import Record
from privacy_exp.types import Metric

WIDTH = 132
"""Characters of a line."""

MOST = 24
"""Rows of the table; the record holds the others."""


def render(table: Table, width: int = WIDTH) -> str:
    """A table as text. Its titles and cells are markup: what comes from a record goes through `rich.markup.escape`."""
    text = StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue().rstrip()


def result_table(record: Record, folder: Path) -> str:
    """The headline figures with their 95 % intervals, and where the files are.

    Args:
        record: of a finished run.
        folder: its run folder.
    """
    ratio = "its own area" if record.mask_ratio is None else f"ratio {record.mask_ratio:g}"
    names = " · ".join(str(record.choices.get(g)) for g in ("data", "masking", "inpainting") if g in record.choices)
    title = f"{names} · {ratio} · {record.n} images"
    lines = [f"warning: {w}" for w in record.warnings]
    lines += [f"files    {folder}", f"record   {folder / 'record.json'}", f"pictures {folder / 'grid.png'}"]
    return metric_table(title, record.metrics, record.observers) + "\n".join(lines)


def metric_table(
    title: str, metrics: Mapping[str, Metric], observers: Sequence[str] = (), source: str = "record.json"
) -> str:
    """Figures with their 95 % intervals and what they mean: the strongest observer first, none by attribute.

    Args:
        title: stands above.
        metrics: by their names in the record.
        observers: who took part in `strongest_observer`, the strongest first.
        source: where all figures stand.
    """
    names = in_order(metrics)
    caption = f"strongest observer first: {', '.join(observers)}" if observers else None
    shown = [name for name in names if not name.startswith("by/")][:MOST]
    if len(names) > len(shown):
        caption = " · ".join(filter(None, [caption, f"{len(names) - len(shown)} more figures in {source}"]))
    table = Table(title=escape(title), caption=escape(caption) if caption else None, caption_justify="left")
    table.add_column("metric")
    for column in ("value", "95 % interval", "n"):
        table.add_column(column, justify="right")
    table.add_column("meaning")
    for name in shown:
        reason = f" [{metrics[name].reason}]" if metrics[name].reason else ""
        table.add_row(escape(name), *_cells(metrics[name]), escape(describe(name).meaning + reason))
    return render(table) + "\n"


def _cells(metric: Metric) -> tuple[str, str, str]:
    if metric.value is None:
        return "–", "–", str(metric.n)
    interval = "–" if metric.low is None or metric.high is None else f"{metric.low:.3f} … {metric.high:.3f}"
    return f"{metric.value:.3f}", interval, str(metric.n)
