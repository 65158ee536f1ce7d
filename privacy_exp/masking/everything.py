"""The whole frame."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.types import Faces, Masks, Scores


class Everything(Masker):
    """Hides the whole frame: nothing of the photo is kept."""

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
        """True everywhere; `mask_ratio` is ignored."""
        del recognizer, mask_ratio, seed, scores
        return torch.ones_like(faces.images[:, :1], dtype=torch.bool)
