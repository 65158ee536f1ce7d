"""Which layers of a trunk are frozen, and which one attribution looks at."""

from typing import Any

import torch
from torch import Tensor, nn

from privacy_exp.types import UserError


def frozen_parts(trunk: nn.Module, freeze: str, image_size: int) -> list[nn.Module]:
    """The parts that stay in evaluation mode and take no gradient step; see `Recognizer` for `freeze`."""
    if freeze != "early":
        return [trunk] if freeze == "trunk" else []
    names = [name for name, _ in _called(trunk, image_size)]
    return [trunk.get_submodule(name) for name in names[: names.index(last_map_layer(trunk, image_size)) + 1]]


def last_map_layer(trunk: nn.Module, image_size: int) -> str:
    """The name of the last direct child of `trunk` whose output map is larger than 4×4.

    Direct children only: every value flows through each of them, where a layer inside a block may be one branch of
    several. A dry forward decides, so hand-written networks and converted ONNX graphs are treated alike.

    Args:
        trunk: takes a batch of 3 x s x s.
        image_size: s.

    Raises:
        UserError: no child has such a map.
    """
    found = [name for name, size in _called(trunk, image_size) if size > 4]
    if not found:
        raise UserError(
            f"No layer of this recogniser has an output map larger than 4×4 at {image_size} px; name one with "
            "`recognition.target_layer`."
        )
    return found[-1]


@torch.no_grad()
def _called(trunk: nn.Module, image_size: int) -> list[tuple[str, int]]:
    """Direct children in the order of their calls, each with the shorter side of its output map; 0 where none."""
    found: list[tuple[str, int]] = []

    def hook(name: str) -> Any:
        def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            del module, inputs
            found.append((name, min(output.shape[2:]) if isinstance(output, Tensor) and output.ndim == 4 else 0))

        return note

    handles = [child.register_forward_hook(hook(name)) for name, child in trunk.named_children()]
    modes = {module: module.training for module in trunk.modules()}
    parameter = next(trunk.parameters())
    try:
        trunk.eval()
        trunk(torch.zeros(1, 3, image_size, image_size, device=parameter.device, dtype=parameter.dtype))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return found
