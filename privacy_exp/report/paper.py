"""Figures for papers: at the width they have in print, with text that is 8 points there."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from privacy_exp.cache.files import atomic_file
from privacy_exp.report.charts import Chart, leave_out_of_layout
from privacy_exp.report.figures import HEAT, MUTED, STYLE, Look, Marks
from privacy_exp.runs.names import display_name
from privacy_exp.types import UserError

log = logging.getLogger(__name__)

FORMATS = ("png", "pdf", "svg")

UNDATED: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
"""Metadata that keeps the time out of the files: equal figures give equal files."""

COLUMN, PAGE = 3.4, 7.0
"""Inches: a column of a page of two, and both."""

FONTS = ("sans-serif", "serif")


@dataclass(frozen=True)
class Paper:
    """How figures for papers look.

    Attributes:
        font: "sans-serif" or "serif".
        style: a .mplstyle file that has the last word; None for none.
        venue: a conference whose widths and fonts to take, as tueplots knows them, such as "cvpr2024"; None for none.
    """

    font: str = "sans-serif"
    style: str | None = None
    venue: str | None = None

    def __post_init__(self) -> None:
        if self.font not in FONTS:
            raise UserError(f"`report.font` must be one of {', '.join(FONTS)}, but got {self.font!r}.")
        if self.style is not None and not Path(self.style).expanduser().is_file():
            raise UserError(f"`report.style` must be a .mplstyle file, but there is no {self.style}.")
        if self.venue is not None:
            _bundle(self.venue)

    def widths(self) -> tuple[float, float]:
        """Inches of a column and of the page."""
        if self.venue is None:
            return COLUMN, PAGE
        make = _bundle(self.venue)
        narrow, wide = (make(half)["figure.figsize"][0] for half in (True, False))
        return float(narrow), float(wide)

    def settings(self) -> dict[str, Any]:
        """For `matplotlib.rc_context`."""
        sizes = ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize")
        look: dict[str, Any] = dict.fromkeys((*sizes, "legend.fontsize"), 8)
        look |= {"font.family": self.font, "font.serif": ["Times New Roman", "Nimbus Roman", "STIXGeneral"]}
        look |= {"lines.linewidth": 1.2, "lines.markersize": 4, "axes.linewidth": 0.6, "legend.handlelength": 2.2}
        if self.venue is not None:
            fonts = ("font.family", "font.serif", "font.sans-serif")
            look |= {key: value for key, value in _bundle(self.venue)(True).items() if key in fonts}
        if self.style is not None:
            look |= dict(matplotlib.rc_params_from_file(Path(self.style).expanduser(), use_default_template=False))
        return {**STYLE, **look}


def _bundle(venue: str) -> Any:
    """The settings of a venue: of that year, or of the last one before that is known.

    Raises:
        UserError: tueplots is missing, or does not know the venue.
    """
    try:
        from tueplots import bundles
    except ImportError as error:
        raise UserError("`report.venue` needs tueplots: pip install 'privacy-exp[paper]'.") from error
    known = sorted(name for name in dir(bundles) if re.fullmatch(r"[a-z]+\d{4}", name))
    stem = venue.rstrip("0123456789")
    years = [name for name in known if name.rstrip("0123456789") == stem and name <= venue]
    if not years:
        raise UserError(f"`report.venue` must be one of {', '.join(known)} or a later year, but got {venue!r}.")
    if years[-1] != venue:
        log.warning("tueplots knows no %s: the figures are those of %s", venue, years[-1])
    make = getattr(bundles, years[-1])

    def sized(half: bool) -> dict[str, Any]:
        size: dict[str, Any] = {"column": "half" if half else "full"}
        if "column" not in make.__kwdefaults__:
            size = {"rel_width": 0.5 if half else 1.0}
        if "usetex" in make.__kwdefaults__:
            size["usetex"] = False
        return dict(make(**size))

    return sized


def write_chart(chart: Chart, folder: Path, suffix: str = "", paper: Paper | None = None) -> None:
    """Writes a chart twice: `NAME.*` as wide as a column, `NAME_wide.*` as wide as a page.

    Args:
        chart: with at least one panel.
        folder: takes them as png, pdf and svg.
        suffix: of the files' names.
        paper: how they look.
    """
    paper = paper or Paper()
    column, page = paper.widths()
    for name, width, beside in ((chart.name, column, 1), (f"{chart.name}_wide", page, 3)):
        with matplotlib.rc_context(paper.settings()):
            figure = draw(chart, width, min(beside, len(chart.panels)))
            for kind in FORMATS:
                with atomic_file(folder / f"{name}{suffix}.{kind}") as temporary:
                    figure.savefig(temporary, format=kind, dpi=200, metadata=UNDATED[kind])
                figure.set_layout_engine("none")  # what the first file laid out holds for the others


def draw(chart: Chart, width: float, columns: int) -> Figure:
    """All panels in one figure; call it inside `matplotlib.rc_context`.

    Args:
        chart: with at least one panel.
        width: inches.
        columns: panels beside each other.
    """
    rows = -(-len(chart.panels) // columns)
    ratio = chart.size[1] / chart.size[0]
    tall = min(2.6, max(1.9, ratio * width / columns))
    handles = [*_handles(chart.look), *(_sizes(chart) if chart.sizes else [])]
    beside = max(1, int(width // 1.15))
    lines = -(-len(handles) // beside)
    figure = Figure(figsize=(width, tall * rows + 0.2 * lines), layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=chart.shares_y)
    for number, ax in enumerate(axes.flat):
        if number >= len(chart.panels):
            ax.set_axis_off()
            continue
        chart.panels[number].draw(ax, Marks())
        leave_out_of_layout(ax)
        ax.set_title(chart.panels[number].title, loc="left")
        ax.set_ylabel(ax.get_ylabel().partition(" (")[0])  # the caption says which way is better
        if chart.shares_y and number % columns:
            ax.set_ylabel("")
        if chart.shares_y and number + columns < len(chart.panels):
            ax.set_xlabel("")
        for text in ax.texts:
            text.set_fontsize(8)
    if chart.top is not None:
        scale = ScalarMappable(Normalize(0, chart.top), HEAT)
        figure.colorbar(scale, ax=axes.ravel().tolist(), label="fool rate", shrink=0.9, pad=0.02)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(beside, len(handles)))
    return figure


def _handles(look: Mapping[str, Look]) -> list[Line2D]:
    return [
        Line2D([], [], color=own.colour, marker=own.marker, linestyle=own.dash, label=display_name(name))
        for name, own in look.items()
    ]


def _sizes(chart: Chart) -> list[Line2D]:
    return [
        Line2D([], [], color=MUTED, marker="o", linestyle="", markersize=size, label=f"{word} hidden")
        for word, size in chart.sizes.items()
    ]
