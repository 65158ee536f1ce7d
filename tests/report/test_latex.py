"""A paper as its author makes it: the table and both widths of the figures in a page of two columns."""

import re
import shutil
import subprocess

import matplotlib
import pytest

from privacy_exp.report.build import Options, build
from privacy_exp.report.charts import charts
from privacy_exp.report.collect import collect
from privacy_exp.report.latex import COLUMN, Pivot
from privacy_exp.report.paper import Paper, draw
from privacy_exp.report.ranking import best, compare
from privacy_exp.report.sections import sections
from privacy_exp.types import UserError
from tests.report.sample import Sample, make_sweep
from tests.report.test_hostile_input import rename

PAGE = r"""
\documentclass[twocolumn,10pt]{article}
\usepackage[textwidth=7in,columnsep=0.2in,textheight=9in]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
See Table~\ref{tab:privacy}. CONTENT
\begin{figure}\includegraphics{figures/fool_rate_over_ratio}\caption{A column.}\end{figure}
\begin{figure*}\includegraphics{figures/fool_rate_over_ratio_wide}\caption{A page.}\end{figure*}
\end{document}
"""


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """Three methods under two shares, with one guidance scale, and their report."""
    folder = tmp_path_factory.mktemp("paper")
    sample = Sample(ratios=(0.1, 0.25, 0.5), scales=(3.0,), pictures=False)
    build([make_sweep(folder / "study", sample)], folder / "out", Options())
    return folder


def section_of(folder):
    (section,) = sections(collect([folder]).cells)
    return section


def compiled(folder, tables: str) -> str:
    """Compiles the page twice, as one does for references, and returns the last log."""
    if shutil.which("pdflatex") is None:
        pytest.skip("needs LaTeX: bash scripts/setup_latex.sh")
    (folder / "page.tex").write_text(PAGE.replace("CONTENT", tables))
    for _ in range(2):
        line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page.tex"]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
        assert done.returncode == 0, done.stdout[-1500:]
    return (folder / "page.log").read_text(errors="replace")


def test_a_page_of_two_columns_has_no_overfull_box(paper):
    section = section_of(paper / "study")
    leaders = best(compare(section))
    wide = Pivot(("fool_rate", "strongest_observer", "ssim")).table(section, leaders, 1)
    log = compiled(paper / "out", "\\input{table.tex}" + wide)
    assert "Overfull" not in log
    assert "undefined" not in log, "the label is there"
    assert "\\begin{table}" in (paper / "out" / "table.tex").read_text()
    assert "\\begin{table*}" in wide


def test_hostile_names_compile_to_themselves(paper, tmp_path):
    root = shutil.copytree(paper / "study", tmp_path / "study")
    for cell, name in (("0", r"\input{/etc/passwd}"), ("1", r"100%_a&b#$^~{}"), ("2", "a<b>\\end{table}")):
        rename(root / cell, masking=name)
    shutil.copytree(paper / "out" / "figures", tmp_path / "figures")
    compiled(tmp_path, Pivot().table(section_of(root), set()))


def test_text_is_eight_points_at_the_width_in_print(paper):
    section = section_of(paper / "study")
    for chart in charts(section, "utility/ssim", []):
        for width, columns in ((3.4, 1), (7.0, 3)):
            with matplotlib.rc_context(Paper().settings()):
                figure = draw(chart, width, min(columns, len(chart.panels)))
            assert figure.get_size_inches()[0] == width
            texts = figure.findobj(lambda artist: isinstance(artist, matplotlib.text.Text) and artist.get_text())
            assert {text.get_fontsize() for text in texts} == {8.0}, chart.name
            figure.draw_without_rendering()
            for ax in figure.axes:
                for label in (ax.xaxis.label, ax.yaxis.label):
                    box = label.get_window_extent()
                    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, label.get_text()
                    assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, label.get_text()


