"""Gradients integrated along the way from a baseline."""

from dataclasses import dataclass

import torch
from captum.attr import IntegratedGradients as Library
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.explaining import explaining
from privacy_exp.masking.target import check_target, identity_score, target_labels
from privacy_exp.types import Faces, Images, Scores, UserError


@dataclass(eq=False)
class IntegratedGradients(Masker):
    """Gradient integrated from a flat grey image to the photo, times the difference (captum), absolute over channels.

    Args:
        steps: points of the Gauss-Legendre rule.
        baseline: grey level of the image that the way starts from, in [0, 1].
        target: "logit", "loss" or "similarity".

    Example:
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> masks = IntegratedGradients(steps=2).mask(Faces(["a"], torch.rand(1, 3, 32, 32)), net, mask_ratio=0.25)
        >>> int(masks.sum())
        256

    Reference: Sundararajan, Taly, Yan, Axiomatic Attribution for Deep Networks, 2017.
    """

    draws = False

    steps: int = 16
    baseline: float = 0.5
    target: str = "logit"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_target(self.target)
        if self.steps < 1:
            raise UserError(f"`steps` must be at least 1, but got {self.steps}.")
        if not 0 <= self.baseline <= 1:
            raise UserError(f"`baseline` must lie in [0, 1], but got {self.baseline}.")

    def attribute(self, faces: Faces, recognizer: nn.Module) -> Images:
        """Signed attribution of every channel; an image's sum is target(image) - target(baseline)."""
        labels = target_labels(faces, recognizer)
        with explaining(recognizer, faces.images) as images, torch.enable_grad():

            def forward(batch: Images) -> torch.Tensor:
                return identity_score(recognizer, batch, labels.repeat(len(batch) // len(labels)), self.target)

            result: Images = Library(forward).attribute(
                images, baselines=self.baseline, n_steps=self.steps, internal_batch_size=len(images)
            )
        return result.detach().to(faces.images.dtype)

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """|Σ over channels| of the attribution."""
        del generators  # nothing is drawn
        return self.attribute(faces, recognizer).sum(1, keepdim=True).abs()
