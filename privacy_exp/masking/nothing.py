"""No pixel at all."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import OwnArea
from privacy_exp.types import Faces, Scores


class Nothing(OwnArea):
    """Hides nothing: the control in which every figure must equal the clean one.

    Example:
        >>> bool(Nothing().mask(Faces(["a"], torch.rand(1, 3, 8, 8))).any())
        False
    """

    blind = True
    draws = False

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """0 everywhere."""
        del recognizer, generators
        return torch.zeros_like(faces.images[:, :1])
