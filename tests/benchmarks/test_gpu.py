"""benchmarks/gpu.py runs anywhere in small, and its lines fit together."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import gpu

SMALL = replace(gpu.TINY, steps=1, batch=2, photos=4, levels=(4, 8))


@pytest.fixture(scope="module")
def table():
    return {line.what: line for line in gpu.lines(SMALL)}


def test_every_part_is_there(table):
    wanted = ["product of 64² matrices", "UNet", "decode", "the original study's loop", "painting, eager"]
    wanted += ["the shipped painter", "a cell of 4 photos, first photo to last"]
    assert not set(wanted) - set(table)
    assert all(line.value > 0 for line in table.values())
    assert ("share of the cell in which the GPU is busy" in table) == torch.cuda.is_available()


def test_the_bound_is_what_its_parts_come_to(table):
    """One PNDM step is two evaluations, each of two rows an image."""
    parts = 2 * 2 * table["UNet"].value + table["encode"].value + table["decode"].value
    assert table["UNet and autoencoder alone: the bound"].value == pytest.approx(parts)
    share = table["painting, eager"].value / table["UNet and autoencoder alone: the bound"].value
    assert table["painting, eager / bound"].value == pytest.approx(share)


def test_nothing_is_promised_in_small(table):
    assert all(line.met is None for line in table.values())


def test_operations_of_a_row_are_counted():
    """The UNet of Stable Diffusion 1.5 needs 0.80 TFLOP a row of 64×64 latents."""
    with torch.device("meta"):
        unet = gpu.build_pipeline(
            gpu.AutoencoderKL(), {"unet": gpu.Scale().unet, "text": gpu.Scale().text, "scheduler": gpu.SCHEDULER}
        ).unet
    bare = gpu.Bare.__new__(gpu.Bare)
    bare.pipe = type("Pipe", (), {"unet": unet})
    bare.latents, bare.text = torch.empty(1, 9, 64, 64, device="meta"), torch.empty(1, 77, 768, device="meta")
    assert bare.unet_tflop() == pytest.approx(0.803, rel=0.01)
