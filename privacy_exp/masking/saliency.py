"""Gradient of the loss with respect to the input."""

import torch
import torch.nn.functional as F
from torch import Generator, nn

from privacy_exp.masking.base import Masker, image_gradient, target_labels
from privacy_exp.masking.explaining import explaining
from privacy_exp.types import Faces, Scores


class Saliency(Masker):
    """Where the image would have to change to move the loss: |∂ cross-entropy / ∂ pixel|, the largest channel.

    Args:
        granularity: see `Masker`.
        region: see `Masker`.

    Reference: Simonyan, Vedaldi, Zisserman, Deep Inside Convolutional Networks, 2014.
    """

    def __init__(self, granularity: int = 8, region: str = "frame") -> None:
        super().__init__(granularity, region)

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Absolute gradient of the cross-entropy of the true (or predicted) identity, maximum over channels."""
        del generators  # nothing is drawn
        labels = target_labels(faces, recognizer)
        with explaining(recognizer, faces.images) as images, torch.enable_grad():
            loss = F.cross_entropy(recognizer(images).float(), labels, reduction="none")
            return image_gradient(loss, images).abs().amax(1, keepdim=True)
