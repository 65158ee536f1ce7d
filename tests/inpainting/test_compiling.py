"""Compiled code with frozen weights: kept on disk, and never mistaken for another checkpoint's."""

import logging

import pytest
import torch
from torch import nn

from privacy_exp.inpainting import compiling
from privacy_exp.inpainting.compiling import Repays, compile_network
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from tests.inpainting.conftest import some_faces

PICTURES = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.SiLU(), nn.Flatten(), nn.Linear(8 * 36, 4)).eval()


CPU = torch.device("cpu")


@pytest.mark.slow
@torch.no_grad()
def test_weights_are_frozen_and_never_taken_for_anothers(tmp_path, monkeypatch):
    """Constants of the code do not follow a change of weights; another network, its code on disk, has its own."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    found = []
    for seed in (0, 1):
        net = network(seed)
        plain = net(PICTURES)
        compile_network(net, CPU)
        torch._dynamo.reset()  # what this process compiled before is forgotten; what lies on disk is not
        found.append(net(PICTURES))
        torch.testing.assert_close(found[-1], plain)
        for weight in net.parameters():
            weight.data.zero_()
        assert torch.equal(net(PICTURES), found[-1])
    assert (found[0] - found[1]).abs().max() > 0.01


@pytest.fixture
def compiled(monkeypatch):
    """How networks were compiled, without the minutes that it takes."""
    seen = []

    def compile(self, **keys):
        seen.append(keys)
        self._compiled_call_impl = self._call_impl

    monkeypatch.setattr(nn.Module, "compile", compile)
    return seen


@pytest.mark.parametrize(("left", "pays"), [(0, False), (770, False), (774, True)])
def test_auto_compiles_where_the_rest_repays_it(compiled, caplog, left, pays):
    """10 images a batch at a second each, the first batch slower: 750 more save 60 s, as compiling costs."""
    caplog.set_level(logging.INFO)
    repays = Repays(network(0), CPU)
    repays.left = left
    assert not repays.compiled_after(10, 50.0)
    assert repays.compiled_after(10, 10.0) == pays
    assert not repays.compiled_after(10, 10.0)
    assert compiled == [{"dynamic": False, "mode": None}] * pays
    lines = [record.message for record in caplog.records]
    assert len(lines) == (left > 0)
    assert all(line.startswith("compile=auto: compiling" if pays else "compile=auto: not compiling") for line in lines)


def test_graphs_give_copies(monkeypatch):
    """A replayed graph writes each result to the same place."""
    net, place = network(0), torch.zeros(1)

    def replayed(self, **keys):
        assert keys == {"dynamic": False, "mode": "reduce-overhead"}
        self._compiled_call_impl = lambda step: (place.fill_(step),)

    monkeypatch.setattr(nn.Module, "compile", replayed)
    compile_network(net, CPU, graphs=True)
    first, second = net(1)[0], net(2)[0]
    assert (first.item(), second.item()) == (1, 2)


def test_a_painter_compiles_in_the_middle_of_a_run(monkeypatch, compiled):
    monkeypatch.setattr(compiling, "COST", 0.0)
    keys = {"num_inference_steps": 1, "batch_size": 2, "guidance_scale": 1.0}
    painter = DiffusionInpainter.from_pretrained("tiny", compile="auto", **keys)
    faces = some_faces(5, 64, 64)
    masks = torch.ones(5, 1, 64, 64, dtype=torch.bool)
    painter.expect(5)
    found = painter(faces, masks, seed=0)
    assert len(compiled) == 1
    assert painter.fills_batches
    plain = DiffusionInpainter.from_pretrained("tiny", **keys)(faces, masks, seed=0)
    assert (found - plain).abs().max() <= 2 / 255
