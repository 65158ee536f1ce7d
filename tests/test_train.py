"""The main job end to end on few drawn people."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from reader import read_cells

from privacy_exp.recognition.fit import load_checkpoint
from privacy_exp.runs.folder import RunFolder


@pytest.fixture(scope="module")
def finished(cell, tmp_path_factory):
    """One finished cell: its folder and the objective that it returned."""
    out = tmp_path_factory.mktemp("cell")
    return out, cell(out, "mask_ratio=0.5", "masking=saliency")


def test_the_run_folder_is_complete(finished):
    out, objective = finished
    (record,) = read_cells(out)
    assert record["choices"]["masking"] == "saliency"
    assert record["mask_ratio"] == 0.5
    assert record["metrics"]["fool_rate"]["value"] == objective
    assert record["timing"]["inpaint_s"] > 0
    table = pd.read_parquet(out / "images.parquet")
    wanted = "image_id identity label pred pred_anonymized rank prob prob_anonymized share_asked share_hidden"
    assert set(wanted.split()) | {"share_hidden_face", "share_hidden_latent"} <= set(table.columns)
    assert len(table) == record["n"] == 10
    assert (table["share_hidden"] == 0.5).all()
    assert (table["share_asked"] == 0.5).all()
    for name in ("recognizer.ckpt", "manifest.csv", "grid.png", "csv/metrics.csv"):
        assert (out / name).is_file(), name


def test_kept_pixels_are_the_originals_in_png(cell, tmp_path):
    cell(tmp_path, "image_format=png", "mask_ratio=0.25")
    folder = RunFolder(tmp_path)
    kinds = {kind: list(folder.list(kind).values()) for kind in ("original", "masks", "results", "control")}
    images = {kind: folder.read([path for path, _ in found]) for kind, found in kinds.items()}
    hidden = (images["masks"][:, :1] > 0.5).expand(-1, 3, -1, -1)
    for kind in ("results", "control"):
        assert images[kind][~hidden].equal(images["original"][~hidden])
        assert not images[kind][hidden].equal(images["original"][hidden])


def test_the_same_seed_twice_gives_identical_tables_and_another_seed_does_not(cell, finished, tmp_path):
    first = (finished[0] / "images.parquet").read_bytes()
    cell(tmp_path / "again", "mask_ratio=0.5", "masking=saliency")
    assert (tmp_path / "again" / "images.parquet").read_bytes() == first
    cell(tmp_path / "b8", "mask_ratio=0.5", "masking=saliency", "batch_size=1", "evaluation.batch_size=1")
    one, eight = (pd.read_parquet(p / "images.parquet") for p in (tmp_path / "b8", finished[0]))
    for column in ("image_id", "pred", "pred_anonymized", "pred_control", "rank", "share_hidden"):
        assert one[column].equals(eight[column]), column
    np.testing.assert_allclose(one["prob_anonymized"], eight["prob_anonymized"], atol=0.02)  # jpeg steps of one level


def test_the_fit_is_reused_and_says_so(cell, finished, tmp_path):
    cell(tmp_path, "inpainting=mean_fill")
    (record,) = read_cells(tmp_path)
    assert record["timing"]["fit_reused"] is True
    assert record["timing"]["fit_s"] == 0
    ours, theirs = (load_checkpoint(path / "recognizer.ckpt").state_dict() for path in (tmp_path, finished[0]))
    assert all(value.equal(theirs[name]) for name, value in ours.items())


def test_the_original_studys_counting_gets_our_fool_rate(finished):
    """A transcription of how the original scripts counted: predictions from files, names split at hyphens."""
    out = finished[0]
    net = load_checkpoint(out / "recognizer.ckpt")

    def predictions(folder):
        found = {}
        for path in folder.iterdir():
            image_id, class_id = path.stem.split("-")[0], int(path.stem.split("-")[-1])
            pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)[None]
            with torch.no_grad():
                found[image_id] = (int(net(pixels / 255).argmax()), class_id)
        return found

    before, after = predictions(out / "original"), predictions(out / "results")
    recognised = [i for i, (predicted, true) in before.items() if predicted == true]
    fooled = [i for i in recognised if after[i][0] != after[i][1]]
    record = json.loads((out / "record.json").read_text())
    assert recognised, "an untrained recogniser would test nothing"
    assert record["metrics"]["fool_rate"]["n"] == len(recognised)
    assert record["metrics"]["fool_rate"]["value"] == pytest.approx(len(fooled) / len(recognised))


def test_several_objectives_come_as_a_tuple(cell, tmp_path):
    result = cell(tmp_path, "inpainting=blackout", "objective=[fool_rate,accuracy_anonymized]")
    (record,) = read_cells(tmp_path)
    assert result == tuple(record["metrics"][name]["value"] for name in ("fool_rate", "accuracy_anonymized"))


def test_doing_nothing_fools_nobody(cell, tmp_path):
    assert cell(tmp_path, "inpainting=identity", "mask_ratio=1.0") == 0.0
    (record,) = read_cells(tmp_path)
    assert record["metrics"]["accuracy_anonymized"]["value"] == record["metrics"]["accuracy"]["value"]


@pytest.mark.slow
def test_a_dry_run_of_a_method_that_needs_identity_means(cell, tmp_path, capsys):
    assert cell(tmp_path, "dry_run=true", "masking=grad_cam", "masking.target=similarity") is None
    assert "photos: about" in capsys.readouterr().out


def test_a_dry_run_measures_and_writes_nothing(cell, tmp_path, capsys):
    assert cell(tmp_path, "dry_run=true", "inpainting=mean_fill") is None
    printed = capsys.readouterr().out
    assert re.search(r"\d+ photos: about \d+\.\d minutes", printed)
    assert " minutes and 0.0" in printed
    assert " GB" in printed
    assert not (tmp_path / "record.json").exists()


def test_fit_only_prints_clean_accuracy_and_keeps_the_checkpoint(cell, tmp_path, capsys):
    accuracy = cell(tmp_path, "fit_only=true")
    assert f"clean test accuracy {accuracy:.4f}" in capsys.readouterr().out
    assert (tmp_path / "recognizer.ckpt").is_file()
    assert not (tmp_path / "record.json").exists()
