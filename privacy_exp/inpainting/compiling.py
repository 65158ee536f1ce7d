"""How and when the UNet is compiled, and where the code is kept."""

import logging
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

GRAPHS = "reduce-overhead"
"""The way of compiling that replays a call as one CUDA graph, for networks that a GPU has to wait for."""

GAIN = {"cpu": 0.08, "cuda": 0.25}
"""Share of painting's time that compiling saves: less than was measured (docs/results/speed.md)."""

COST = 60.0
"""Seconds that it takes: more than was measured."""


def share_compiled(root: str | Path) -> None:
    """Keeps what torch.compile makes under `root`, for all runs and machines that share it.

    A place that the user has chosen (`TORCHINDUCTOR_CACHE_DIR`) stays. torch asks the environment each time.

    Args:
        root: the store's.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(root).expanduser() / "compiled"))


def compile_network(network: nn.Module, device: torch.device, graphs: bool = False) -> None:
    """Compiles a network in place, for batches of one shape.

    On a CPU its weights are frozen: constants of the code, laid out once as its convolutions and matrix products like
    them. torch asks for that while it traces, where `options` of `compile` are not in force yet: they freeze nothing.

    Args:
        network: in evaluation mode; called without gradients.
        device: where it runs.
        graphs: whether calls are replayed as CUDA graphs. Their results lie in memory that the next call writes to, and
            solvers of several steps look back: they get copies.
    """
    from torch._inductor import config as inductor  # a second of imports, and only for those who compile

    network.compile(dynamic=False, mode=GRAPHS if graphs else None)
    call: Any = network._compiled_call_impl

    def frozen(*given: Any, **named: Any) -> Any:
        with inductor.patch(freezing=True):
            return call(*given, **named)

    def copied(*given: Any, **named: Any) -> tuple[Tensor, ...]:
        torch.compiler.cudagraph_mark_step_begin()
        return tuple(result.clone() for result in call(*given, **named))

    if graphs:
        network._compiled_call_impl = copied
    elif device.type == "cpu":
        network._compiled_call_impl = frozen


class Repays:
    """Compiles a network once it is known that what is left to paint repays it, and says so in one line.

    The second batch decides, as the first is slower than the rest.

    Args:
        network: compiled in place.
        device: where it runs.

    Attributes:
        left: images still to be painted; 0 where nobody has said, and then nothing is compiled.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network, self.device = network, device
        self.left, self._batches, self._pace = 0, 0, math.inf

    def compiled_after(self, images: int, seconds: float) -> bool:
        """Whether the network is compiled now.

        Args:
            images: painted since the last call.
            seconds: that they took.
        """
        self.left, self._batches, self._pace = self.left - images, self._batches + 1, min(self._pace, seconds / images)
        if self._batches != 2 or self.left <= 0:
            return False
        saved = GAIN.get(self.device.type, 0.0) * self._pace * self.left
        pays = saved > COST
        log.info(
            "compile=auto: %s, as it saves about %.0f s on %d images and takes about %.0f s",
            "compiling" if pays else "not compiling",
            saved,
            self.left,
            COST,
        )
        if pays:
            compile_network(self.network, self.device)
        return pays
