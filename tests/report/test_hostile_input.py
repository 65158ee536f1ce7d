"""Records, pictures and folders from elsewhere: nothing runs, nothing is read beyond them, one bad part is one note."""

import json
import struct
import zlib
from pathlib import Path

import pandas as pd
import pytest
import yaml

from privacy_exp.report.build import Options, build
from privacy_exp.report.collect import collect
from privacy_exp.report.comparison import notes
from privacy_exp.report.sections import sections
from privacy_exp.report.table import metric_table
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.run import load_run
from privacy_exp.sweep.progress import cell_states
from privacy_exp.types import Metric, UserError
from tests.report.sample import edit_record


def rename(folder: Path, **choices: str) -> None:
    record = json.loads((folder / "record.json").read_text())
    edit_record(folder, choices=record["choices"] | choices)


def bomb() -> bytes:
    """A small PNG that claims 30,000 × 30,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(3751 * 30_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BROKEN = {
    "a bomb": bomb(),
    "nothing": b"",
    "half a png": b"\x89PNG\r\n\x1a\n\x00\x00",
    "text": b"<html>",
}


@pytest.mark.usefixtures("without_charts")
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_picture_is_one_note_and_one_paragraph(small, content):
    (victim, *_) = sorted((small / "0" / "results").iterdir())
    victim.unlink()
    victim.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a picture"):
        RunFolder(small / "0").read([victim])
    page = build([small], None, Options()).read_text()
    assert "1 pictures are missing or unreadable" in page


@pytest.mark.parametrize("name", [r"$\frac$", "[/bold]x", r"\input{/etc/passwd}", "=HYPERLINK(1)", "100%_a&b#$^~{}"])
def test_names_stay_names_in_every_format(small, tmp_path, capsys, name):
    for cell in ("0", "1"):
        rename(small / cell, masking=name, data=name)
    out = tmp_path / "out"
    build([small], out, Options())
    assert capsys.readouterr().out.count(name) >= 2, "the section's title and the row"
    latex = (out / "table.tex").read_text()
    assert r"\input" not in latex
    assert "$" not in latex.replace(r"\$", "")
    table = pd.read_csv(out / "table.csv", dtype=str)
    for column in ("masking", "section"):
        assert table[column][0] == (f"'{name}" if name.startswith("=") else name)
    assert (out / "index.html").is_file()


def test_titles_of_other_tables_are_text_too():
    assert "judge=[onnx]" in metric_table("judge=[onnx]", {"a[/b]c": Metric(0.5, 0.4, 0.6, 3)}, ["[/red]"])


@pytest.mark.usefixtures("without_charts")
def test_a_link_out_of_the_run_folder_is_refused(small, tmp_path):
    private = tmp_path / "private.jpg"
    (victim, *_) = sorted((small / "0" / "results").iterdir())
    victim.rename(private)
    victim.symlink_to(private)
    with pytest.raises(UserError, match="is a link that leads out of its folder"):
        RunFolder(small / "0").list("results")
    page = build([small], None, Options(pictures=True)).read_text()
    assert "is a link that leads out of its folder" in page
    (small / "1" / "results").rename(tmp_path / "elsewhere")
    (small / "1" / "results").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link that leads out of the run"):
        RunFolder(small / "1").list("results")


@pytest.mark.usefixtures("without_charts")
@pytest.mark.parametrize("content", ["a: [", "5", "a: b", "\x00", ""])
def test_broken_overrides_cost_the_command_alone(small, content):
    (small / "1" / ".hydra" / "overrides.yaml").write_text(content)
    cells = collect([small]).cells
    assert [cell.command is None for cell in cells] == [False, True]
    assert "not recorded" in build([small], None, Options()).read_text()


@pytest.mark.parametrize("name", ["0/record.json", "plan.json", "1/cell.json"])
def test_an_empty_file_after_a_power_cut_is_one_note(small, name, caplog):
    plan = {"command": "x", "count": 2, "cells": [["masking=a"], ["masking=b"]]}
    (small / "plan.json").write_text(json.dumps(plan))
    (small / "1" / "record.json").unlink()
    (small / name).write_bytes(b"")
    states = cell_states(small)
    assert len(states) == 2
    assert "record.json is damaged" in states[0].note if name == "0/record.json" else states[0].state == "done"
    assert name.rpartition("/")[2] in caplog.text + states[0].note
    if name != "0/record.json":
        assert len(collect([small]).cells) == 1


def test_cells_in_folders_with_names_are_those_of_the_plan(small):
    plan = {"command": "x", "count": 3, "cells": [["masking=a"], ["masking=b"], ["masking=c"]]}
    (small / "plan.json").write_text(json.dumps(plan))
    for number, name in enumerate(("masking=a", "masking=b")):
        (small / str(number)).rename(small / name)
        (small / name / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"job": {"num": number}}}))
    assert [state.state for state in cell_states(small)] == ["done", "done", "missing"]
    assert collect([small]).missing == ["study/2"]


def test_keys_without_effect_are_no_axis(small):
    record = json.loads((small / "1" / "record.json").read_text())
    config = record["config"] | {"trainer": {"enable_model_summary": True, "logger": 1, "devices": 3}}
    edit_record(small / "1", config=config)
    (section,) = sections(collect([small]).cells)
    assert [axis.name for axis in section.axes] == ["masking", "mask_ratio", "inpainting.guidance_scale"]


def test_one_seed_is_singular_and_two_are_plural(small):
    run = load_run(small / "0")
    assert "2 seeds of a and 1 of b" in notes([run, run], [run])[0]
    assert "1 seed of a and 2 of b" in notes([run], [run, run])[0]


def test_a_report_follows_no_link_loop(small):
    (small / "loop").symlink_to(small)
    assert len(collect([small]).cells) == 2
