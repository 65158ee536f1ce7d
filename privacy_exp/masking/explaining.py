"""Asking a network for gradients without leaving a trace in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from privacy_exp.types import Images


@contextmanager
def evaluating(recognizer: nn.Module) -> Iterator[None]:
    """The recogniser in evaluation mode; on leaving, each of its modules is in the mode that it came in.

    Args:
        recognizer: any network.
    """
    modes = {module: module.training for module in recognizer.modules()}
    recognizer.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training  # not .train(): it would recurse, and frozen parts override it


@contextmanager
def explaining(recognizer: nn.Module, images: Images) -> Iterator[Images]:
    """A copy of the images that takes gradients, and a recogniser in evaluation mode that takes none.

    On leaving, the recogniser has the modes, `requires_grad` flags and `.grad` that it came with: explanation
    libraries leave networks in evaluation mode and write gradients into their parameters.

    Args:
        recognizer: any network; may be frozen.
        images: RGB in [0, 1]; left untouched.
    """
    flags = [(p, p.requires_grad, p.grad) for p in recognizer.parameters()]
    for parameter, _, _ in flags:
        parameter.requires_grad_(False)
    try:
        with evaluating(recognizer):
            yield images.detach().clone().requires_grad_(True)
    finally:
        for parameter, requires_grad, grad in flags:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
