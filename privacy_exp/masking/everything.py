"""The whole frame."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import OwnArea
from privacy_exp.types import Faces, Scores


class Everything(OwnArea):
    """Hides the whole frame: nothing of the photo is kept.

    Example:
        >>> bool(Everything().mask(Faces(["a"], torch.rand(1, 3, 8, 8))).all())
        True
    """

    blind = True
    draws = False

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """1 everywhere."""
        del recognizer, generators
        return torch.ones_like(faces.images[:, :1])
