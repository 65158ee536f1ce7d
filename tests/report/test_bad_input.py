"""Input that is broken in one way each: stated on the page, or one clear error and nothing half-written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from privacy_exp.report.build import Options, build
from privacy_exp.report.collect import collect
from privacy_exp.report.faces import write_faces
from privacy_exp.report.ranking import classes
from privacy_exp.report.sections import sections
from tests.report.sample import Sample, edit_record, make_sweep


def metrics(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())["metrics"]


def break_metric(value):
    def change(root: Path) -> None:
        edit_record(root / "1", metrics=metrics(root / "1") | {"fool_rate": value})

    return change


def put(name: str, content: str):
    return lambda root: (root / name).write_text(content)


def drop(name: str):
    def change(root: Path) -> None:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def unfinished(root: Path) -> None:
    (root / "2" / ".hydra").mkdir(parents=True)
    (root / "2" / ".hydra" / "overrides.yaml").write_text("[]")


def first_picture(action):
    return lambda root: action(min((root / "0" / "results").iterdir()))


def replace(path: Path) -> None:
    path.unlink()
    path.write_text("<html>")


def narrow(root: Path) -> None:
    table = pd.read_parquet(root / "1" / "images.parquet")
    table.drop(columns="pred").to_parquet(root / "1" / "images.parquet")


STATED = [  # name, what is broken, words on the page, cells shown
    ("damaged record", put("1/record.json", "{"), ["study/1", "is damaged", "run the cell again"], 1),
    ("record of something else", put("1/record.json", "{}"), ["study/1", "is no record of a run"], 1),
    ("NaN", break_metric({"value": float("nan"), "low": 0, "high": 1, "n": 9}), ["fool_rate holds", "NaN"], 2),
    ("infinite end", break_metric({"value": 0.5, "low": 0, "high": float("inf"), "n": 9}), ["Infinity"], 2),
    ("null without reason", break_metric({"value": None, "low": None, "high": None, "n": 0}), ["gives no reason"], 2),
    ("null with reason", break_metric({"value": None, "low": None, "high": None, "n": 0, "reason": "a<b"}),
     ["a&lt;b"], 2),
    ("text as a figure", break_metric({"value": "high", "low": 0, "high": 1, "n": 9}),
     ["'high'".replace("'", "&#39;"), "no number"], 2),
    ("bare number", break_metric(0.5), ["0.50"], 2),
    ("no table of images", drop("1/images.parquet"), ["images.parquet is missing", "no part in paired tests"], 2),
    ("damaged table", put("1/images.parquet", "PAR1"), ["images.parquet is damaged"], 2),
    ("table without a column", narrow, ["lacks the columns pred"], 2),
    ("missing picture", first_picture(lambda path: path.unlink()), ["study/0", "1 pictures are missing"], 2),
    ("picture that is none", first_picture(replace), ["missing or unreadable"], 2),
    ("no pictures", drop("1/results"), ["study/1", "holds no pictures"], 2),
    ("in progress", unfinished, ["not finished", "study/2", "2 cells have a record"], 2),
    ("another schema version", lambda root: edit_record(root / "1", schema=7),
     ["has schema 7, but this version reads 2", "run the cell again: `python -m privacy_exp.train masking="], 1),
    ("other data", lambda root: edit_record(root / "1", details={"data_digest": "x"}),
     ["data set 1 of 2", "data set 2 of 2"], 2),
    ("no overrides", drop("1/.hydra"), ["not recorded"], 2),
]  # fmt: skip


@pytest.mark.usefixtures("without_charts")
@pytest.mark.parametrize(("change", "words", "cells"), [c[1:] for c in STATED], ids=[c[0] for c in STATED])
def test_it_is_stated_on_the_page(small, change, words, cells):
    change(small)
    page = build([small], None, Options()).read_text()
    for word in words:
        assert word in page, word
    assert page.count("<tr data-cell=") == cells
    assert ">nan" not in page.lower()


@pytest.mark.usefixtures("without_charts")
def test_different_data_are_never_in_one_table(small, tmp_path):
    other = make_sweep(tmp_path / "real", Sample(("grad_cam",), (0.25,), (3.0,), people=4, photos=3, data="celeba"))
    page = build([small, other], tmp_path / "out", Options()).read_text()
    assert page.count('<table class="results">') == 2
    assert page.count("report.pictures=true") == 1, "real people's pictures are left out of their section alone"
    names = set(pd.read_csv(tmp_path / "out" / "table.csv")["section"])
    assert len(names) == 2


@pytest.mark.usefixtures("without_charts")
def test_real_people_are_shown_only_when_asked_for(tmp_path):
    real = make_sweep(tmp_path / "real", Sample(("grad_cam",), (0.25,), (3.0,), people=4, photos=3, data="celeba"))
    page = build([real], tmp_path / "out", Options()).read_text()
    assert "data:image" not in page
    assert "person 1" not in page, "names of people belong to their pictures"
    assert not (tmp_path / "out" / "sprites").exists()
    assert "data:image" in build([real], tmp_path / "out", Options(pictures=True)).read_text()


REFUSED = [  # name, what is broken, options, words of the error
    ("no such folder", lambda root: root / "nowhere", {}, ["`sweep`", "nowhere"]),
    ("empty folder", lambda root: root, {}, ["`sweep`", "holds no run", "privacy_exp.train"]),
    ("pictures", None, {"pictures": "some"}, ["`report.pictures`", "true, false or null", "'some'"]),
    ("no pictures at all", None, {"inline_pictures": 0}, ["`report.inline_pictures`", "at least 1", "got 0"]),
    ("utility", None, {"utility": "utility/beauty"}, ["`report.utility`", "utility/ssim", "utility/beauty"]),
    ("no deletion file", None, {"deletion": "nowhere.json"}, ["`deletion`", "nowhere.json"]),
]


@pytest.mark.parametrize(("where", "options", "words"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_it_is_refused_and_nothing_is_written(two_cells, tmp_path, where, options, words):
    out = tmp_path / "out"
    with pytest.raises((ValueError, OSError)) as caught:
        build([two_cells if where is None else where(tmp_path)], out, Options(**options))
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_only_unfinished_runs(tmp_path):
    (tmp_path / "0" / ".hydra").mkdir(parents=True)
    (tmp_path / "0" / ".hydra" / "overrides.yaml").write_text("[]")
    with pytest.raises(ValueError, match="1 runs have started, but none has finished"):
        collect([tmp_path])


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"schema": 2, "curves": []}', '{"schema": 1, "curves": [{"method": "a", "shares": [1]}]}']
)
def test_a_deletion_file_that_cannot_be_shown(two_cells, tmp_path, content):
    (tmp_path / "deletion.json").write_text(content)
    with pytest.raises(ValueError, match=r"deletion\.json"):
        build([two_cells], tmp_path / "out", Options(deletion=str(tmp_path / "deletion.json")))
    assert not (tmp_path / "out").exists()


def test_what_a_report_did_not_write_is_not_removed(small, tmp_path):
    out = tmp_path / "paper"
    (out / "figures").mkdir(parents=True)
    (out / "figures" / "mine.pdf").write_text("mine")
    (out / "figures" / "plane_3.pdf").write_text("of an earlier report")
    build([small], out, Options())
    assert (out / "figures" / "mine.pdf").read_text() == "mine"
    assert not (out / "figures" / "plane_3.pdf").exists()


@pytest.mark.usefixtures("without_charts")
def test_cells_of_the_plan_that_have_not_begun_are_counted(small, tmp_path, capsys):
    (small / "plan.json").write_text(json.dumps({"command": "c", "count": 5, "cells": None}))
    page = build([small], tmp_path / "out", Options()).read_text()
    assert "not finished" in page
    assert "3 have not begun" in page
    assert "study/4" in page
    assert "3 planned runs have not begun" in capsys.readouterr().out


def test_names_with_underscores_do_not_break_latex(small, tmp_path):
    for cell in ("0", "1"):
        choices = json.loads((small / cell / "record.json").read_text())["choices"]
        edit_record(small / cell, choices=choices | {"data": "My_faces"})
    build([small], tmp_path / "out", Options())
    assert "My\\_faces" in (tmp_path / "out" / "table.tex").read_text()


@pytest.mark.usefixtures("without_charts")
def test_another_image_format_is_another_class(small):
    for cell, name in (("0", "jpg"), ("1", "png")):
        config = json.loads((small / cell / "record.json").read_text())["config"]
        edit_record(small / cell, config=config | {"image_format": name})
    (section,) = sections(collect([small]).cells)
    assert section.axis("image_format").values == ["png", "jpg"]
    assert classes(section) == []


def test_a_cell_that_was_taken_from_another_sweep_is_shown_once(tmp_path):
    sample = Sample(methods=("grad_cam", "saliency"), ratios=(0.5,), scales=(1.0,), people=4, pictures=False)
    shutil.copytree(make_sweep(tmp_path / "old", sample), tmp_path / "new")
    study = collect([tmp_path / "old", tmp_path / "new"])
    assert [cell.name for cell in study.cells] == ["old/0", "old/1"]
    assert study.problems == [f"new/{i} is the same cell as old/{i} and is left out." for i in (0, 1)]


def test_frames_of_other_sizes_stand_in_one_figure(tmp_path):
    sample = Sample(methods=("random_patches", "original_random"), ratios=(0.5,), scales=(1.0,), people=4)
    root = make_sweep(tmp_path / "study", sample)
    for path in sorted((root / "1").rglob("*-label-*")):
        with Image.open(path) as picture:
            larger = picture.resize((96, 96))
        path.unlink()  # other cells link it
        larger.save(path)
    (section,) = sections(collect([root]).cells)
    assert write_faces(section, tmp_path)
    with Image.open(tmp_path / "faces.png") as figure:
        assert np.asarray(figure.convert("L")).std() > 10
