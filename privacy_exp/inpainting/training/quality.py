"""Measures of an inpainter's pictures: seams and error inside the mask. Tensors in, numbers out."""

import torch
from jaxtyping import Bool
from torch import Tensor

from privacy_exp.types import Images, Masks


def masked_l1(results: Images, originals: Images, masks: Masks) -> float:
    """Mean absolute difference over all hidden pixels.

    Args:
        results: repainted.
        originals: before.
        masks: True = hidden.
    """
    return float((results - originals).abs()[masks.expand_as(results)].mean())


def seam_ratio(images: Images, masks: Masks) -> float:
    """Mean difference of neighbours across the masks' edge, over that of neighbours both inside.

    Args:
        images: repainted.
        masks: True = hidden.
    """
    across: list[Tensor] = []
    inside: list[Tensor] = []
    for axis in (-1, -2):
        first, second = _neighbours(masks[:, 0], axis)
        step = images.diff(dim=axis).abs().mean(dim=1)
        across.append(step[first ^ second])
        inside.append(step[first & second])
    return float(torch.cat(across).mean() / torch.cat(inside).mean())


def _neighbours(mask: Bool[Tensor, "n h w"], axis: int) -> tuple[Tensor, Tensor]:
    size = mask.shape[axis]
    return mask.narrow(axis, 0, size - 1), mask.narrow(axis, 1, size - 1)
