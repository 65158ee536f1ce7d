"""Guided steps run every image twice, with and without prompt: what comes before the text is computed once."""

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn


class SharedHalves:
    """Lets a UNet compute the rows that both halves of a guided batch have in common once, and repeats the result.

    The halves differ in nothing until the first cross-attention: noise, mask and masked image are the same, and so is
    the step. The layers before it see half of the rows; those after it see all, as ever. The picture stays the same
    up to rounding. SDXL mixes its text into the step's embedding, so there nothing is shared.

    Args:
        unet: gets hooks, which do nothing until `on`.

    Attributes:
        on: whether the batch that comes next holds each image twice, the halves one after the other.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self.on = False
        for layer in before_text(unet):
            layer.register_forward_pre_hook(self._halve, with_kwargs=True)
            layer.register_forward_hook(self._repeat)

    def _halve(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        del layer
        if not self.on:
            return None
        return tuple(_first_half(value) for value in args), {name: _first_half(v) for name, v in kwargs.items()}

    def _repeat(self, layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        del layer, args
        return _twice(output) if self.on else None


def before_text(unet: UNet2DConditionModel) -> Iterator[nn.Module]:
    """The costly layers that run before a UNet first looks at its text, in order; none where the step knows the text.

    Args:
        unet: any of Stable Diffusion's kind.
    """
    config = unet.config
    if config.addition_embed_type is not None or config.class_embed_type is not None or config.num_class_embeds:
        return
    yield unet.conv_in
    for block in unet.down_blocks:
        if not getattr(block, "has_cross_attention", False):
            yield block
            continue
        yield block.resnets[0]
        first = block.attentions[0].transformer_blocks[0]
        if not first.only_cross_attention:
            yield first.attn1
        return


def _first_half(value: Any) -> Any:
    return value[: len(value) // 2] if isinstance(value, Tensor) else value


def _twice(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_twice(one) for one in value)
    return torch.cat([value, value]) if isinstance(value, Tensor) else value
