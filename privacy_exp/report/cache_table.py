"""The store as a table for the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from privacy_exp.cache.pruning import Item
from privacy_exp.report.table import render


def store_table(root: Path, found: Sequence[Item]) -> str:
    """One row per kind: how many, how large, what it took to compute, and the ages.

    Args:
        root: of the store.
        found: what lies there.
    """
    table = Table(title=escape(str(root)))
    table.add_column("kind")
    for column in ("entries", "MB", "computed in", "last used, days ago"):
        table.add_column(column, justify="right")
    for kind in sorted({item.kind for item in found}):
        own = [item for item in found if item.kind == kind]
        days = [item.days for item in own]
        seconds = [item.seconds for item in own if item.seconds is not None]
        took = f"{sum(seconds):.0f} s" if seconds else "–"
        ages = f"{min(days):.1f} … {max(days):.1f}"
        table.add_row(kind, str(len(own)), f"{sum(item.size for item in own) / 1e6:.1f}", took, ages)
    return render(table, 100)
