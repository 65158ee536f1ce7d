"""Top-level keys at the boundary."""

import subprocess
import sys

import pytest
from hydra.core.config_loader import ConfigLoader
from omegaconf import OmegaConf

from privacy_exp import UserError
from privacy_exp.sweep.configuration import check_keys


@pytest.mark.parametrize("key", ["mask_ratio", "seed", "batch_size"])
def test_true_is_no_number(composed, tmp_path, key):
    check_keys(composed(tmp_path))
    with pytest.raises(UserError, match=rf"`{key}` must .* but got True"):
        check_keys(composed(tmp_path, f"{key}=true"))


def test_a_dry_run_composes_each_cell_once_and_reads_the_config_groups_once(monkeypatch):
    from types import SimpleNamespace

    from privacy_exp.sweep import configuration, plan

    composed, asked = [], []

    class Loader(ConfigLoader):
        def load_sweep_config(self, master_config, sweep_overrides):
            composed.append(sweep_overrides)
            return OmegaConf.create({"cell": sweep_overrides, "hydra": {"job": {"id": "???"}}})

        def get_group_options(self, group):
            asked.append(group)
            return ["null"]

    Loader.__abstractmethods__ = frozenset()  # what is not asked here
    loader = Loader()
    monkeypatch.setattr(plan.GlobalHydra, "instance", lambda: SimpleNamespace(config_loader=lambda: loader))
    plan._compose_once()
    asked_by_name = [loader.load_sweep_config(master_config=OmegaConf.create(), sweep_overrides=[c]) for c in "ab"]
    assert [found["cell"] for found in asked_by_name] == [["a"], ["b"]], "as Hydra checks them"
    assert [loader.load_sweep_config(OmegaConf.create(), [c])["cell"] for c in "ab"] == [["a"], ["b"]]
    assert composed == [["a"], ["b"]]
    run = loader.load_sweep_config(OmegaConf.create(), ["a"])
    assert composed == [["a"], ["b"], ["a"]], "what has been run is composed anew"
    OmegaConf.set_readonly(run.hydra, True)  # as Hydra does where a job starts
    assert not OmegaConf.is_readonly(loader.load_sweep_config(OmegaConf.create(), ["a"]).hydra), "asked for twice"
    assert [configuration._options(loader, "tracking") for _ in range(2)] == [["null"]] * 2
    assert configuration._options(Loader(), "tracking") == ["null"]
    assert asked == ["tracking", "tracking"], "once a loader"


@pytest.mark.slow
def test_a_grid_may_name_a_cell_twice(tmp_path):
    line = [
        sys.executable,
        "-m",
        "privacy_exp.train",
        "-m",
        "mask_ratio=0.25,0.25",
        "data.identities=5",
        "dry_run=true",
    ]
    done = subprocess.run(
        [*line, f"hydra.sweep.dir={tmp_path / 'sweep'}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 runs" in done.stdout
