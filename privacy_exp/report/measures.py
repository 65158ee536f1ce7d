"""What judges, attackers and utility measures found, as a table for the terminal."""

from collections.abc import Mapping
from io import StringIO

from rich.console import Console
from rich.table import Table

from privacy_exp.evaluation.statistics import Metric

GROUPS = ("judge/", "attacker/", "utility/")


def measure_table(title: str, metrics: Mapping[str, Metric]) -> str:
    """Every figure of the chosen measures with its 95 % interval, n, and flag or reason; empty without any.

    Args:
        title: stands above.
        metrics: by full name.
    """
    rows = {name: metric for name, metric in metrics.items() if name.startswith(GROUPS)}
    if not rows:
        return ""
    table = Table(title=title)
    table.add_column("measure")
    for column in ("value", "95 % interval", "n"):
        table.add_column(column, justify="right")
    table.add_column("flag or reason")
    for name, metric in rows.items():
        value = "–" if metric.value is None else f"{metric.value:.3f}"
        interval = "–" if metric.low is None or metric.high is None else f"{metric.low:.3f} … {metric.high:.3f}"
        table.add_row(name, value, interval, str(metric.n), metric.reason or "")
    text = StringIO()
    Console(file=text, width=132).print(table)
    return text.getvalue()
