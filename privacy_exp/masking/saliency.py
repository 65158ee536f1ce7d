"""Gradient with respect to the input."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker, image_gradient, target_labels
from privacy_exp.masking.explaining import explaining
from privacy_exp.masking.target import check_target, identity_score
from privacy_exp.types import Faces, Scores


class Saliency(Masker):
    """Where the image would have to change to move the loss: |∂ target / ∂ pixel|, the largest channel.

    Args:
        target: "loss" (cross-entropy), "logit" or "similarity".
        granularity: see `Masker`.
        region: see `Masker`.

    Reference: Simonyan, Vedaldi, Zisserman, Deep Inside Convolutional Networks, 2014.
    """

    draws = False

    def __init__(self, target: str = "loss", granularity: int = 8, region: str = "frame") -> None:
        super().__init__(granularity, region)
        self.target = check_target(target)

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Absolute gradient for the true (or predicted) identity, maximum over channels."""
        del generators  # nothing is drawn
        labels = target_labels(faces, recognizer)
        with explaining(recognizer, faces.images) as images, torch.enable_grad():
            value = identity_score(recognizer, images, labels, self.target)
            return image_gradient(value, images).abs().amax(1, keepdim=True)
