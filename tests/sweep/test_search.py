"""A search by Optuna, and W&B's sweep file: their keys are ours."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from extras import installed
from hydra import compose, initialize_config_dir
from reader import read_cells

from privacy_exp.sweep.entry import CONF

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_search_with_two_objectives_repeats_itself_from_the_store(cell, tmp_path):
    if not installed("hydra_plugins.hydra_optuna_sweeper"):
        pytest.skip("needs the extra: pip install .[optuna]")
    fitted = tmp_path / "fitted"
    cell(fitted, "fit_only=true", "recognition.module.max_epochs=1")

    def search(name):
        few = ["data.identities=5", "data.photos_per_identity=10", "inpainting.num_inference_steps=2", "tracking=csv"]
        few += ["hydra.sweeper.n_trials=3", "utility=[]"]
        few += ["objective=[accuracy_anonymized,accuracy]", f"recognition.checkpoint={fitted}"]
        places = [f"hydra.sweep.dir={tmp_path / name}", f"cache.root={tmp_path}/store"]
        line = [sys.executable, "-m", "privacy_exp.train", "experiment=pareto", *few, *places]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout, read_cells(tmp_path / name)

    _, first = search("one")
    assert len(first) == 3
    found = yaml.safe_load((tmp_path / "one" / "optimization_results.yaml").read_text())
    asked = {(c["choices"]["masking"], c["mask_ratio"]): c["metrics"]["accuracy_anonymized"]["value"] for c in first}
    assert found["solutions"]
    for solution in found["solutions"]:
        where = (solution["params"]["masking"], float(solution["params"]["mask_ratio"]))
        assert solution["values"][0] == asked[where]
        assert solution["values"][0] == min(asked.values()), (
            "accuracy is the same for all: the Pareto front is the minimum"
        )

    printed, second = search("two")
    assert printed.count("taken as it was finished before") == 3
    assert [c["timing"] for c in second] == [c["timing"] for c in first]


def test_each_trial_of_the_wandb_sweep_is_a_cell():
    sweep = yaml.safe_load((ROOT / "scripts" / "sweep.yaml").read_text())
    axes = {name: axis["values"] for name, axis in sweep["parameters"].items()}
    assert sweep["metric"]["name"] == "test/fool_rate"
    assert "privacy_exp.train" in sweep["command"]
    fixed = [part for part in sweep["command"] if "=" in part]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for values in itertools.product(*axes.values()):
            trial = dict(zip(axes, values, strict=True))
            config = compose("train", overrides=[*fixed, *(f"{name}={value}" for name, value in trial.items())])
            assert config.mask_ratio == trial["mask_ratio"]
            assert config.inpainting.guidance_scale == trial["inpainting.guidance_scale"]
            assert config.tracking.mode == "online"
