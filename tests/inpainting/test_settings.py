"""Groups of settings: flat keys find their group, short names their yaml, wrong values their message."""

from typing import Any

import pytest

from privacy_exp import UserError
from privacy_exp.cache.configured import description
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.presets import preset
from privacy_exp.inpainting.settings import Canvas, Lora, Sampling, grouped, number

TARGET = "privacy_exp.inpainting.diffusion.DiffusionInpainter.from_pretrained"


def test_flat_keys_find_their_group() -> None:
    flat = {"checkpoint": "a/b", "guidance_scale": 3, "crop": "face", "batch_size": 2, "lora": "c/d", "lora_scale": 0.5}
    made = grouped(flat)
    assert made["checkpoint"] == "a/b"
    assert made["sampling"] == Sampling(guidance_scale=3)
    assert made["canvas"] == Canvas(crop="face")
    assert made["runtime"].batch_size == 2
    assert made["lora"] == Lora("c/d", None, 0.5)
    assert grouped({})["lora"] is None


def test_a_group_as_an_object_wins() -> None:
    assert grouped({"num_inference_steps": 7, "sampling": Sampling(strength=0.5)})["sampling"].num_inference_steps == 50


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(UserError, match=r"`guidance` is not a setting.*guidance_scale"):
        DiffusionInpainter.from_pretrained("tiny", guidance=3)


def test_short_names_are_those_of_the_yamls() -> None:
    lcm = preset("sd15_lcm", TARGET)
    assert lcm is not None
    expected = {
        "scheduler": "LCMScheduler",
        "num_inference_steps": 6,
        "variant": "fp16",
        "guidance_interval": [0.0, 1.0],
    }
    assert {name: lcm[name] for name in expected} == expected
    assert preset("blur", TARGET) is None
    assert preset("no_such", TARGET) is None
    assert preset("../inpainting/sd15", TARGET) is None
    tiny = DiffusionInpainter.from_pretrained("tiny", guidance_scale=2)
    assert (tiny.sampling.num_inference_steps, tiny.sampling.guidance_scale, tiny.batch_size) == (20, 2, 16)


def test_a_description_holds_every_group_and_what_decides_figures() -> None:
    whole = description(DiffusionInpainter.from_pretrained("tiny", device="cpu"))
    assert whole["runtime"]["dtype"] == "float32", "the format that was computed in, not auto"
    assert whole["sampling"]["guidance_interval"] == [0.0, 1.0]
    assert whole["checkpoint"] == "privacy_exp/assets/tiny_inpaint", "a path, whose content a key can hold"
    keys = description(
        DiffusionInpainter.from_pretrained("tiny", device="cpu", batch_size=3, force=True), keys_only=True
    )
    assert keys["runtime"] == {"_target_": "privacy_exp.inpainting.settings.Runtime", "dtype": "float32"}
    assert keys == description(DiffusionInpainter.from_pretrained("tiny", device="cpu"), keys_only=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"guidance_scale": float("nan")}, "`guidance_scale` must be a finite number, but got nan"),
        ({"num_inference_steps": True}, "`num_inference_steps` must be a finite number, but got True"),
        ({"guidance_interval": [0.0, 1.5]}, "`guidance_interval` must be"),
        ({"crop_padding": -0.1}, "`crop_padding` must be at least 0"),
        ({"compile": "always"}, "`compile` must be true, false, auto or reduce-overhead, but got always"),
        ({"compile": "reduce-overhead", "device": "cpu"}, "`compile: reduce-overhead` makes CUDA graphs"),
        ({"channels_last": "yes"}, "`channels_last` must be true, false or auto"),
        ({"dtype": "half"}, "`dtype` must be one of auto"),
        ({"device": "gpu"}, "`device` must be auto, cpu, cuda or cuda:N, but got 'gpu'"),
    ],
)
def test_wrong_values_are_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        grouped(changes)


@pytest.mark.parametrize("value", ["much", None, True, float("inf"), [1]])
def test_what_is_not_a_number_is_named(value: Any) -> None:
    with pytest.raises(UserError, match="`sigma` must be a finite number, but got"):
        number("sigma", value)


def test_edges_that_are_allowed() -> None:
    assert Sampling(num_inference_steps=1, guidance_scale=1, strength=1).guidance_interval == (0.0, 1.0)
    assert Sampling(num_inference_steps=2, strength=0.5).strength == 0.5
    assert Canvas(crop_padding=0).crop_padding == 0
    with pytest.raises(UserError, match="`strength`"):
        Sampling(num_inference_steps=2, strength=0.49)
