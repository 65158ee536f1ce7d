"""What the package calls "without effect" on figures has none.

What reaches an order or a draw leaves every bit as it is. A batch's size, a layout, a device or compiled code may round
otherwise: by no more than `ROUNDING` of a grey level's share, and figures by no more than `FIGURES`.
"""

import importlib
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger

from privacy_exp.cache.configured import Configured
from privacy_exp.cache.keys import WITHOUT_EFFECT
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.recognition.fit import fit_recognizer
from privacy_exp.recognition.recipe import TRAINER, FitRecipe
from privacy_exp.types import Faces
from tests.recognition.small import Colours, Small, same, state

TESTS = Path(__file__).parents[1]
ROUNDING = 2 / 255
FIGURES = 1e-3
ON_CUDA = torch.cuda.is_available()

BITWISE = {
    "enable_checkpointing": True,
    "enable_model_summary": True,
    "enable_progress_bar": False,
    "inference_mode": False,
    "log_every_n_steps": 50,
    "strategy": "single_device",
}
"""Keywords of the trainer, each with another value than the base's."""

HELD = {
    **dict.fromkeys(BITWISE, "cache/test_without_effect.py::test_a_fit_of_three_epochs_is_the_same_to_the_bit"),
    "logger": "cache/test_without_effect.py::test_a_fit_of_three_epochs_is_the_same_to_the_bit",
    "num_workers": "recognition/test_fit.py::test_how_many_load_photos_and_what_split_them_change_no_weight",
    "batch_size": "cache/test_without_effect.py::test_batch_sizes_move_no_figure_of_a_run",
    "accelerator": "cache/test_without_effect.py::test_a_gpu_fits_and_paints_nearly_the_same",
    "device": "cache/test_without_effect.py::test_a_gpu_fits_and_paints_nearly_the_same",
    "offload": "cache/test_without_effect.py::test_a_gpu_fits_and_paints_nearly_the_same",
    "devices": "study/test_sharding.py::test_two_processes_paint_every_image_once",
    "attention_slicing": "inpainting/test_diffusion.py::test_keys_for_speed_change_no_picture",
    "channels_last": "inpainting/test_diffusion.py::test_keys_for_speed_change_no_picture",
    "compile": "inpainting/test_diffusion.py::test_compiled_unet_paints_the_same",
    "force": "inpainting/test_domain.py::test_the_shipped_checkpoint_is_refused_for_photos",
    "workers": "inpainting/test_command.py::test_results_are_taken_pixel_by_pixel_whatever_the_photos_are_called",
    "timeout": "inpainting/test_command.py::test_a_tool_that_hangs_is_stopped_with_all_that_it_started",
}
"""Every key without effect, and the test that says so."""


def _kinds(kind: type) -> set[type]:
    return {kind}.union(*(_kinds(child) for child in kind.__subclasses__()))


def test_every_key_without_effect_has_a_test():
    package = TESTS.parent / "privacy_exp"
    for path in package.rglob("*.py"):
        if "without_effect" in path.read_text():
            importlib.import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))
    own = {name for kind in _kinds(Configured) if "privacy_exp" in kind.__module__ for name in kind.without_effect}
    assert own | WITHOUT_EFFECT == set(HELD)
    for place in HELD.values():
        file, _, test = place.partition("::")
        assert re.search(rf"^def {test}\(", (TESTS / file).read_text(), re.MULTILINE), place


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The weights after three epochs of a fit that draws and shuffles, on some trainer."""

    def weights(loggers=(), **keywords):
        data = Colours(batch_size=7)
        data.setup()
        recipe = FitRecipe(max_epochs=3, lr=0.02, augment=True)
        trainer = partial(Trainer, **{**TRAINER, **keywords})
        return state(
            fit_recognizer(
                data, Small(), recipe, trainer, 0, tmp_path_factory.mktemp("fit"), loggers=loggers
            ).recognizer
        )

    base = weights()
    return lambda **keys: (weights(**keys), base)


@pytest.mark.parametrize("name", [*BITWISE, "logger"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_fit_of_three_epochs_is_the_same_to_the_bit(fitted, tmp_path, name):
    keys = {"loggers": [CSVLogger(tmp_path)]} if name == "logger" else {name: BITWISE[name]}
    found, base = fitted(**keys)
    assert same(found, base)


def test_batch_sizes_move_no_figure_of_a_run(cell, tmp_path):
    net = ("recognition.net._target_=tests.recognition.small.Small", "~recognition.net.legacy_scaling")
    common = [*net, *(f"~recognition.net.{key}" for key in ("image_size", "dropout")), "inpainting=mean_fill"]
    common += ["masking=occlusion", "masking.stride=0.25", "image_format=png", "utility=[pixels,sanity]"]
    common += ["data=synthetic", "data.identities=3", "data.photos_per_identity=6", "recognition.module.max_epochs=1"]
    sizes = ["batch_size=2", "evaluation.batch_size=2", "masking.batch_size=5"]
    sizes += ["utility.pixels.batch_size=2", "utility.sanity.batch_size=2", f"cache.root={tmp_path / 'cache'}"]
    cell(tmp_path / "one", *common)
    cell(tmp_path / "two", *common, *sizes)
    one, two = (json.loads((tmp_path / name / "record.json").read_text()) for name in ("one", "two"))
    assert one["key"] == two["key"]
    for name, metric in one["metrics"].items():
        assert two["metrics"][name]["value"] == pytest.approx(metric["value"], abs=FIGURES), name
    for path in sorted((tmp_path / "one" / "results").iterdir()):
        pictures = (np.asarray(Image.open(tmp_path / run / "results" / path.name), int) for run in ("one", "two"))
        assert abs(np.subtract(*pictures)).max() <= 255 * ROUNDING


@pytest.mark.gpu
@pytest.mark.skipif(not ON_CUDA, reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_gpu_fits_and_paints_nearly_the_same(fitted):
    found, base = fitted(accelerator="gpu")
    assert all(value.cpu().sub(base[name].cpu()).abs().max() < 0.05 for name, value in found.items())
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    masks[:, :, 16:48, 16:48] = True
    keys = {"num_inference_steps": 2, "dtype": "float32"}
    plain = DiffusionInpainter.from_pretrained("tiny", device="cpu", **keys)(Faces(["a", "b"], images), masks, seed=0)
    for more in ({}, {"offload": True}):
        made = DiffusionInpainter.from_pretrained("tiny", device="cuda", **keys, **more)
        again = made(Faces(["a", "b"], images.cuda()), masks.cuda(), seed=0)
        assert (again.cpu() - plain).abs().max() <= 2 * ROUNDING
