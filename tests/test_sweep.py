"""A multirun as a user starts it: one fit, a complete folder a cell, a W&B run each, and failures that show."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from reader import read_cells

FEW = [
    "data.identities=4",
    "data.photos_per_identity=10",
    "data.max_test_images=8",
    "recognition.module.max_epochs=2",
]


def sweep(out: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    places = [f"hydra.sweep.dir={out}", f"store.root={out.parent / 'store'}"]
    command = [sys.executable, "-m", "privacy_exp.train", "-m", *FEW, *places, *overrides]
    return subprocess.run(command, cwd=out.parent, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "out"
    axes = ["masking=random_patches,saliency", "mask_ratio=0.1,0.5", "inpainting.guidance_scale=1.0,7.5"]
    done = sweep(out, *axes, "inpainting.num_inference_steps=2")
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done


def test_two_by_two_by_two_gives_eight_records_from_one_fit(swept):
    cells = read_cells(swept[0])
    asked = {(c["choices"]["masking"], c["mask_ratio"], c["config"]["inpainting"]["guidance_scale"]) for c in cells}
    assert len(cells) == len(asked) == 8
    assert len({c["key"] for c in cells}) == 8
    assert [c["timing"]["fit_reused"] for c in cells].count(False) == 1
    assert all(c["n"] == 8 for c in cells)


def test_all_cells_share_originals_and_their_methods_differ(swept):
    tables = [pd.read_parquet(path) for path in sorted(swept[0].glob("*/images.parquet"))]
    for table in tables[1:]:
        for column in ("image_id", "label", "pred"):
            assert table[column].equals(tables[0][column])
    assert len({tuple(table["prob_anonymized"]) for table in tables}) == 8


def test_guidance_changes_pixels(swept):
    pictures = {}
    for cell in sorted(swept[0].glob("*/record.json")):
        path = min((cell.parent / "results").iterdir())
        pictures[cell.parent.name] = path.read_bytes()
    assert len(set(pictures.values())) == 8


def test_each_cell_has_its_own_wandb_run(swept):
    runs = sorted(swept[0].glob("*/wandb/offline-run-*"))
    assert len(runs) == 8
    assert len({run.parents[1] for run in runs}) == 8


def test_the_last_lines_say_what_was_found_and_where(swept):
    assert "fool_rate" in swept[1].stdout
    assert swept[1].stdout.rstrip().endswith("grid.png")


def test_a_failing_cell_does_not_stop_the_others_and_the_exit_code_says_so(tmp_path):
    done = sweep(tmp_path / "out", "mask_ratio=0.1,1.5,0.5", "inpainting=mean_fill", "tracking=csv")
    assert done.returncode == 1
    assert "`mask_ratio` must lie in [0, 1], but got 1.5" in done.stderr
    assert [c["mask_ratio"] for c in read_cells(tmp_path / "out")] == [0.1, 0.5]
