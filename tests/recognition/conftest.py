import warnings

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from privacy_exp.recognition.fit import fit_recognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.sweep.entry import CONF

from .small import Colours, Small


@pytest.fixture
def trainer():
    """conf/trainer/cpu.yaml, without the bar."""
    with initialize_config_dir(str(CONF / "trainer"), version_base="1.3"):
        return instantiate(compose("cpu", overrides=["enable_progress_bar=false"]))


@pytest.fixture
def fit(trainer, tmp_path):
    """Fits a small recogniser, or another, in a second."""

    def run(data=None, net=None, seed=0, init_from=None, loggers=(), **keys):
        data = data or Colours()
        data.setup()
        recipe = FitRecipe(**{"max_epochs": 2, "lr": 0.02, "augment": True, **keys})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return fit_recognizer(data, net or Small(), recipe, trainer, seed, tmp_path, init_from, loggers)

    return run
