"""Real people and a real embedder; skipped where they are not at hand."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from privacy_exp.data.celeba import CelebA
from privacy_exp.recognition.fit import clean_accuracy, fit_recognizer
from privacy_exp.sweep.entry import CONF


@pytest.mark.slow
@pytest.mark.slow
def test_the_onnx_recogniser_knows_the_people_of_celeba_dev(celeba_dev, face_onnx, trainer, tmp_path):
    data = CelebA(root=str(celeba_dev))
    data.setup()
    with initialize_config_dir(str(CONF / "recognition"), version_base="1.3"):
        overrides = [f"net.model={face_onnx}", "module.max_epochs=8"]
        recognition = compose("onnx", overrides=overrides)
    result = fit_recognizer(data, instantiate(recognition.net), instantiate(recognition.module), trainer, 0, tmp_path)
    assert clean_accuracy(result.recognizer, data.batches("test")) >= 0.95
