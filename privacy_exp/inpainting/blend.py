"""Seamless cloning: what a repainted region lacks towards its kept surroundings is spread smoothly over the region."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from privacy_exp.types import Images, Masks

SWEEPS = 40
"""Relaxation steps at each size; the start comes from half the size, so that few are enough."""


def seamless(repainted: Images, originals: Images, masks: Masks) -> Images:
    """The repainted pictures with a membrane added, so that they meet the kept pixels at the mask's edge.

    The membrane is the harmonic function inside the mask that equals original - repainted on the kept pixels around
    it: Poisson image editing with the repainted picture's gradients. Latent diffusion also alters the pixels that it
    was told to keep; putting the originals back there leaves a step at the edge, which this removes.

    Args:
        repainted: what the checkpoint painted, kept pixels included.
        originals: before.
        masks: True = hidden.

    Reference: Pérez et al., Poisson Image Editing, 2003.
    """
    return (repainted + membrane(originals - repainted, ~masks)).clamp(0, 1)


def membrane(values: Float[Tensor, "n 3 h w"], known: Bool[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Values where they are known, and their harmonic extension elsewhere; 0 where nothing is known.

    Coarse to fine: each size starts from the solution at half the size and is relaxed by Jacobi steps.

    Args:
        values: used where `known`.
        known: True = given.
    """
    height, width = values.shape[-2:]
    weight = known.to(values.dtype)
    if min(height, width) <= 4:
        total = weight.sum((2, 3), keepdim=True)
        mean = (values * weight).sum((2, 3), keepdim=True) / total.clamp(min=1)
        return torch.where(known, values, mean)
    half = (-(-height // 2), -(-width // 2))
    share = F.adaptive_avg_pool2d(weight, half)
    coarse = F.adaptive_avg_pool2d(values * weight, half) / share.clamp(min=1e-6)
    start = F.interpolate(membrane(coarse, share > 0), (height, width), mode="bilinear", align_corners=False)
    field = torch.where(known, values, start)
    kernel = values.new_tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])[None, None] / 4
    for _ in range(SWEEPS):
        around = F.conv2d(F.pad(field, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None], kernel)
        field = torch.where(known, values, around.view_as(field))
    return field
