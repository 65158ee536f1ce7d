"""The report of one or more sweeps: what is read, drawn and written, in order."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from privacy_exp.cache.files import atomic_file, write_text
from privacy_exp.report.answers import answer_of
from privacy_exp.report.charts import charts
from privacy_exp.report.collect import Collection, collect
from privacy_exp.report.curves import find_deletion
from privacy_exp.report.exports import check_formats, write_exports
from privacy_exp.report.faces import write_faces
from privacy_exp.report.latex import Pivot
from privacy_exp.report.page import Chapter, write_page
from privacy_exp.report.paper import Paper, write_chart
from privacy_exp.report.pictures import Album, make_gallery
from privacy_exp.report.ranking import best, compare
from privacy_exp.report.sections import Section, headline, sections
from privacy_exp.report.tables import comparison_frame, for_spreadsheets, headline_frame, terminal_table, write_tables
from privacy_exp.tracking.tracker import CsvTracking
from privacy_exp.types import UserError

FIGURE = re.compile(
    r"(plane|methods|deletion|fool_rate_over_ratio|guidance_and_ratio|faces)(_\d+)?(_wide)?(_section\d+)?\.(png|pdf|svg)"
)
SPRITE = re.compile(r"[0-9a-f]{16}\.(jpeg|webp|png)")
"""Names that a report gives to its files."""


@dataclass(frozen=True)
class Options:
    """What a report may be told.

    Attributes:
        title: of the page; None names the sweeps.
        pictures: whether faces are shown; None shows them only where they are drawn.
        inline_pictures: faces a cell inside the page, at most.
        max_pictures: faces a cell at all; None takes all.
        utility: metric that stands for utility; None takes the first ones there are.
        deletion: a `deletion.json`; None takes those that lie in the sweeps' folders.
        export: formats of other people's tools: "eee", "croissant".
        columns: figures of `table.tex`, in the record's names or short: fool_rate, tar, rank_1, ssim.
        percent: whether shares stand there in percent.
        font: see `Paper`.
        style: see `Paper`.
        venue: see `Paper`.
    """

    title: str | None = None
    pictures: bool | str | None = None
    inline_pictures: int = 24
    max_pictures: int | None = 200
    utility: str | None = None
    deletion: str | None = None
    export: Sequence[str] = ()
    columns: Sequence[str] = ("fool_rate",)
    percent: bool | int | str = True
    font: str = "sans-serif"
    style: str | None = None
    venue: str | None = None

    @property
    def paper(self) -> Paper:
        """How figures for papers look."""
        return Paper(self.font, self.style, self.venue)

    @property
    def pivot(self) -> Pivot:
        """What stands in `table.tex`."""
        return Pivot(self.columns, self.percent)

    def __post_init__(self) -> None:
        _ = self.paper, self.pivot  # they check what they are given
        check_formats(self.export)
        if self.pictures not in (None, True, False):
            raise UserError(f"`report.pictures` must be true, false or null, but got {self.pictures!r}.")
        for name in ("inline_pictures", "max_pictures"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UserError(f"`report.{name}` must be a whole number of at least 1, but got {value!r}.")


def build(sweeps: Sequence[Path], out: Path | None, options: Options, tracking: CsvTracking | None = None) -> Path:
    """Writes `index.html`, `table.*`, `comparisons.csv` and `figures/`, prints the headline tables.

    Args:
        sweeps: folders of sweeps or runs.
        out: where to; None takes `report/` in the first sweep.
        options: see there.
        tracking: takes the headline tables, where given.

    Returns:
        Path of the page.

    Raises:
        FileNotFoundError: no such folder or file.
        UserError: nothing can be shown, or an option names something that is not there.
    """
    study = collect(sweeps)
    curves = find_deletion(options.deletion, sweeps)
    parts = sections(study.cells)
    columns = [headline(section, options.utility) for section in parts]
    out = sweeps[0] / "report" if out is None else out
    _remove_stale(out)
    for section in parts:
        options.pivot.metrics(section)  # before anything is written
    views = []
    for section, names in zip(parts, columns, strict=True):
        comparisons = compare(section)
        utility = next((name for name in names if name == options.utility or name.startswith("utility/")), None)
        gallery, why = _gallery(section, out, options, study)
        found, drawn = answer_of(section, comparisons), charts(section, utility, curves)
        views.append(Chapter(section, found, names, drawn, comparisons, best(comparisons), gallery, why))
    _write_figures(out / "figures", views, options.paper)
    write_tables(out, parts, columns, [view.best for view in views])
    latex = [options.pivot.table(v.section, v.best, number) for number, v in enumerate(views)]
    write_text(out / "table.tex", "\n".join(latex))
    with atomic_file(out / "comparisons.csv") as temporary:
        for_spreadsheets(_all_comparisons(views)).to_csv(temporary, index=False)
    title = options.title or "Privacy report: " + ", ".join(sweep.resolve().name for sweep in sweeps)
    page = write_page(out, title, study, views)
    exported = write_exports(out, study.cells, options.export)
    frames = {v.section.title: headline_frame(v.section, v.columns, v.best) for v in views}
    _tell(out, page, views, study, frames)
    if exported:
        print(f"exports  {len(exported)} files: {', '.join(options.export)}")
    if tracking is not None:
        _track(tracking, out, title, frames)
    return page


def _remove_stale(out: Path) -> None:
    """Charts and pictures of an earlier report in this folder; whatever else lies there is somebody's."""
    for folder, ours in (("figures", FIGURE), ("sprites", SPRITE)):
        for path in (out / folder).glob("*"):
            if ours.fullmatch(path.name):
                path.unlink()


