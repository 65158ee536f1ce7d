"""Which charts a section has: what stands on their axes, in words, and as a table."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_exp.report.curves import deletion_frame
from privacy_exp.report.figures import (
    STYLE,
    Look,
    Marks,
    draw_deletion,
    draw_dots,
    draw_heat,
    draw_lines,
    draw_plane,
    looks,
    point_sizes,
    top_shade,
)
from privacy_exp.report.metrics import as_text, describe
from privacy_exp.report.ranking import pareto_front
from privacy_exp.report.sections import STEMS, Section
from privacy_exp.report.svg import inline_svg
from privacy_exp.runs.names import name_order

logging.getLogger("fontTools").setLevel(logging.WARNING)  # a page of log for each pdf

MOST_DOTS = 24


@dataclass
class Panel:
    """One pair of axes.

    Attributes:
        title: what sets it apart from its neighbours.
        draw: draws into axes and names its marks.
    """

    title: str
    draw: Callable[[Axes, Marks], None]


@dataclass
class Chart:
    """A figure of one or more panels, or the reason why there is none.

    Attributes:
        name: stem of its files.
        title: heading.
        reading: what stands where, in a sentence or two; also the text alternative.
        panels: drawn beside each other; none where `reading` says why.
        values: the same figures as a table.
        size: of a panel, in inches.
        look: methods of the legend.
        sizes: of points, in words to points, where they mean something.
        shares_y: whether all panels have the same upward axis.
        top: of the colours' scale, where colours are figures.
    """

    name: str
    title: str
    reading: str
    panels: list[Panel]
    values: pd.DataFrame
    size: tuple[float, float]
    look: Mapping[str, Look]
    sizes: Mapping[str, float] = field(default_factory=dict)
    shares_y: bool = False
    top: float | None = None

    def svgs(self, prefix: str) -> list[str]:
        """A panel each, for the page."""
        made = []
        for number, panel in enumerate(self.panels):
            with matplotlib.rc_context(STYLE):
                figure = Figure(figsize=self.size, layout="constrained")
                ax, marks = figure.add_subplot(), Marks()
                panel.draw(ax, marks)
                leave_out_of_layout(ax)
                ax.set_title(panel.title, loc="left")
                name = f"{self.title}, {panel.title}" if panel.title else self.title
                label = f"{name}. {self.reading} The values stand in the table below."
                made.append(inline_svg(figure, marks, f"{prefix}-{self.name}-{number}", label))
        return made


def leave_out_of_layout(ax: Axes) -> None:
    """What lies inside the axes needs no room around them; measuring thousands of marks would take seconds."""
    for artist in (*ax.lines, *ax.collections, *ax.patches, *ax.texts):
        artist.set_in_layout(False)


def charts(section: Section, utility: str | None, curves: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """The charts of a section.

    Args:
        section: its cells.
        utility: the metric of the utility axis, or None where no record has one.
        curves: contents of `deletion.json` files.
    """
    look = looks(sorted({cell.method for cell in section.cells}, key=name_order))
    deletions = [deletion(content, number) for number, content in enumerate(curves)]
    made = [over_ratio(section, look), dots(section, look), plane(section, utility, look), *deletions, heat(section)]
    return [chart for chart in made if chart.panels]


def dots(section: Section, look: Mapping[str, Look]) -> Chart:
    """One figure of every cell, where there is no second area to draw a line to."""
    named = ("fool_rate", *(name for name in section.metrics if name.endswith(("/tar_cross_1e-2", "/rank_1"))))
    name = next((n for n in named if _has(section, n)), "fool_rate")
    title = describe(name).label
    title = title[:1].upper() + title[1:]
    way = 1 if describe(name).better == "lower" else -1  # whoever protects best stands at the top
    cells = sorted(_shown(section), key=lambda index: way * (section.cells[index].metric(name).value or 0.0))
    if len(section.axes[1].levels) > 1 or not 1 < len(cells) <= MOST_DOTS:
        return Chart("methods", title, "Not drawn.", [], pd.DataFrame(), (5, 3), {})
    reading = "One row per run, with its 95 % interval over people; hollow points are below the gate."
    panel = Panel("", partial(draw_dots, section=section, cells=cells, look=look, x=name))
    return Chart("methods", title, reading, [panel], _values(section, [name]), (5, 1.0 + 0.32 * len(cells)), {})


def plane(section: Section, utility: str | None, look: Mapping[str, Look]) -> Chart:
    """Privacy against utility with the Pareto front."""
    title = "Privacy and utility"
    privacy = next((n for n in ("strongest_observer", "fool_rate") if _has(section, n)), None)
    if utility is None or privacy is None or not _has(section, utility):
        missing = "a utility metric" if utility is None or not _has(section, utility) else "a privacy metric"
        return Chart(
            "plane", title, f"Not drawn: no cell has {missing} with a value.", [], pd.DataFrame(), (5, 3.6), {}
        )
    fronts = pareto_front(section, privacy, utility)
    reading = f"One point per run: {describe(privacy).label} across, {describe(utility).label} up, 95 % intervals; "
    reading += "larger points hide a larger share, hollow ones are below the gate. "
    if privacy != "strongest_observer":
        reading += "No cell has a strongest observer that passed its gate, so the fool rate stands in its place. "
    reading += _front_words(fronts)
    left_out = sum(1 for c in section.cells if c.metric(privacy).value is None or c.metric(utility).value is None)
    reading += f" {left_out} cells without a value on both axes are left out." if left_out else ""
    panel = Panel("", partial(draw_plane, section=section, look=look, x=privacy, y=utility, fronts=fronts))
    values = _values(section, [privacy, utility])
    values["Pareto front"] = ["yes" if any(i in front for front in fronts) else "" for i in range(len(values))]
    return Chart("plane", title, reading, [panel], values, (4.9, 3.7), look, sizes=point_sizes(section))


def _front_words(fronts: Sequence[Sequence[int]]) -> str:
    if not fronts:
        return "No Pareto front: no cell passed its gate."
    if len(fronts) == 1:
        return f"Dashed: the Pareto front, {len(fronts[0])} cells that no other beats in both; the table names them."
    return (
        f"Dashed: {len(fronts)} Pareto fronts, one a recogniser and list of observers: these are never ranked together."
    )


def over_ratio(section: Section, look: Mapping[str, Look]) -> Chart:
    """The fool rate over the mask ratio."""
    title, name = "Fool rate over hidden share", "fool_rate"
    groups = _facets(section, leave=("masking", "mask_ratio", *section.inert), among=_shown(section))
    panels = [
        Panel(label, partial(draw_lines, section=section, cells=cells, look=look, y=name))
        for label, cells in groups.items()
        if len({section.cells[i].mask_ratio for i in cells if section.cells[i].metric(name).value is not None}) > 1
    ]
    reading = "One line per method, 95 % intervals over people as whiskers; hollow points are below the gate."
    reading = " ".join([reading, *section.inert.values()])
    if not panels:
        reading = "Not drawn: it needs cells of at least two mask ratios that are alike in the rest."
    size = (4.9, 3.0) if len(panels) == 1 else (3.7, 2.8)
    return Chart("fool_rate_over_ratio", title, reading, panels, _values(section, [name]), size, look, shares_y=True)


def heat(section: Section) -> Chart:
    """The fool rate over guidance and ratio, a panel a method."""
    title, name = "Fool rate over guidance and ratio", "fool_rate"
    live = "inpainting.guidance_scale" not in section.inert
    groups = _facets(section, leave=("mask_ratio", "inpainting.guidance_scale")) if live else {}
    panels = [
        Panel(label or section.name(cells[0]), partial(draw_heat, section=section, cells=cells, name=name))
        for label, cells in groups.items()
        if min(len({section.cells[i].mask_ratio for i in cells}), len({section.cells[i].guidance for i in cells})) > 1
    ]
    reading = "One field per run, lighter where more people are no longer recognised; ! below the gate, – no value."
    if not panels:
        reading = "Not drawn: it needs a method with at least two ratios and two guidance scales."
    return Chart(
        "guidance_and_ratio",
        title,
        reading,
        panels,
        _values(section, [name]),
        (3.1, 2.5),
        {},
        shares_y=True,
        top=top_shade(section, name),
    )


def deletion(content: Mapping[str, Any], number: int = 0) -> Chart:
    """Deletion curves: how fast the recogniser loses the person when a method's first pixels go first."""
    curves = content["curves"]
    look = looks(sorted({curve["method"] for curve in curves}, key=name_order))
    where = " · ".join(str(content[key]) for key in ("data", "recognizer", "region") if content.get(key))
    reading = "Pixels are replaced by the mean colour in the order of each method; a curve that falls faster found the "
    reading += "pixels that carry identity. The area under it and the paired test against random patches stand below."
    panels = [Panel(where, partial(draw_deletion, curves=curves, look=look))]
    rated = [curve for curve in curves if None not in curve.get("fool_rate", [None])]
    if rated:
        panels.append(Panel("fool rate", partial(draw_deletion, curves=rated, look=look, values="fool_rate")))
    name = "deletion" if number == 0 else f"deletion_{number + 1}"
    return Chart(name, "Deletion curves", reading, panels, deletion_frame(content), (4.9, 3.7), look)


