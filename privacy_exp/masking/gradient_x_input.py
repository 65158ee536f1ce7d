"""Gradient times input."""

from dataclasses import dataclass

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.explaining import explaining
from privacy_exp.masking.target import check_target, identity_score, image_gradient, target_labels
from privacy_exp.types import Faces, Scores


@dataclass(eq=False)
class GradientXInput(Masker):
    """Gradient times input, summed over channels, absolute: the first-order effect of blackening a pixel.

    Args:
        target: "logit", "loss" or "similarity".

    Example:
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> masks = GradientXInput().mask(Faces(["a"], torch.rand(1, 3, 32, 32)), net, mask_ratio=0.25)
        >>> int(masks.sum())
        256

    Reference: Shrikumar et al., Not Just a Black Box, 2016.
    """

    draws = False

    target: str = "logit"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_target(self.target)

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """|Σ over channels of gradient · pixel|."""
        del generators  # nothing is drawn
        labels = target_labels(faces, recognizer)
        with explaining(recognizer, faces.images) as images, torch.enable_grad():
            gradient = image_gradient(identity_score(recognizer, images, labels, self.target), images)
            return (gradient * images).detach().sum(1, keepdim=True).abs()
