"""Tables for the terminal: how they are drawn, and the result of a run as one."""

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from textwrap import fill

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from privacy_exp.report.metrics import describe, telling
from privacy_exp.runs.answer import decimals, why
from privacy_exp.runs.names import display_name
from privacy_exp.runs.record import STRIP, Record
from privacy_exp.types import Metric

WIDTH = 132
"""Characters of a line."""

MOST = 12
"""Rows of the table; the record holds the others."""


def render(table: Table, width: int = WIDTH) -> str:
    """A table as text. Its titles and cells are markup: what comes from a record goes through `rich.markup.escape`."""
    text = StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue().rstrip()


def result_text(record: Record, folder: Path) -> str:
    """What a run found: in words, the headline figures with their 95 % intervals, and where the files are.

    Args:
        record: of a finished run.
        folder: its run folder.
    """
    warned = [wrapped(f"warning: {text}") for text in record.warnings]
    places = [f"record   {folder / 'record.json'}", f"pictures {folder / 'grid.png'}"]
    places += [f"restored {folder / STRIP}"] if (folder / STRIP).is_file() else []
    table = metric_table("", record.metrics, record.observers)
    return "\n".join([wrapped(record.answer()), "", table.rstrip(), *warned, *places])


def wrapped(text: str) -> str:
    """A paragraph in lines of the tables' width."""
    return fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def metric_table(
    title: str, metrics: Mapping[str, Metric], observers: Sequence[str] = (), source: str = "record.json"
) -> str:
    """Figures with their 95 % intervals and what they mean: the most telling first, none by attribute.

    Args:
        title: stands above.
        metrics: by their names in the record.
        observers: who took part in `strongest_observer`, the strongest first.
        source: where all figures stand.
    """
    caption = f"observers, the strongest first: {', '.join(map(display_name, observers))}" if observers else None
    shown = telling(metrics, MOST)
    if len(metrics) > len(shown):
        caption = " · ".join(filter(None, [caption, f"{len(metrics) - len(shown)} more figures in {source}"]))
    table = Table(
        title=escape(title) or None, caption=escape(caption) if caption else None, caption_justify="left", box=SIMPLE
    )
    table.add_column("figure")
    for column in ("value", "95 % interval", "n"):
        table.add_column(column, justify="right")
    table.add_column("meaning")
    for name in shown:
        reason = f" [{why(metrics[name].reason)}]" if metrics[name].reason else ""
        described = describe(name)
        table.add_row(escape(described.label), *_cells(metrics[name]), escape(described.meaning + reason))
    return render(table) + "\n"


def _cells(metric: Metric) -> tuple[str, str, str]:
    if metric.value is None:
        return "–", "–", str(metric.n)
    digits = decimals(metric)
    known = metric.low is not None and metric.high is not None
    interval = f"{metric.low:.{digits}f} … {metric.high:.{digits}f}" if known else "–"
    return f"{metric.value:.{digits}f}", interval, str(metric.n)
