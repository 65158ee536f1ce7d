"""The middle of the frame first."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.types import Faces, Scores


class Center(Masker):
    """The middle of the frame first: what a guided method must beat on centred faces.

    See `InBlocks` for the arguments.

    Example:
        >>> mask = Center(granularity=1).mask(Faces(["a"], torch.rand(1, 3, 4, 4)), mask_ratio=0.25)
        >>> mask[0, 0].int()
        tensor([[0, 0, 0, 0],
                [0, 1, 1, 0],
                [0, 1, 1, 0],
                [0, 0, 0, 0]], dtype=torch.int32)
    """

    blind = True
    draws = False

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Minus the distance to the middle, in half frames, so that the hidden shape has the frame's proportions."""
        del recognizer, generators  # blind by design, and nothing is drawn
        height, width = faces.images.shape[-2:]
        y = torch.linspace(-1, 1, height, device=faces.images.device)[:, None]
        x = torch.linspace(-1, 1, width, device=faces.images.device)[None]
        return -torch.sqrt(x**2 + y**2).expand(len(faces.ids), 1, height, width)
