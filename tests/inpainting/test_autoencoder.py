"""The round trip: against the autoencoder's own calls, and in half precision where that is good enough."""

import copy
import warnings

import pytest
import torch
from diffusers import AutoencoderKL

from privacy_exp.inpainting.autoencoder import encode_decode
from tests.inpainting.conftest import some_faces, vae

IMAGES = some_faces(5, 32, 32).images


@pytest.fixture
def small() -> AutoencoderKL:
    torch.manual_seed(0)
    return vae().eval()


@torch.no_grad()
def by_hand(one: AutoencoderKL) -> torch.Tensor:
    mean = one.encode(IMAGES * 2 - 1).latent_dist.parameters.chunk(2, dim=1)[0]
    return (one.decode(mean).sample / 2 + 0.5).clamp(0, 1)


def rows(one: AutoencoderKL) -> list[tuple[torch.dtype, int]]:
    """Number format and images of each call of the encoder from now on."""
    seen: list[tuple[torch.dtype, int]] = []
    one.encoder.register_forward_pre_hook(lambda _, given: seen.append((given[0].dtype, len(given[0]))))
    return seen


def test_batches_change_nothing(small: AutoencoderKL) -> None:
    seen = rows(small)
    assert torch.allclose(encode_decode(small, IMAGES, 2), by_hand(small), atol=1e-5)
    assert [count for _, count in seen[:3]] == [2, 2, 1]
    assert encode_decode(small, IMAGES[:0], 2).shape == (0, 3, 32, 32)


def test_half_precision_is_taken_where_it_is_close(small: AutoencoderKL) -> None:
    half = copy.deepcopy(small).half()
    seen = rows(half)
    result = encode_decode(half, IMAGES, 5)
    assert seen == [(torch.float16, 5), (torch.float32, 1)], "one image tells whether half is good enough"
    assert half.dtype == torch.float16
    assert (result - by_hand(small)).abs().max() <= 2 / 255


@pytest.mark.parametrize(
    ("factor", "asked"),
    [(2e5, True), (40.0, True), (40.0, False)],
    ids=["overflows", "is too coarse", "is too coarse, and nobody says so"],
)
def test_single_precision_where_half_is_not(small: AutoencoderKL, factor: float, asked: bool) -> None:
    """Large features overflow, or lose what small ones say, in half precision alone, whatever the config says."""
    small.register_to_config(force_upcast=asked)
    with torch.no_grad():
        small.decoder.conv_in.weight.mul_(factor)
        small.encoder.conv_in.weight.mul_(factor)
        small.decoder.conv_out.weight.mul_(40 if factor < 100 else 1)
    half = small.half()
    single = copy.deepcopy(half).float()
    seen = rows(half)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = encode_decode(half, IMAGES, 5)
    assert seen == [(torch.float16, 5), (torch.float32, 1), (torch.float32, 4)]
    assert torch.allclose(result, by_hand(single), atol=1e-4)
    assert half.dtype == torch.float16
