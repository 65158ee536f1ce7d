"""Gradient times input."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker, image_gradient, target_labels
from privacy_exp.masking.explaining import explaining
from privacy_exp.masking.target import check_target, identity_score
from privacy_exp.types import Faces, Scores


class GradientXInput(Masker):
    """Gradient times input, summed over channels, absolute: the first-order effect of blackening a pixel.

    Args:
        target: "logit", "loss" or "similarity".
        granularity: see `Masker`.
        region: see `Masker`.

    Reference: Shrikumar et al., Not Just a Black Box, 2016.
    """

    draws = False

    def __init__(self, target: str = "logit", granularity: int = 8, region: str = "frame") -> None:
        super().__init__(granularity, region)
        self.target = check_target(target)

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """|Σ over channels of gradient · pixel|."""
        del generators  # nothing is drawn
        labels = target_labels(faces, recognizer)
        with explaining(recognizer, faces.images) as images, torch.enable_grad():
            gradient = image_gradient(identity_score(recognizer, images, labels, self.target), images)
            return (gradient * images).detach().sum(1, keepdim=True).abs()
