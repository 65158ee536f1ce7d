"""The page and the tables say what the records say; they are read by parsers that know nothing of the package."""

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from privacy_exp.report.charts import heat, over_ratio
from privacy_exp.report.collect import collect
from privacy_exp.report.figures import looks
from privacy_exp.report.sections import sections
from privacy_exp.report.svg import Marks
from privacy_exp.runs.names import display_name
from tests.report.sample import METHODS

NUMBER = r"-?\d+\.\d+"
LABELS = {"accuracy": "clean accuracy", "fool_rate": "fool rate", "strongest_observer": "strongest observer"}
LABELS["utility/ssim"] = "SSIM"


def records(sweep: Path) -> dict[tuple, dict]:
    """(method, ratio, guidance) to metrics, straight from the files."""
    found = {}
    for path in sweep.glob("*/record.json"):
        record = json.loads(path.read_text())
        key = (record["choices"]["masking"], record["mask_ratio"], record["config"]["inpainting"]["guidance_scale"])
        found[key] = record["metrics"]
    return found


def check(found: dict[tuple, dict[str, str]], sweep: Path, constant: tuple[str, ...] = ()) -> None:
    """Compares texts such as `0.792 [0.701, 0.861]` with the records, to the last digit shown."""
    truth = records(sweep)
    assert set(found) == set(truth)
    for key, texts in found.items():
        for name, label in LABELS.items():
            if name in constant:
                continue
            metric = truth[key][name]
            numbers = [float(number) for number in re.findall(NUMBER, texts[label])]
            if len(numbers) == 1:  # the interval is narrower than the last digit shown
                numbers *= 3
            half = 0.51 * 10 ** -min(len(number.partition(".")[2]) for number in re.findall(NUMBER, texts[label]))
            assert half < (metric["high"] - metric["low"]) / 2 + 0.0051, "an interval keeps two digits"
            assert numbers == pytest.approx([metric["value"], metric["low"], metric["high"]], abs=half), (key, name)


def by_axes(rows: list[list[str]]) -> dict[tuple, dict[str, str]]:
    head, *body = ([value.strip(" ?") for value in row] for row in rows)
    stems = {display_name(stem): stem for stem in METHODS}
    return {(stems[r[0]], _share(r[1]), float(r[2])): dict(zip(head, r, strict=True)) for r in body}


def _share(text: str) -> float:
    return float(text.replace("\\", "").removesuffix(" %")) / 100


def test_csv_and_parquet_hold_every_figure_exactly(report, sweep):
    truth = records(sweep)
    with (report / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pd.read_parquet(report / "table.parquet").to_dict("records")
    assert len(rows) == len(table) == len(truth) == 27
    for row, same in zip(rows, table, strict=True):
        metrics = truth[row["masking"], float(row["mask_ratio"]), float(row["inpainting.guidance_scale"])]
        for name, metric in metrics.items():
            for part in ("value", "low", "high", "n"):
                column = name if part == "value" else f"{name}/{part}"
                if metric[part] is None:
                    assert row[column] == ""
                    assert pd.isna(same[column])
                else:
                    assert float(row[column]) == same[column] == metric[part]
            assert (row[f"{name}/reason"] or None) == metric.get("reason")


def test_markdown(report, sweep):
    lines = [
        line for line in (report / "table.md").read_text().splitlines() if line.startswith("|") and "---" not in line
    ]
    check(by_axes([line.strip("|").split(" | ") for line in lines]), sweep)


def test_latex(report, sweep):
    """Methods and guidance down, shares across: every cell is the percentage that its record says."""
    text = (report / "table.tex").read_text()
    assert all(rule in text for rule in ("\\toprule", "\\midrule", "\\bottomrule"))
    head, *rows = [line.rstrip("\\ ").split(" & ") for line in text.splitlines() if " & " in line]
    assert head[:2] == ["Method", "Guidance"]
    stems, truth, seen = {display_name(stem): stem for stem in METHODS}, records(sweep), set()
    for method, guidance, *cells in rows:
        for area, cell in zip(head[2:], cells, strict=True):
            key = (stems[method], _share(area), float(guidance))
            rate = truth[key]["fool_rate"]
            shown = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell.replace("\\scriptsize", ""))]
            assert shown == pytest.approx([100 * rate[part] for part in ("value", "low", "high")], abs=0.51), key
            seen.add(key)
    assert seen == set(truth)


def test_the_rendered_page(open_page, report, sweep):
    page = open_page(report)
    rows = page.locator(".results").evaluate("""table => [...table.rows].map(
      row => [...row.cells].map(cell => cell.innerText.replaceAll("\\n", " ")))""")
    check(by_axes(rows), sweep, constant=("accuracy",))
    accuracy = records(sweep)["saliency", 0.25, 3.0]["accuracy"]["value"]
    caption = page.locator(".results caption").text_content()
    assert f"The same in every row: clean accuracy {accuracy:.2f}" in caption
    assert "96 photos" in caption


def test_the_terminal(two_cells, tmp_path, capsys):
    from privacy_exp.report.build import Options, build

    build([two_cells], tmp_path, Options())
    printed = capsys.readouterr().out
    for metrics in records(two_cells).values():
        assert f"{metrics['fool_rate']['value']:.2f}" in printed
    assert str(tmp_path / "index.html") in printed


def test_lines_and_whiskers_stand_where_the_records_say(sweep):
    """Every drawn value, read back from matplotlib's own objects; methods stand a little aside of each other."""
    (section,) = sections(collect([sweep]).cells)
    look = looks(sorted({cell.method for cell in section.cells}))
    chart = over_ratio(section, look)
    assert len(chart.panels) == 3, "one a guidance scale"
    drawn = {}
    for panel in chart.panels:
        ax = Figure().add_subplot()
        panel.draw(ax, Marks())
        for name, own in look.items():
            mine = [line for line in ax.lines if line.get_color() == own.colour]
            (curve,) = [line for line in mine if len(line.get_xdata()) == 3]
            for x, value in curve.get_xydata():
                (whisker,) = [line for line in mine if len(line.get_xdata()) == 2 and line.get_xdata()[0] == x]
                ratio = min((0.1, 0.25, 0.5), key=lambda r, x=x: abs(r - x))
                assert abs(ratio - x) < 0.01
                drawn[name, ratio, panel.title] = (value, *whisker.get_ydata())
    known = {
        (cell.method, cell.mask_ratio, f"guidance {cell.guidance:g}"): cell.metric("fool_rate")
        for cell in section.cells
    }
    assert drawn.keys() == known.keys()
    for key, metric in known.items():
        assert drawn[key] == pytest.approx((metric.value, metric.low, metric.high)), key


def test_fields_of_the_heat_map_say_their_cells_figure(sweep):
    (section,) = sections(collect([sweep]).cells)
    for panel in heat(section).panels:
        ax = Figure().add_subplot()
        panel.draw(ax, Marks())
        shown = sorted(text.get_text() for text in ax.texts)
        own = [cell for cell in section.cells if display_name(cell.method) == panel.title]
        assert shown == sorted(f"{cell.metric('fool_rate').value:.2f}" for cell in own)


def test_figures_for_papers_come_in_three_formats(report):
    for name in ("plane", "fool_rate_over_ratio", "guidance_and_ratio"):
        for kind in ("png", "pdf", "svg"):
            assert (report / "figures" / f"{name}.{kind}").stat().st_size > 2000
