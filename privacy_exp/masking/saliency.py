"""Gradient with respect to the input."""

from dataclasses import dataclass

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.explaining import explaining
from privacy_exp.masking.target import check_target, identity_score, image_gradient, target_labels
from privacy_exp.types import Faces, Scores


@dataclass(eq=False)
class Saliency(Masker):
    """Where the image would have to change to move the loss: |∂ target / ∂ pixel|, the largest channel.

    Args:
        target: "loss" (cross-entropy), "logit" or "similarity".

    Example:
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> masks = Saliency().mask(Faces(["a"], torch.rand(1, 3, 32, 32)), net, mask_ratio=0.25)
        >>> int(masks.sum())
        256

    Reference: Simonyan, Vedaldi, Zisserman, Deep Inside Convolutional Networks, 2014.
    """

    draws = False

    target: str = "loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_target(self.target)

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Absolute gradient for the true (or predicted) identity, maximum over channels."""
        del generators  # nothing is drawn
        labels = target_labels(faces, recognizer)
        with explaining(recognizer, faces.images) as images, torch.enable_grad():
            value = identity_score(recognizer, images, labels, self.target)
            return image_gradient(value, images).abs().amax(1, keepdim=True)
