"""A multirun as a user starts it: one fit, a complete folder a cell, a W&B run each, and failures that show."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from reader import read_cells

from privacy_exp.sweep.progress import cell_states
from privacy_exp.tracking.marker import tracked

ROOT = Path(__file__).parents[2]
FEW = [
    "data.identities=4",
    "data.photos_per_identity=10",
    "data.max_test_images=8",
    "recognition.module.max_epochs=2",
]


def start(out: Path, *overrides: str) -> subprocess.Popen[str]:
    places = [f"hydra.sweep.dir={out}", f"cache.root={out.parent / 'store'}"]
    command = [sys.executable, "-m", "privacy_exp.train", "-m", *FEW, *places, *overrides]
    return subprocess.Popen(command, cwd=out.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sweep(out: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    job = start(out, *overrides)
    stdout, stderr = job.communicate()
    return subprocess.CompletedProcess(job.args, job.returncode, stdout, stderr)


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


def test_a_line_a_cell_and_the_rest_in_its_log(swept):
    out, done = swept
    head, *cells, foot = done.stdout.splitlines()
    assert head.startswith(f"8 cells in {out}")
    assert [line.partition(" · ")[0] for line in cells] == [f"cell {number}/8" for number in range(1, 9)]
    assert "Saliency 50 % · guidance scale 7.5 · fooled 0." in cells[-1]
    assert [line.endswith(" left") for line in cells] == [True] * 7 + [False]
    assert foot == f"report   privacy-exp report sweep={out}"
    assert done.stderr == "", "no bar, no chatter of libraries"
    assert "fool rate" in (out / "7" / "train.log").read_text()


@pytest.mark.slow
def test_a_failing_cell_does_not_stop_the_others_and_all_places_say_so(tmp_path):
    """The cell fails while it paints: its face is smaller than the asked share."""
    done = sweep(tmp_path / "out", "mask_ratio=0.1,0.9,0.2", "masking.region=face", "inpainting=mean_fill")
    assert done.returncode == 1
    assert "largest possible" in done.stderr or "at most" in done.stderr, done.stderr[-1000:]
    assert "Traceback" not in done.stderr
    assert [c["mask_ratio"] for c in read_cells(tmp_path / "out")] == [0.1, 0.2]
    states = cell_states(tmp_path / "out")
    assert [(cell.overrides, cell.state) for cell in states] == [
        ("mask_ratio=0.1", "done"),
        ("mask_ratio=0.9", "failed"),
        ("mask_ratio=0.2", "done"),
    ]
    assert "0.9" in states[1].note
    assert [bool(tracked(tmp_path / "out" / str(number))) for number in range(3)] == [True, False, True]


@pytest.mark.slow
def test_a_sweep_killed_three_times_finds_what_an_undisturbed_one_finds(tmp_path):
    """What scripts/kill_test.py does 20 times at random moments, with one sweep that is killed at three stages."""
    spec = importlib.util.spec_from_file_location("kill_test", ROOT / "scripts" / "kill_test.py")
    kill_test = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kill_test)
    kill_test.finish(tmp_path / "undisturbed", "inpainting=mean_fill")
    all_pictures = len(kill_test.painted(tmp_path / "undisturbed"))
    killed, pictures = tmp_path / "killed", {}
    for share in (0, 0.3, 0.7):

        def reached(share=share):
            return len(kill_test.painted(killed)) > share * all_pictures

        assert kill_test.kill_when(killed, reached, "inpainting=mean_fill"), "it had ended before it was killed"
        assert not kill_test.repainted(pictures)
        pictures = kill_test.painted(killed)
    kill_test.finish(killed, "inpainting=mean_fill")
    assert not kill_test.repainted(pictures)
    assert not kill_test.differences(tmp_path / "undisturbed", killed)


@pytest.mark.slow
def test_two_sweeps_at_once_on_one_store_compute_each_cell_once(tmp_path):
    axes = ["mask_ratio=0.1,0.3", "inpainting=mean_fill", "tracking=csv"]
    jobs = [start(tmp_path / name, *axes, f"cache.root={tmp_path}/shared") for name in ("one", "two")]
    for job in jobs:
        _, errors = job.communicate()
        assert job.returncode == 0, errors[-2000:]
    one, two = (read_cells(tmp_path / name) for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert a["timing"] == b["timing"], "the same record: the second sweep took it from the first"
    assert [c["timing"]["fit_reused"] for c in one] == [False, True]
