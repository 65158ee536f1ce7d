"""A small network that sees the whole frame, for observers that look beyond the face."""

from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.heads import CosineHead
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.types import Images, UserError

WIDTHS = (32, 64, 128, 256)
"""Channels of the four convolutions, each of which halves the map."""

SMALLEST = 16


@final
class FrameNet(Recognizer):
    """Four convolutions over the whole frame, which is squeezed into a square: nothing is cut off, nothing aligned.

    The last map is not averaged, since hair, clothes and background have their places.

    Args:
        image_size: side of the square in pixels; at least 16.
        freeze: see `Recognizer`.
        num_classes: see `Recognizer`.
        template: taken as every recogniser does and ignored: the network needs no alignment.

    Raises:
        UserError: a value out of range.

    Example:
        >>> FrameNet(image_size=32).for_people(3)(torch.rand(2, 3, 64, 48)).shape
        torch.Size([2, 3])
    """

    recipe = FitRecipe(max_epochs=30, lr=2e-3, weight_decay=0.05, augment=True)

    def __init__(
        self,
        image_size: int = 48,
        freeze: str = "none",
        num_classes: int | None = None,
        template: Float[Tensor, "5 2"] | None = None,
    ) -> None:
        del template
        if image_size < SMALLEST:
            raise UserError(f"`image_size` must be at least {SMALLEST} pixels for FrameNet, but got {image_size}.")
        trunk = top = None
        if num_classes is not None:
            layers: list[nn.Module] = []
            for before, width in zip((3, *WIDTHS), WIDTHS, strict=False):
                layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                layers.append(nn.MaxPool2d(2))
            trunk = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3))
            top = CosineHead(WIDTHS[-1] * (image_size // 2 ** len(WIDTHS)) ** 2, num_classes, scale=8.0)
        super().__init__(trunk, top, num_classes, image_size, freeze)

    def prepare(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        """Squeezes the frame into the square, then [-1, 1]."""
        size = (self.image_size, self.image_size)
        return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False) * 2 - 1

    def frame(self, height: int, width: int) -> Float[Tensor, "2 3"]:
        """Each side is scaled on its own."""
        x, y = self.image_size / width, self.image_size / height
        return torch.tensor([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2]])
