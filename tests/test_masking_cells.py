"""What masking methods bring into a cell: stored scores, notes on images, frames of their own."""

import pandas as pd
import pytest
from PIL import Image
from reader import read_cells

from privacy_exp.study.rescore import rescore


def test_a_cell_of_minimal_reports_the_shares_and_so_does_scoring_it_again(cell, tmp_path):
    keys = ("masking.trials=3", "masking.steps=1", "inpainting=mean_fill", "image_format=png")
    cell(tmp_path, "masking=minimal", "masking@masking.base=saliency", *keys)
    (record,) = read_cells(tmp_path)
    table = pd.read_parquet(tmp_path / "images.parquet")
    known = table[table["minimal_recognised"]]
    not_lost = record["metrics"]["minimal/not_lost"]
    assert record["mask_ratio"] is None
    assert not_lost["n"] == len(known) > 0
    assert not_lost["value"] == pytest.approx((~known["minimal_lost"]).mean())
    assert (table["share_hidden"][~table["minimal_recognised"]] == 0).all(), "who is not known needs nothing"
    again = rescore(tmp_path).values
    assert again["minimal/not_lost"] == not_lost["value"]
    assert again["minimal/share_median"] == record["metrics"]["minimal/share_median"]["value"]


def test_the_original_studys_frame_is_what_is_saved_and_hidden_shares_are_recorded(cell, tmp_path):
    keys = ("masking.size=96", "masking.patch_size=6", "masking.crop=48", "inpainting=mean_fill", "image_format=png")
    cell(tmp_path, "masking=original_random", *keys)
    table = pd.read_parquet(tmp_path / "images.parquet")
    for kind in ("original", "masks", "results", "control"):
        assert Image.open(min((tmp_path / kind).iterdir())).size == (96, 96)
    assert table["share_asked"].isna().all()
    assert table["share_hidden"].between(0.2, 81 / 256).all()
    assert table["share_hidden_face"].between(0.01, 1).all()


@pytest.mark.slow
def test_other_budgets_read_the_scores_that_one_cell_computed(cell, tmp_path):
    store, seen = tmp_path / "store", []
    for name, ratio in (("a", 0.1), ("b", 0.3)):
        cell(tmp_path / name, "masking=grad_cam", f"mask_ratio={ratio}", "inpainting=mean_fill", f"cache.root={store}")
        seen.append({path: path.stat().st_mtime_ns for path in store.glob("scores/*/*/*.npz")})
    assert len(seen[0]) == 10
    assert seen[0] == seen[1]
    (a, b) = (pd.read_parquet(tmp_path / name / "images.parquet") for name in "ab")
    assert (a["share_hidden"] < b["share_hidden"]).all()


def test_a_method_with_its_own_area_is_not_swept_over_the_ratio(tmp_path, cell, monkeypatch):
    monkeypatch.setattr("privacy_exp.sweep.build.swept_keys", lambda: ["mask_ratio"])
    with pytest.raises(ValueError, match="`mask_ratio` cannot be swept with masking=everything"):
        cell(tmp_path, "masking=everything", "inpainting=mean_fill")
    assert not (tmp_path / "record.json").exists()
