"""The headline table for papers and programs: csv, parquet, LaTeX, Markdown and the terminal."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.markup import escape
from rich.table import Table

from privacy_exp.cache.files import atomic_file, write_text
from privacy_exp.report.metrics import as_text, describe
from privacy_exp.report.ranking import Lead
from privacy_exp.report.sections import Section, show
from privacy_exp.report.table import render

FOOTNOTE = (
    "95 % intervals over people in brackets; ! flagged, see the reason in table.csv; – no value; * best of its class"
)


def full_table(sections: Sequence[Section], best: Sequence[set[int]]) -> pd.DataFrame:
    """A row a cell with everything that the records hold: axes, and five columns a metric.

    Args:
        sections: of the report.
        best: for each section, the rows that are ahead of their class.
    """
    rows = []
    for section, leaders in zip(sections, best, strict=True):
        for index, cell in enumerate(section.cells):
            row = {"section": section.title, "cell": cell.name, **section.row(index), "n": cell.record["n"]}
            for name in section.metrics:
                metric = cell.metric(name)
                parts = {"": metric.value, "/low": metric.low, "/high": metric.high, "/n": metric.n}
                row |= {f"{name}{suffix}": value for suffix, value in parts.items()}
                row[f"{name}/reason"] = metric.reason
            rows.append(row | {"best": index in leaders, "command": cell.command})
    return pd.DataFrame(rows)


def headline_frame(section: Section, columns: Sequence[str], best: set[int]) -> pd.DataFrame:
    """The headline table as text: axes, then value and interval of each column.

    Args:
        section: whose table.
        columns: metrics.
        best: rows that are ahead of their class: marked in the fool rate.
    """
    frame = pd.DataFrame({axis.label: [axis.word(v) for v in axis.values] for axis in section.varying})
    frame[section.varying[0].label] = [section.name(index) for index in range(len(section.cells))]
    for name in columns:
        texts = [as_text(cell.metric(name)) for cell in section.cells]
        if name == "fool_rate":
            texts = [f"{text} *" if index in best else text for index, text in enumerate(texts)]
        frame[describe(name).label] = texts
    return frame


def write_tables(
    out: Path, sections: Sequence[Section], columns: Sequence[list[str]], best: Sequence[set[int]]
) -> None:
    """Writes `table.csv`, `table.parquet` and `table.md`.

    Args:
        out: folder.
        sections: of the report.
        columns: headline metrics of each section.
        best: rows of each section that are ahead of their class.
    """
    full = full_table(sections, best)
    with atomic_file(out / "table.csv") as temporary:
        for_spreadsheets(full).to_csv(temporary, index=False)
    with atomic_file(out / "table.parquet") as temporary:
        _storable(full).to_parquet(temporary, engine="pyarrow", index=False)
    frames = [headline_frame(*each) for each in zip(sections, columns, best, strict=True)]
    write_text(out / "table.md", "\n".join(_markdown(s.title, f) for s, f in zip(sections, frames, strict=True)))


def _storable(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of mixed types (a ratio and "auto") as text: a parquet column has one type."""
    mixed = [str(name) for name in frame if frame[name].dropna().map(type).nunique() > 1]
    return frame.assign(**{name: frame[name].map(show) for name in mixed})


def for_spreadsheets(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts that a spreadsheet would take for a formula, with an apostrophe in front."""
    return frame.map(lambda value: f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@") else value)


def _markdown(title: str, frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.values.tolist()]
    lines = ["| " + " | ".join(str(value).replace("|", "\\|") for value in row) + " |" for row in rows]
    return f"**{title}**\n\n" + "\n".join(lines) + f"\n\n{FOOTNOTE}.\n"


def terminal_table(section: Section, frame: pd.DataFrame) -> str:
    """The headline table for the terminal.

    Args:
        section: whose table.
        frame: from `headline_frame`.
    """
    table = Table(title=escape(f"{section.title} · {len(section.cells)} cells"), caption=FOOTNOTE)
    for number, name in enumerate(frame.columns):
        table.add_column(escape(name), justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in frame.values.tolist():
        table.add_row(*(escape(str(value)) for value in row))
    return render(table, max(100, 24 * len(frame.columns))) + "\n"


def comparison_frame(section: Section, comparisons: Sequence[Lead]) -> pd.DataFrame:
    """What the paired tests said, one row per pair.

    Args:
        section: whose cells.
        comparisons: from `compare`.
    """
    names = ["value", "low", "high", "detectable", "p", "n", "identities", "reason"]
    rows = [
        {"leader": section.label(c.leader), "other": section.label(c.other)}
        | {name: getattr(c.difference, name) for name in names}
        | {"p_holm": c.p_holm, "p_mcnemar": c.p_mcnemar}
        for c in comparisons
    ]
    return pd.DataFrame(rows, columns=["leader", "other", *names, "p_holm", "p_mcnemar"], dtype=object)
