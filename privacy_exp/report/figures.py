"""Drawing into matplotlib axes; the page and the files for papers come from the same functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from privacy_exp.report.metrics import as_text, describe
from privacy_exp.report.sections import Section, show
from privacy_exp.runs.names import CONTROLS, display_name
from privacy_exp.types import Metric

INK, MUTED, GRID = "#1b2430", "#5b6675", "#dfe4ea"
DARK, LIGHT = "#000001", "#fffffe"  # on shades that are the same in both themes
COLOURS = ("#0b62c4", "#c2410c", "#15803d", "#7c3aed", "#be185d", "#0f766e", "#946200", "#475569")
CONTROL = COLOURS[-1]
MOST_BANDS = 6
HEAT = colormaps["cividis"]
DODGE = 0.012
"""Of the width of a chart, between the whiskers of two methods."""

MARKERS = "osD^vPXh"
DASHES = ("-", "--", ":", "-.")
DELETION = {"prob": "probability of the true identity", "fool_rate": "fool rate"}
"""What a deletion curve shows, by its name in `deletion.json`."""

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "font.family": "sans-serif",
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "privacy_exp",
    "text.color": INK,
    "text.parse_math": False,  # names are names, dollars and all
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
"""For `matplotlib.rc_context`: text stays text in every format, equal figures give equal files."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and dash of one method, the same in every chart; never the colour alone."""

    colour: str
    marker: str
    dash: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look for each name, in this order: methods that look at nothing are grey and dashed.

    Colour and marker repeat after seven names with another dash.
    """
    free = [name for name in names if name not in CONTROLS]
    coloured = COLOURS[:-1]
    found = {
        name: Look(coloured[i % len(coloured)], MARKERS[i % len(coloured)], DASHES[i // len(coloured) % len(DASHES)])
        for i, name in enumerate(free)
    }
    controls = {name: Look(CONTROL, MARKERS[-1 - i], "--") for i, name in enumerate(n for n in names if n in CONTROLS)}
    return {name: (found | controls)[name] for name in names}


@dataclass
class Marks:
    """What the page needs to know about artists: for hovering, and for hiding them with the filter.

    Attributes:
        data: artist id to attributes: `tip` text, `cell` index, `method` name.
    """

    data: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, artist: Artist, **attributes: Any) -> None:
        """Names an artist, so that it becomes an element with these attributes in the page's SVG."""
        gid = f"mark{len(self.data)}"
        artist.set_gid(gid)
        self.data[gid] = {key: str(value) for key, value in attributes.items()}


def tip(section: Section, index: int, names: Sequence[str]) -> str:
    """What hovering a cell says: what it is, then its figures."""
    cell = section.cells[index]
    figures = [f"{describe(name).label} {as_text(cell.metric(name))}" for name in names]
    return "\n".join([section.label(index), *figures])


def point_sizes(section: Section) -> dict[str, float]:
    """Hidden share in words to the size of its points; empty where there is one share alone."""
    levels = [level for level in section.axes[1].levels if level is not None]
    last = max(1, len(levels) - 1)
    return {section.axes[1].word(v): 4 + 4 * i / last for i, v in enumerate(levels)} if len(levels) > 1 else {}


def top_shade(section: Section, name: str) -> float:
    """The upper end of a colour scale that begins at 0: the highest value, but not so low that noise is bright."""
    values = [value for cell in section.cells if (value := cell.metric(name).value) is not None]
    return min(1.0, max([0.3, *values]))