def _shown(section: Section) -> list[int]:
    """The cells that charts show: of an axis along which nothing moves, its middle level alone."""
    axes = [(axis, section.middle_level(axis)) for axis in section.axes if axis.name in section.inert]
    every = range(len(section.cells))
    return [i for i in every if all(axis.values[i] is None or axis.word(axis.values[i]) == kept for axis, kept in axes)]


def _facets(section: Section, leave: Sequence[str], among: Sequence[int] | None = None) -> dict[str, list[int]]:
    """Cells with a ratio that are alike in every axis that is not left free, by that axis's values in words."""
    groups: dict[str, list[int]] = {}
    for index in range(len(section.cells)) if among is None else among:
        if section.cells[index].mask_ratio is None:
            continue
        fixed = [axis for axis in section.axes if axis.name not in leave and len(axis.levels) > 1]
        words = [
            axis.word(axis.values[index]) if axis.name in STEMS else f"{axis.label} {axis.word(axis.values[index])}"
            for axis in fixed
            if not (axis.name.startswith("masking.") and axis.values[index] is None)
        ]
        groups.setdefault(" · ".join(words), []).append(index)
    return groups


def _has(section: Section, name: str) -> bool:
    return any(cell.metric(name).value is not None for cell in section.cells)


def _values(section: Section, names: Sequence[str]) -> pd.DataFrame:
    columns = {"cell": [section.label(index) for index in range(len(section.cells))]}
    columns |= {describe(name).label: [as_text(cell.metric(name)) for cell in section.cells] for name in names}
    return pd.DataFrame(columns)