def _gallery(section: Section, out: Path, options: Options, study: Collection) -> tuple[Album | None, str]:
    drawn = all(cell.drawn for cell in section.cells)
    if options.pictures is False:
        return None, "Pictures were switched off (report.pictures=false)."
    if options.pictures is None and not drawn:
        return None, (
            "These may be faces of real people, and a report is shared more freely than a run folder: they are shown "
            "only with report.pictures=true."
        )
    gallery = make_gallery(section, out, options.inline_pictures, options.max_pictures, study.problems)
    return gallery, "The run folders hold no pictures."


def _write_figures(folder: Path, views: Sequence[Chapter], paper: Paper) -> None:
    for number, view in enumerate(views):
        suffix = "" if len(views) == 1 else f"_section{number + 1}"
        for chart in view.charts:
            if chart.panels:
                write_chart(chart, folder, suffix, paper)
        if view.gallery is not None:
            write_faces(view.section, folder, suffix)


def _all_comparisons(views: Sequence[Chapter]) -> pd.DataFrame:
    frames = [comparison_frame(v.section, v.comparisons).assign(section=v.section.title) for v in views]
    return pd.concat(frames, ignore_index=True)


def _tell(
    out: Path, page: Path, views: Sequence[Chapter], study: Collection, frames: Mapping[str, pd.DataFrame]
) -> None:
    for view in views:
        print(terminal_table(view.section, frames[view.section.title]))
    for problem in study.problems:
        print(f"note     {problem}")
    if study.missing:
        print(f"note     {len(study.missing)} planned runs have not begun: the sweep is not finished")
    if study.unfinished:
        print(f"note     {len(study.unfinished)} runs have started, but have no record yet: not finished")
    print(f"figures  {out / 'figures'}\ntables   {out / 'table.csv'} .parquet .tex .md\npage     {page}")


def _track(tracking: CsvTracking, out: Path, title: str, frames: Mapping[str, pd.DataFrame]) -> None:
    failed = True
    try:
        tracking.start(out, name="report", group=title, config={})
        for name, frame in frames.items():
            tracking.log_table(f"headline/{name}", frame)
        failed = False
    finally:
        tracking.finish(failed)
