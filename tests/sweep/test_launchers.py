"""The same study under every launcher gives the same records, and no two cells ever share a slot."""

import json
import os
import subprocess
import sys
from itertools import combinations

import pandas as pd
import pytest
from extras import installed
from reader import read_cells

LAUNCHERS = {
    "joblib": ("hydra_joblib_launcher", "joblib", ["hydra.launcher.n_jobs=4", "slots=2"]),
    "submitit_local": ("hydra_submitit_launcher", "slurm", ["slots=2"]),
    "ray": (
        "hydra_ray_launcher",
        "ray",
        [
            "hydra.launcher.ray.init.num_cpus=4",
            "hydra.launcher.ray.init.num_gpus=2",
            "hydra.launcher.ray.remote.num_gpus=1",
        ],
    ),
}


@pytest.fixture(scope="module")
def study(cell, tmp_path_factory):
    """Runs 4 cells in a new store under a launcher, on a recogniser that is at hand; returns the sweep's folder."""
    fitted = tmp_path_factory.mktemp("fitted")
    cell(fitted, "fit_only=true", "recognition.module.max_epochs=1")

    def run(launcher, *overrides):
        out = tmp_path_factory.mktemp(launcher)
        few = ["data.identities=5", "data.photos_per_identity=10", "inpainting=mean_fill", "tracking=csv"]
        places = [f"hydra.sweep.dir={out}/sweep", f"cache.root={out}/store", f"recognition.checkpoint={fitted}"]
        axes = ["masking=random_patches,saliency", "mask_ratio=0.2,0.4"]
        line = [sys.executable, "-m", "privacy_exp.train", "-m", *few, *places, *axes, *overrides]
        if launcher != "basic":
            line.append(f"hydra/launcher={launcher}")
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(out), "CUDA_VISIBLE_DEVICES": ""}
        if launcher == "ray":
            del environment["TMPDIR"]  # Ray's sockets need short paths
            del environment["CUDA_VISIBLE_DEVICES"]
        done = subprocess.run(line, cwd=out, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return out / "sweep"

    return run


@pytest.fixture(scope="module")
def reference(study):
    return study("basic")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_every_launcher_finds_the_same_and_shares_no_slot(study, reference, launcher):
    package, extra, overrides = LAUNCHERS[launcher]
    if not installed(f"hydra_plugins.{package}"):
        pytest.skip(f"needs the extra: pip install .[{extra}]")
    sweep = study(launcher, *overrides)
    ours, theirs = read_cells(sweep), read_cells(reference)
    assert len(ours) == len(theirs) == 4
    for one, other in zip(ours, theirs, strict=True):
        for name in one.keys() - {"timing", "config"}:
            assert one[name] == other[name], name
    for number in range(4):
        tables = [pd.read_parquet(folder / str(number) / "images.parquet") for folder in (sweep, reference)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    times = [record["timing"] for record in ours]
    assert {time["slot"] for time in times} <= {0, 1}
    for a, b in combinations(times, 2):
        assert a["slot"] != b["slot"] or a["ended"] <= b["started"] or b["ended"] <= a["started"], times


@pytest.mark.slow
def test_the_plan_stands_before_the_first_cell(reference):
    plan = json.loads((reference / "plan.json").read_text())
    assert plan["count"] == len(plan["cells"]) == 4
    assert "masking=random_patches,saliency" in plan["command"]
