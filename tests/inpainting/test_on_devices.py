"""Repeats, batch sizes, devices, compilers and too little memory change no picture by more than is stated here."""

import warnings
from typing import Any

import pytest
import torch

from privacy_exp.inpainting.diffusion import DiffusionInpainter
from tests.inpainting.conftest import some_faces, some_masks

ON_CUDA = torch.cuda.is_available()
GPU = (pytest.mark.gpu, pytest.mark.skipif(not ON_CUDA, reason="needs a CUDA device"))
FACES, MASKS = some_faces(5, 32, 32), some_masks(5, 32, 32)
TOLERANCE = {"float32": 1e-3, "float16": 4 / 255}
"""Largest difference in [0, 1]: rounding of the format, after two steps."""


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=GPU)])
def device(request: pytest.FixtureRequest) -> str:
    """Each device there is."""
    name: str = request.param
    return name


def painted(checkpoint: str, device: str, **keys: Any) -> torch.Tensor:
    painter = DiffusionInpainter.from_pretrained(
        checkpoint, device=device, **{"num_inference_steps": 2, "dtype": "float32", **keys}
    )
    return painter(FACES, MASKS, seed=0)


def test_a_repeat_is_equal(sd_inpaint: str, device: str) -> None:
    """To the bit on a CPU; a GPU may sum in another order."""
    first, again = (painted(sd_inpaint, device) for _ in range(2))
    assert (first - again).abs().max() <= (0 if device == "cpu" else TOLERANCE["float32"])


def test_batch_sizes_round_alone(sd_inpaint: str, device: str) -> None:
    one, all_at_once = (painted(sd_inpaint, device, batch_size=size) for size in (1, 5))
    assert (one - all_at_once).abs().max() <= TOLERANCE["float32"]


def gpu_test(function: Any) -> Any:
    """For tests of a GPU alone."""
    for mark in GPU:
        function = mark(function)
    return function


@gpu_test
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_gpu_paints_what_a_cpu_does(sd_inpaint: str, dtype: str) -> None:
    plain, there = painted(sd_inpaint, "cpu"), painted(sd_inpaint, "cuda", dtype=dtype)
    assert (plain - there).abs().max() <= TOLERANCE[dtype]


@gpu_test
@pytest.mark.parametrize("scheduler", ["PNDMScheduler", "UniPCMultistepScheduler"])
@pytest.mark.parametrize("how", [True, "reduce-overhead"])
def test_compilers_round_alone(sd_inpaint: str, how: bool | str, scheduler: str) -> None:
    """Unguided, so that these solvers keep the network's own results from step to step."""
    keys: dict[str, Any] = {"scheduler": scheduler, "num_inference_steps": 4, "guidance_scale": 1.0}
    plain, compiled = painted(sd_inpaint, "cuda", **keys), painted(sd_inpaint, "cuda", compile=how, **keys)
    assert (plain - compiled).abs().max() <= 4 * TOLERANCE["float32"]


@gpu_test
def test_a_cap_on_memory_halves_the_batch(sd_inpaint: str) -> None:
    """Half of what eight photos of 256 px needed at the peak is too little for them, and enough for some."""
    faces, masks = some_faces(8, 256, 256), some_masks(8, 256, 256)
    masks[-1] = masks[0]
    keys: dict[str, Any] = {"device": "cuda", "dtype": "float32", "native_size": 256, "num_inference_steps": 2}
    painter = DiffusionInpainter.from_pretrained(sd_inpaint, batch_size=8, **keys)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    plain = painter(faces, masks, seed=0)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.5 * torch.cuda.max_memory_reserved() / total)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tight = painter(faces, masks, seed=0)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("Out of memory with 8 images" in str(one.message) for one in caught)
    assert painter.batch_size < 8
    assert (plain - tight).abs().max() <= TOLERANCE["float32"]
