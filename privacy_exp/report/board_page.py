"""A board as one page: tools and what observers still recognise of their pictures, a section per protocol and data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from privacy_exp.cache.files import write_text
from privacy_exp.report.board import BoardSection, Entry, read_entries, read_sections
from privacy_exp.report.metrics import as_text, describe
from privacy_exp.runs.answer import why
from privacy_exp.runs.names import display_name, name_order
from privacy_exp.types import Metric

TEMPLATE = "board.html.j2"
UTILITY = ("utility/landmark_error", "utility/lpips", "utility/ssim_inside")
"""What stands for utility beside the observers, the first that an entry has."""


def write_board(board: Path, out: Path) -> Path:
    """Writes `index.html` and returns its path.

    Args:
        board: folder of the board.
        out: folder to write to.

    Raises:
        UserError: no section, or a section or an entry that cannot be read.
    """
    environment = Environment(
        loader=PackageLoader("privacy_exp.report"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [_section(section, read_entries(board, section)) for section in read_sections(board)]
    write_text(out / "index.html", environment.get_template(TEMPLATE).render(sections=sections))
    count = sum(len(section["rows"]) for section in sections)
    print(f"{count} entries in {len(sections)} sections\npage     {out / 'index.html'}")
    return out / "index.html"


def _section(section: BoardSection, entries: Sequence[Entry]) -> dict[str, Any]:
    attackers = [entry for entry in entries if entry.kind == "attacker"]
    pictures = sorted((e for e in entries if e.kind == "pictures"), key=_order)
    seen = {name for entry in entries for name in entry.observers}
    observers = [*section.observers, *sorted(seen - set(section.observers))]
    rows = []
    for entry in pictures:
        against = [attacker for attacker in attackers if attacker.against == entry.name]
        found = dict(entry.observers)
        for attacker in against:
            found |= attacker.observers
        rows.append(
            {
                "entry": entry,
                "name": entry.tool["name"],
                "area": entry.facts.get("share_hidden"),
                "strongest": _cell("strongest_observer", entry.metrics.get("strongest_observer")),
                "cells": [_cell(*found.get(name, ("", None))) for name in observers],
                "utility": next((_cell(n, entry.metrics[n]) for n in UTILITY if n in entry.metrics), _cell("", None)),
                "source": _link(entry.tool["source"]),
                "attackers": against,
            }
        )
    return {"section": section, "observers": [(name, _words(name)) for name in observers], "rows": rows}


def _cell(figure: str, metric: Metric | None) -> dict[str, Any]:
    """One figure: its text, its interval and, where it is a share, the bar that shows both."""
    if metric is None or metric.value is None:
        return {"text": "–", "interval": "", "bar": None, "why": "not asked" if metric is None else why(metric.reason)}
    text, _, interval = as_text(metric).partition(" [")
    ends = [metric.value if end is None else end for end in (metric.low, metric.high)]
    low, value, high = (min(1.0, max(0.0, x)) for x in (ends[0], metric.value, ends[1]))
    label = describe(figure).label if figure == "strongest_observer" else figure.replace("_", " ")
    shown = figure.rpartition("/")[2].replace("_", " ") if figure.startswith("utility/") else label
    bar = None if figure.startswith("utility/") else (value, low, high)
    return {"text": text, "interval": f"[{interval}" if interval else "", "bar": bar, "why": f"{shown}, n={metric.n}"}


def _words(observer: str) -> str:
    group, _, stem = observer.partition("/")
    return display_name(observer) if not stem else f"{group}: {display_name(stem.split('/')[0])}"


def _order(entry: Entry) -> tuple[Any, ...]:
    choices: Mapping[str, Any] = entry.facts.get("choices") or {}
    return (*name_order(choices.get("masking")), entry.tool["name"].lower(), entry.name)


def _link(source: str) -> str | None:
    """An address that a reader may follow; anything else stays text."""
    return source if source.startswith(("https://", "http://")) else None
