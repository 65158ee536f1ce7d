"""What a power cut or a careless hand does to a run folder's own files."""

import json

import pandas as pd
import pytest
import torch

from privacy_exp.cache.content import file_digest
from privacy_exp.runs.batches import finished_batches, whole_batch
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.record import DamagedRecordError, Record, damage, read_record
from privacy_exp.runs.running import read_cell, write_cell
from privacy_exp.types import Metric, UserError


def finished(folder) -> Record:
    """A small run folder with pictures and a record."""
    pictures = RunFolder(folder, "png")
    for kind in ("original", "results"):
        pictures.save(kind, ["a", "b"], None, torch.rand(2, 3, 8, 8))
    (folder / "draws" / "1" / "results").mkdir(parents=True)
    RunFolder(folder / "draws" / "1", "png").save("results", ["a"], None, torch.rand(1, 3, 8, 8))
    pd.DataFrame({"image_id": ["a", "b"]}).to_parquet(folder / "images.parquet")
    (folder / "notes.txt").write_text("somebody's own")
    record = Record("k", {"data": "d"}, {}, 0.25, 0, 2, {"fool_rate": Metric(0.5, 0.4, 0.6, 2)}, [], {})
    record.write(folder)
    return record


def test_a_record_lists_the_digest_of_every_picture(tmp_path):
    finished(tmp_path)
    listed = read_record(tmp_path)["files"]
    names = {"original": "img", "results": "generated"}
    expected = {f"{kind}/{i}-{word}-label-unknown.png" for kind, word in names.items() for i in "ab"}
    assert set(listed) == expected | {"draws/1/results/a-generated-label-unknown.png", "images.parquet"}
    assert all(file_digest(tmp_path / name) == digest for name, digest in listed.items())
    assert Record.read(tmp_path).files == listed


DAMAGES = {
    "changed": (lambda path: path.write_bytes(b"x"), "has changed since the record was written"),
    "missing": (lambda path: path.unlink(), "is missing"),
    "empty": (lambda path: path.write_bytes(b""), "has changed since the record was written"),
}


@pytest.mark.parametrize("name", ["results/a-generated-label-unknown.png", "images.parquet"])
@pytest.mark.parametrize(("change", "words"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_named(tmp_path, name, change, words):
    record = finished(tmp_path)
    assert damage(tmp_path, record.files) is None
    (tmp_path / "notes.txt").write_text("anything else may change")
    assert damage(tmp_path, record.files) is None
    change(tmp_path / name)
    assert damage(tmp_path, record.files) == f"{name} {words}"


def test_a_record_without_files_vouches_for_nothing(tmp_path):
    assert damage(tmp_path, {}) == "record.json lists no files"


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", "{}", '{"schema": 2}', '{"schema": 2, "n": "x"}'])
def test_what_is_no_record_is_named(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(DamagedRecordError, match=r"record\.json.*run the cell again"):
        read_record(tmp_path)


def test_an_older_record_is_refused_with_the_command_that_computes_it_again(tmp_path):
    finished(tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(record | {"schema": 1}))
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- masking=center\n- 'inpainting.prompt=\"a b\"'\n")
    command = r"python -m privacy_exp\.train masking=center 'inpainting\.prompt=\"a b\"' rerun=true"
    with pytest.raises(UserError, match=f"has schema 1, but this version reads 2; run the cell again: `{command}`"):
        read_record(tmp_path)


@pytest.mark.parametrize("suffix", ["json", "parquet"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_damaged_batch_is_painted_again_and_the_others_stay(tmp_path, caplog, suffix, content):
    folder = RunFolder(tmp_path, "png")
    for i in ("a", "b"):
        with whole_batch(folder, [i]) as (staging, batch):
            staging.save("results", [i], None, torch.rand(1, 3, 8, 8))
            batch.rows = pd.DataFrame({"image_id": [i]})
            batch.sanity = (1, 0, 0)
    assert [batch.sanity for batch in finished_batches(tmp_path)] == [[1, 0, 0]] * 2
    (tmp_path / ".batches" / f"a.{suffix}").write_bytes(content)
    (left,) = finished_batches(tmp_path)
    assert list(left.rows["image_id"]) == ["b"]
    assert f"{tmp_path}/.batches/a.json is damaged" in caplog.text
    assert len(finished_batches(tmp_path)) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_an_unreadable_note_of_a_cell_counts_as_none(tmp_path, caplog, content):
    write_cell(tmp_path, "k", 3)
    cell = read_cell(tmp_path)
    assert (cell["key"], cell["images"]) == ("k", 3)
    (tmp_path / "cell.json").write_text(content)
    assert read_cell(tmp_path) is None
    assert "cell.json is damaged" in caplog.text