def draw_plane(
    ax: Axes, marks: Marks, section: Section, look: Mapping[str, Look], x: str, y: str, fronts: Sequence[Sequence[int]]
) -> None:
    """Privacy against utility, a point a cell, larger for a larger ratio, hollow below gate; the fronts as lines."""
    sizes = point_sizes(section)
    for front in fronts:
        points = [(section.cells[i].metric(x).value, section.cells[i].metric(y).value) for i in front]
        ax.plot(*zip(*points, strict=True), color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for index, cell in enumerate(section.cells):
        across, up = cell.metric(x), cell.metric(y)
        if across.value is None or up.value is None:
            continue
        own = look[cell.method]
        cross = (*_ends(across), nan, across.value, across.value), (up.value, up.value, nan, *_ends(up))
        (bars,) = ax.plot(*cross, color=own.colour, linewidth=0.8, alpha=0.35, zorder=2)
        marks.add(bars, cell=index)
        size = sizes.get(section.axes[1].word(cell.mask_ratio), 4)
        fill = "none" if across.reason else own.colour
        (point,) = ax.plot([across.value], [up.value], own.marker, color=own.colour, mfc=fill, ms=size, zorder=3)
        marks.add(point, cell=index, tip=tip(section, index, [x, y]))
    ax.set_xlabel(_axis_label(x, "protects"))
    ax.set_ylabel(_axis_label(y, "keeps"))


def draw_lines(
    ax: Axes, marks: Marks, section: Section, cells: Sequence[int], look: Mapping[str, Look], y: str
) -> None:
    """A metric over the ratio: one line a method; whiskers stand side by side, so that none covers another."""
    ratios = sorted({ratio for index in cells if (ratio := section.cells[index].mask_ratio) is not None})
    step = DODGE * (ratios[-1] - ratios[0])
    for place, (method, own) in enumerate(look.items()):
        aside = step * (place - (len(look) - 1) / 2)
        mine = [i for i in cells if section.cells[i].method == method and section.cells[i].metric(y).value is not None]
        points = sorted((section.cells[i].mask_ratio or 0.0, i) for i in mine)
        if not points:
            continue
        across = [ratio + aside for ratio, _ in points]
        values = [_centre(section.cells[index].metric(y)) for _, index in points]
        (drawn,) = ax.plot(across, values, color=own.colour, linestyle=own.dash)
        marks.add(drawn, method=method)
        for x, (_, index) in zip(across, points, strict=True):
            metric = section.cells[index].metric(y)
            (whisker,) = ax.plot((x, x), _ends(metric), color=own.colour, linewidth=0.9, alpha=0.6)
            marks.add(whisker, method=method)
            fill = "none" if metric.reason else own.colour
            (point,) = ax.plot([x], [_centre(metric)], own.marker, color=own.colour, mfc=fill)
            marks.add(point, cell=index, tip=tip(section, index, [y]))
    ax.set_xlabel("hidden share of the frame")
    ax.set_ylabel(_axis_label(y, "protects"))
    ends = [_ends(cell.metric(y))[1] for cell in section.cells if cell.metric(y).value is not None]
    ax.set_ylim(-0.03, min(1.03, 1.08 * max([0.3, *ends])))  # the same in every panel
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    ax.margins(x=0.06)


def draw_dots(ax: Axes, marks: Marks, section: Section, cells: Sequence[int], look: Mapping[str, Look], x: str) -> None:
    """A metric of one cell a row, with its interval as a whisker."""
    shown = [index for index in cells if section.cells[index].metric(x).value is not None]
    for row, index in enumerate(reversed(shown)):
        metric, own = section.cells[index].metric(x), look[section.cells[index].method]
        (bar,) = ax.plot(_ends(metric), (row, row), color=own.colour, linewidth=1.2)
        fill = "none" if metric.reason else own.colour
        (point,) = ax.plot([_centre(metric)], [row], own.marker, color=own.colour, mfc=fill)
        marks.add(bar, cell=index)
        marks.add(point, cell=index, tip=tip(section, index, [x]))
    ax.set_yticks(range(len(shown)), [section.label(index) for index in reversed(shown)])
    ax.set_ylim(-0.6, len(shown) - 0.4)
    ax.set_xlim(-0.03, 1.03)
    ax.set_xlabel(_axis_label(x, "protects"))
    ax.grid(visible=False, axis="y")


def draw_heat(ax: Axes, marks: Marks, section: Section, cells: Sequence[int], name: str) -> None:
    """A metric over guidance (up) and ratio (across); an empty field was not run or has no value."""
    ratios, scales = section.axes[1].levels, section.axes[2].levels
    ratios, scales = [r for r in ratios if r is not None], [s for s in scales if s is not None]
    places = {(section.cells[i].mask_ratio, section.cells[i].guidance): i for i in cells}
    top = top_shade(section, name)
    for column, ratio in enumerate(ratios):
        for row, scale in enumerate(scales):
            index = places.get((ratio, scale))
            metric = Metric(None, None, None, 0) if index is None else section.cells[index].metric(name)
            shade = "none" if metric.value is None else HEAT(min(max(metric.value / top, 0.0), 1.0))
            place = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=shade, edgecolor=GRID, linewidth=1)
            text = "–" if metric.value is None else f"{metric.value:.2f}" + ("!" if metric.reason else "")
            ink = MUTED if metric.value is None else DARK if metric.value / top > 0.5 else LIGHT
            label = ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=8.5)
            ax.add_patch(place)
            if index is not None:
                marks.add(place, cell=index, tip=tip(section, index, [name]))
                marks.add(label, cell=index)
    ax.set_xlim(-0.5, len(ratios) - 0.5)
    ax.set_ylim(-0.5, len(scales) - 0.5)
    ax.set_xticks(range(len(ratios)), [section.axes[1].word(r) for r in ratios])
    ax.set_yticks(range(len(scales)), [show(s) for s in scales])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xlabel("hidden share of the frame")
    ax.set_ylabel("guidance scale")


def draw_deletion(
    ax: Axes, marks: Marks, curves: Sequence[Mapping[str, Any]], look: Mapping[str, Look], values: str = "prob"
) -> None:
    """Mean probability of the true identity, or the fool rate, over the hidden share: one curve per method.

    Intervals are bands: of all methods, or, where many would cover one another, of random patches alone.

    Args:
        ax: axes.
        marks: takes the curves' names.
        curves: of a `deletion.json`.
        look: of each method.
        values: "prob" or "fool_rate".
    """
    word = DELETION[values]
    for curve in curves:
        own, method = look[curve["method"]], curve["method"]
        shares, low, high = curve["shares"], curve.get(f"{values}_low"), curve.get(f"{values}_high")
        if low and high and (len(curves) <= MOST_BANDS or method == "random_patches"):
            marks.add(ax.fill_between(shares, low, high, color=own.colour, alpha=0.13, lw=0), method=method)
        (line,) = ax.plot(shares, curve[values], color=own.colour, linestyle=own.dash)
        marks.add(line, method=method)
        for share, value in zip(shares, curve[values], strict=True):
            (point,) = ax.plot([share], [value], own.marker, color=own.colour, ms=3.5)
            marks.add(point, method=method, tip=f"{display_name(method)}\nhidden share {share:g}\n{word} {value:.3f}")
    ax.set_xlabel("hidden share")
    ax.set_ylabel(word)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)


def _ends(metric: Metric) -> tuple[float, float]:
    """The interval, or the value twice where there is none."""
    assert metric.value is not None  # noqa: S101  callers leave out what has no value
    low, high = (metric.value if end is None else end for end in (metric.low, metric.high))
    return low, high


def _centre(metric: Metric) -> float:
    assert metric.value is not None  # noqa: S101  as above
    return metric.value


def _axis_label(name: str, verb: str) -> str:
    described = describe(name)
    return described.label + (f" ({described.better} {verb} more)" if described.better else "")
