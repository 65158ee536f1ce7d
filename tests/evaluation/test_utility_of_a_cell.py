"""A cell measures utility without being asked, and what it was asked for."""

import json

import pandas as pd
import pytest


def test_a_cell_measures_what_was_chosen(cell, tmp_path):
    cell(tmp_path / "same", "inpainting=identity", "image_format=png", "mask_ratio=0.5")
    record = json.loads((tmp_path / "same" / "record.json").read_text())
    assert record["choices"]["utility"] == ["pixels", "sanity"], "what costs next to nothing is always measured"
    assert record["metrics"]["utility/ssim_inside"]["value"] == pytest.approx(1)
    assert "infinite" in record["metrics"]["utility/psnr_inside"]["reason"]
    assert record["metrics"]["utility/flat_share"]["value"] == 0
    both = {name.partition("/")[2].rpartition("=")[0] for name in record["metrics"] if name.startswith("by/")}
    table = pd.read_parquet(tmp_path / "same" / "images.parquet")
    for name in both:
        shown = name.partition("/")[0]
        assert 5 <= table[f"attribute/{shown}"].sum() <= len(table) - 5
    cell(tmp_path / "none", "inpainting=blackout", "mask_ratio=1.0", "utility=[kid,sanity]")
    record = json.loads((tmp_path / "none" / "record.json").read_text())
    assert record["choices"]["utility"] == ["kid", "sanity"]
    assert record["metrics"]["utility/black_share"]["value"] == 1
    assert record["metrics"]["utility/kid"]["value"] is None
    assert "utility/ssim_inside" not in record["metrics"]
