"""One self-contained page: tables, charts, pictures and how each row was made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from privacy_exp.cache.files import write_text
from privacy_exp.report.answers import Answer
from privacy_exp.report.charts import Chart
from privacy_exp.report.collect import Collection, Row
from privacy_exp.report.figures import MARKERS, Look
from privacy_exp.report.glossary import GLOSSARY, button, glossed
from privacy_exp.report.metrics import as_text, describe
from privacy_exp.report.pictures import COLUMNS, PER_FILE, Album
from privacy_exp.report.ranking import Lead
from privacy_exp.report.sections import Section, show
from privacy_exp.report.setting import question, run_details, setting
from privacy_exp.report.tables import comparison_frame
from privacy_exp.runs.answer import why
from privacy_exp.runs.names import display_name
from privacy_exp.runs.questions import NOT_THIS, three_questions
from privacy_exp.types import Metric

GLYPHS = {
    "o": "M6 2a4 4 0 1 0 0 8a4 4 0 1 0 0-8z",
    "s": "M2.5 2.5h7v7h-7z",
    "D": "M6 1l5 5l-5 5l-5-5z",
    "^": "M6 1.5l5 9h-10z",
    "v": "M6 10.5l5-9h-10z",
    "P": "M4 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
    "X": "M3 1l3 3l3-3l2 2l-3 3l3 3l-2 2l-3-3l-3 3l-2-2l3-3l-3-3z",
    "h": "M6 1l4.3 2.5v5l-4.3 2.5l-4.3-2.5v-5z",
}
"""Markers of the charts for the legend in the page: paths in 12 × 12."""
assert set(GLYPHS) == set(MARKERS)  # noqa: S101  a marker without a glyph would leave a hole in the legend


MOST_TOOLS = 6
"""Beside each other in the strip of faces."""

MOST_FIGURES = 20_000
"""Of all rows together inside the page; beyond it the figures by attribute stand in table.csv alone."""


@dataclass
class Chapter:
    """What the page shows of one section.

    Attributes:
        section: its cells.
        answer: what it found, in words.
        columns: headline metrics.
        charts: the main one first.
        comparisons: paired tests.
        best: rows that are ahead of their class.
        gallery: pictures, or None.
        why_no_gallery: the reason where there is none.
    """

    section: Section
    answer: Answer
    columns: list[str]
    charts: list[Chart]
    comparisons: list[Lead]
    best: set[int]
    gallery: Album | None
    why_no_gallery: str


def write_page(out: Path, title: str, study: Collection, views: Sequence[Chapter]) -> Path:
    """Writes `index.html` and returns its path.

    Args:
        out: folder.
        title: of the page.
        study: what was found.
        views: one a section.
    """
    environment = Environment(
        loader=PackageLoader("privacy_exp.report"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "show": show,
        "glyph": glyph,
        "glossed": glossed,
        "term": button,
        "named": display_name,
        "why": why,
    }
    sections = [_section(view, number) for number, view in enumerate(views)]
    page = environment.get_template("page.html.j2").render(
        title=title,
        study=study,
        sections=sections,
        glossary=GLOSSARY,
        not_this=NOT_THIS,
        data={"sections": [s["data"] for s in sections]},
    )
    write_text(out / "index.html", page)
    return out / "index.html"


def _section(view: Chapter, number: int) -> dict[str, Any]:
    section = view.section
    same = [name for name in view.columns if name != "fool_rate" and is_constant(section, name)]
    columns = [name for name in view.columns if name not in same]
    photos = {int(cell.record["n"]) for cell in section.cells}
    constants = [f"{describe(name).label} {as_text(section.cells[0].metric(name))}" for name in same]
    rows = [
        {
            "index": index,
            "cell": cell,
            "name": section.name(index),
            "axes": [(axis, axis.values[index]) for axis in section.varying],
            "figures": [_figure(cell.metric(name), name) for name in columns],
            "below_gate": below_gate(cell),
            "best": index in view.best,
            "label": section.label(index),
            "questions": three_questions(cell.record["metrics"]),
        }
        for index, cell in enumerate(section.cells)
    ]
    drawn = [(chart, [Markup(svg) for svg in chart.svgs(f"s{number}")]) for chart in view.charts]  # noqa: S704
    narrow = [chart.name for chart, svgs in drawn[1:] if len(svgs) == 1]
    return {
        "id": f"s{number}",
        "section": section,
        "question": question(section),
        "setting": setting(section),
        "facts": run_details(section),
        "answer": view.answer,
        "columns": [describe(name) for name in columns],
        "constants": constants + [f"{n} photos" for n in photos if len(photos) == 1],
        "same_photos": len(photos) == 1,
        "filters": [axis for axis in section.axes if 1 < len(axis.levels) <= 30],
        "rows": rows,
        "charts": drawn,
        "lone": narrow[-1] if len(narrow) % 2 else None,  # two stand side by side, one takes the row
        "comparisons": comparison_frame(section, view.comparisons).to_dict("records"),
        "any_below_gate": any(row["below_gate"] for row in rows),
        "all_below_gate": all(row["below_gate"] for row in rows),
        "gallery": view.gallery,
        "why_no_gallery": view.why_no_gallery,
        "data": _data(view),
    }


def _figure(metric: Metric, name: str) -> dict[str, Any]:
    """One figure of the headline table; `bar` where it is a share and can be drawn as one."""
    bar = None
    if metric.value is not None and 0 <= metric.value <= 1 and name != "share_hidden":
        low, high = (metric.value if end is None else end for end in (metric.low, metric.high))
        bar = (metric.value, max(0.0, low), min(1.0, high))
    text, _, interval = as_text(metric).partition(" [")
    told = {"value": text, "interval": f"[{interval}" if interval else "", "bar": bar}
    return {"metric": metric, "name": name, "label": describe(name).label, **told}


def is_constant(section: Section, name: str) -> bool:
    """Whether a figure reads the same in every row of several."""
    return len(section.cells) > 1 and len({as_text(cell.metric(name)) for cell in section.cells}) == 1


def below_gate(cell: Row) -> bool:
    """Whether the recogniser's clean accuracy is below the gate, so that its privacy figures say little."""
    return (cell.metric("fool_rate").reason or "").startswith("below_gate")


