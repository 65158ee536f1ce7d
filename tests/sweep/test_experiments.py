"""Every yaml of conf/ composes: each experiment with its command, each command, and Hydra's own block once."""

import re

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from privacy_exp.__main__ import COMMANDS
from privacy_exp.sweep.entry import CONF

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
DOORS = sorted(path.stem for path in CONF.glob("*.yaml"))
TRAININGS = ("painter_faces",)
"""Experiments of train_inpainter."""


@pytest.fixture(scope="module", autouse=True)
def conf():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes(name, monkeypatch):
    monkeypatch.setenv("CELEBA_DEV", "/dev/faces")
    monkeypatch.setenv("FACE_ONNX", "face.onnx")
    door = "train_inpainter" if name in TRAININGS else "train"
    own = (CONF / "experiment" / f"{name}.yaml").read_text()
    if "/hydra/sweeper: optuna" in own:
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs pip install 'privacy-exp[optuna]'")
    config = compose(door, overrides=[f"experiment={name}"], return_hydra_config=True)
    hydra = config.hydra
    config = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    assert hydra.runtime.choices.experiment == name
    assert OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    params = (hydra.sweeper.get("params") or {}) if "hydra" in OmegaConf.create(own) else {}
    assert bool(params) == ("params:" in own)
    for key in params:  # an axis that no part has would end the sweep after its fit
        assert OmegaConf.select(config, key, default="none") != "none" or key in hydra.runtime.choices, key


@pytest.mark.parametrize("door", DOORS)
def test_every_command_says_where_it_runs_through_one_file(door):
    assert door in COMMANDS
    text = (CONF / f"{door}.yaml").read_text()
    shared = re.findall(r"^  - hydra/(command|runs)$", text, re.MULTILINE)
    assert len(shared) == 1
    assert not re.search(r"^  (run|sweep|job_logging|output_subdir):", text, re.MULTILINE)
    hydra = compose(door, return_hydra_config=True).hydra
    assert hydra.job_logging.formatters.simple.format == "%(message)s"
    alone = shared == ["command"]
    assert (hydra.output_subdir is None) == alone
    assert (OmegaConf.to_container(hydra.run)["dir"] == ".") == alone
    assert ("file" in hydra.job_logging.get("handlers", {})) != alone