def test_the_control_is_grey_and_dashed(paper):
    (chart, *_) = charts(section_of(paper / "study"), None, [])
    assert (chart.look["random_patches"].colour, chart.look["random_patches"].dash) == ("#475569", "--")
    assert all(look.dash == "-" for name, look in chart.look.items() if name != "random_patches")


def test_rows_are_methods_and_columns_are_shares(paper):
    section = section_of(paper / "study")
    text = Pivot().table(section, {3})
    rows = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if " & " in line]
    assert rows[0] == ["Method", r"10 \%", r"25 \%", r"50 \%"]
    assert [row[0] for row in rows[1:]] == ["Grad-CAM", "Saliency", "Random patches"]
    for row, method in zip(rows[1:], ("grad_cam", "saliency", "random_patches"), strict=True):
        for cell, ratio in zip(row[1:], (0.1, 0.25, 0.5), strict=True):
            (run,) = [c for c in section.cells if (c.method, c.mask_ratio) == (method, ratio)]
            rate = run.metric("fool_rate")
            shown = [int(number) for number in re.findall(r"\d+", cell)]
            assert shown == [round(100 * x) for x in (rate.value, rate.low, rate.high)]
    assert text.count(r"\textbf") == 1
    caption = re.search(r"\\caption\{(.*)\}", text).group(1)
    for told in ("96 photos of 24 people", "clean accuracy 93", "Small: 95", "Bold: higher than", "FaceNet"):
        assert told in caption, told


def test_shares_stay_shares_without_percent(paper):
    section = section_of(paper / "study")
    rate = section.cells[0].metric("fool_rate")
    assert f"{rate.value:.2f} {{\\scriptsize {rate.low:.2f}--{rate.high:.2f}}}" in Pivot(percent=False).table(
        section, set()
    )


def test_a_table_that_is_too_wide_spans_the_page_or_drops_its_intervals(tmp_path):
    ratios = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)
    root = make_sweep(tmp_path / "study", Sample(("saliency",), ratios, (3.0,), pictures=False))
    section = section_of(root)
    assert "table*" in Pivot().table(section, set())
    text = Pivot(("fool_rate", "ssim")).table(section, set())
    assert "scriptsize" not in text
    assert "Small: 95" not in text
    assert COLUMN < 245.7  # TeX points of 3.4 inches


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": ["beauty"]}, ["`report.columns`", "fool_rate", "'beauty'"]),
        ({"columns": "fool_rate"}, ["`report.columns` must be a list"]),
        ({"percent": 3}, ["`report.percent`", "true or false"]),
        ({"font": "comic"}, ["`report.font`", "serif", "'comic'"]),
        ({"style": "nowhere.mplstyle"}, ["`report.style`", "nowhere.mplstyle"]),
    ],
)
def test_bad_options_are_named_and_nothing_is_written(paper, tmp_path, options, words):
    with pytest.raises(UserError) as caught:
        build([paper / "study"], tmp_path / "out", Options(**options))
    assert all(word in str(caught.value) for word in words)
    assert not (tmp_path / "out").exists()


def test_a_style_file_has_the_last_word(tmp_path):
    (tmp_path / "mine.mplstyle").write_text("font.size: 11\n")
    assert Paper(font="serif", style=str(tmp_path / "mine.mplstyle")).settings()["font.size"] == 11
    assert Paper(font="serif").settings()["font.family"] == "serif"


def test_a_venue_gives_its_widths():
    pytest.importorskip("tueplots", reason="needs tueplots: pip install 'privacy-exp[paper]'")
    narrow, wide = Paper(venue="cvpr2026").widths()  # those of the last year that is known
    assert narrow == pytest.approx(3.25, abs=0.1)
    assert wide == pytest.approx(6.875, abs=0.1)
    assert Paper(venue="icml2024").settings()["font.family"] == "serif"
    with pytest.raises(UserError, match=r"`report.venue` must be one of .*cvpr2024"):
        Paper(venue="nowhere2024")