def _data(view: Chapter) -> dict[str, Any]:
    """What the page's script needs: every metric for the details of a row, and the gallery."""
    section = view.section
    shown = [name for name in section.metrics if not name.startswith("by/")]
    if len(section.metrics) * len(section.cells) <= MOST_FIGURES:
        shown = section.metrics
    cells = []
    for index, cell in enumerate(section.cells):
        cells.append(
            {
                "name": cell.name,
                "method": section.name(index),
                "label": section.label(index),
                "axes": {axis.name: show(axis.values[index]) for axis in section.axes},
                "below_gate": below_gate(cell),
                "command": cell.command,
                "warnings": list(cell.record.get("warnings", [])),
                "metrics": [[as_text(m, 3), m.n, why(m.reason)] for m in map(cell.metric, shown)],
            }
        )
    names = [[name, describe(name).label, describe(name).meaning] for name in shown]
    best = view.answer.cells
    lineup = [*best[:2], *best[2:][-1:]]  # the best, the next, and the last, which is the control where there is one
    if section.pairs:
        lineup = best[:MOST_TOOLS]
    return {"cells": cells, "metrics": names, "gallery": _gallery_data(view), "lineup": lineup}


def _gallery_data(view: Chapter) -> dict[str, Any] | None:
    gallery = view.gallery
    if gallery is None:
        return None
    tables = [cell.faces for cell in view.section.cells]
    people = sorted({str(name) for table in tables if table is not None for name in table["identity"]})
    place = {image_id: tile for tile, image_id in enumerate(gallery.ids)}
    cells = []
    for table, sheets, missing in zip(tables, gallery.cells, gallery.missing, strict=True):
        cells.append(None if table is None else sheets | {"faces": _faces(table, place, people), "missing": missing})
    return {
        "pairs": view.section.pairs,
        "people": people,
        "tile": gallery.tile,
        "inline": gallery.inline,
        "count": len(gallery.ids),
        "columns": COLUMNS,
        "perFile": PER_FILE,
        "sheets": gallery.sheets,
        "originals": gallery.originals,
        "cells": cells,
    }


def _faces(table: pd.DataFrame, place: Mapping[str, int], people: Sequence[str]) -> list[list[int]]:
    """For each face that has a tile: tile and true person; in runs predicted before and after, -1 without a name."""
    names = dict(zip(table["label"], table["identity"].astype(str), strict=True))
    number = {name: index for index, name in enumerate(people)}
    label_to_person = {label: number[name] for label, name in names.items()}
    columns = [name for name in ("image_id", "label", "pred", "pred_anonymized") if name in table]
    rows = zip(*(table[name] for name in columns), strict=True)
    return [
        [place[image_id], *(label_to_person.get(label, -1) for label in labels)]
        for image_id, *labels in rows
        if image_id in place
    ]


def glyph(look: Look) -> Markup:
    """The marker of a method for the legend."""
    from privacy_exp.report.figures import COLOURS

    style = f"fill: var(--c{COLOURS.index(look.colour)})"
    return Markup('<svg viewBox="0 0 12 12" aria-hidden="true"><path style="{}" d="{}"/></svg>').format(
        style, GLYPHS[look.marker]
    )
