"""Measures of an inpainter's pictures: seams, Fréchet distance, error inside the mask. Tensors in, numbers out."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.linalg import sqrtm
from torch import Tensor

from privacy_exp.types import Images, Masks, UserError


def frechet_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """|μ_a − μ_b|² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), the distance of two Gaussians (Heusel et al., 2017).

    Args:
        a: features of some pictures; their number should be several times d.
        b: features of others.

    Raises:
        UserError: for fewer than two rows.
    """
    if min(len(a), len(b)) < 2:
        raise UserError(f"`a` and `b` need at least 2 rows each, but have {len(a)} and {len(b)}.")
    x, y = a.double().numpy(), b.double().numpy()
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.asarray(sqrtm(np.atleast_2d(cov_x @ cov_y))).real
    traces = np.trace(np.atleast_2d(cov_x)) + np.trace(np.atleast_2d(cov_y)) - 2 * np.trace(root)
    return float(np.square(x.mean(0) - y.mean(0)).sum() + traces)


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
