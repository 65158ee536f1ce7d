"""The result of a run as a small table for the terminal."""

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.table import Table

from privacy_exp.evaluation.statistics import Metric
from privacy_exp.store.record import Record

EXPLAINED = {
    "worst_observer": "recognition that the strongest observer keeps (1 all, 0 chance)",
    "accuracy": "clean accuracy of the recogniser",
    "accuracy_anonymized": "its accuracy on the results",
    "fool_rate": "recognised before, not after",
    "fool_rate_at_5": "recognised before, not among its first five after",
    "control_fool_rate": "lost to the autoencoder alone, same mask",
    "fool_rate_net": "fooled among those that the autoencoder alone leaves",
}
"""Metrics in the order of the table, in plain words."""


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


def metric_table(title: str, metrics: Mapping[str, Metric], observers: Sequence[str] = ()) -> str:
    """Figures with their 95 % intervals and what they mean.

    Args:
        title: stands above.
        metrics: those that `EXPLAINED` knows are shown.
        observers: who took part in `worst_observer`.
    """
    table = Table(title=title)
    table.add_column("metric")
    for column in ("value", "95 % interval", "n"):
        table.add_column(column, justify="right")
    table.add_column("meaning")
    for name, meaning in EXPLAINED.items():
        metric = metrics[name]
        who = f" ({', '.join(observers)})" if name == "worst_observer" and observers else ""
        table.add_row(name + who, *_cells(metric), meaning + (f" \\[{metric.reason}]" if metric.reason else ""))
    text = StringIO()
    Console(file=text, width=132).print(table)
    return text.getvalue()


def _cells(metric: Metric) -> tuple[str, str, str]:
    if metric.value is None:
        return "–", "–", str(metric.n)
    interval = "–" if metric.low is None or metric.high is None else f"{metric.low:.3f} … {metric.high:.3f}"
    return f"{metric.value:.3f}", interval, str(metric.n)
