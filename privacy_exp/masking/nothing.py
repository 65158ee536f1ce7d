"""No pixel at all."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.types import Faces, Masks, Scores


class Nothing(Masker):
    """Hides nothing: the control in which every figure must equal the clean one."""

    has_budget = False
    blind = True
    draws = False

    def __init__(self) -> None:
        super().__init__(granularity=1, region="frame")

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """The same for every pixel."""
        del recognizer, generators
        return torch.zeros_like(faces.images[:, :1])

    def mask(
        self, faces: Faces, recognizer: nn.Module | None, mask_ratio: float, seed: int, scores: Scores | None = None
    ) -> Masks:
        """False everywhere; `mask_ratio` is ignored."""
        del recognizer, mask_ratio, seed, scores
        return torch.zeros_like(faces.images[:, :1], dtype=torch.bool)
