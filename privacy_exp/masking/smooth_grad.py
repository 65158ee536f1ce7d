"""Gradient averaged over noisy copies."""

from dataclasses import dataclass

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.explaining import explaining
from privacy_exp.masking.target import check_target, identity_score, image_gradient, target_labels
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False)
class SmoothGrad(Masker):
    """Saliency averaged over noisy copies: |mean of ∂ target / ∂ pixel|, the largest channel.

    Args:
        samples: noisy copies an image.
        noise: standard deviation of the noise, as a share of the image's range.
        target: "loss", "logit" or "similarity".

    Example:
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> masks = SmoothGrad(samples=2).mask(Faces(["a"], torch.rand(1, 3, 32, 32)), net, mask_ratio=0.25)
        >>> int(masks.sum())
        256

    Reference: Smilkov et al., SmoothGrad, 2017.
    """

    samples: int = 8
    noise: float = 0.15
    target: str = "loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_target(self.target)
        if self.samples < 1:
            raise UserError(f"`samples` must be at least 1, but got {self.samples}.")
        if not self.noise >= 0:
            raise UserError(f"`noise` must be at least 0, but got {self.noise}.")

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Mean gradient over noisy copies; each image's noise comes from its own generator."""
        labels = target_labels(faces, recognizer)
        spread = self.noise * (faces.images.amax((1, 2, 3), keepdim=True) - faces.images.amin((1, 2, 3), keepdim=True))
        total = torch.zeros_like(faces.images)
        for _ in range(self.samples):
            noise = torch.stack([torch.randn(faces.images.shape[1:], generator=g) for g in generators])
            noisy = faces.images + noise.to(faces.images) * spread
            with explaining(recognizer, noisy) as images, torch.enable_grad():
                total += image_gradient(identity_score(recognizer, images, labels, self.target), images)
        return (total / self.samples).abs().amax(1, keepdim=True)
