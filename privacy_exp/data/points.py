"""Where points of a picture lie after it was resized, and where faces lie when nothing is known."""

import torch
from jaxtyping import Float
from torch import Tensor

CELEBA_TEMPLATE = ((69.5, 111.0), (108.0, 111.0), (88.5, 134.5), (72.5, 152.5), (105.5, 152.5))
"""The five points that CelebA's 178x218 frames are aligned to, in pixels."""


def resized_points(points: Float[Tensor, "*n 2"], x: float, y: float | None = None) -> Float[Tensor, "*n 2"]:
    """Where points lie once their picture is resized: the one place that knows that pixel centres are whole numbers.

    Args:
        points: (x, y) in pixels; the centre of the first pixel is (0, 0), its outer corner (-0.5, -0.5).
        x: new width / old width.
        y: new height / old height; None takes `x`.

    Example:
        >>> resized_points(torch.tensor([[-0.5, 99.5]]), 0.5)
        tensor([[-0.5000, 49.5000]])
    """
    return (points + 0.5) * points.new_tensor([x, x if y is None else y]) - 0.5


def celeba_template(height: int, width: int) -> Float[Tensor, "5 2"]:
    """CelebA's five points scaled to a frame, in pixels: the guess where nothing better is known."""
    return resized_points(torch.tensor(CELEBA_TEMPLATE), width / 178, height / 218)
