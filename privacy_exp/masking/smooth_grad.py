"""Gradient averaged over noisy copies."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker, image_gradient, target_labels
from privacy_exp.masking.explaining import explaining
from privacy_exp.masking.target import check_target, identity_score
from privacy_exp.types import Faces, Scores, UserError


class SmoothGrad(Masker):
    """Saliency averaged over noisy copies: |mean of ∂ target / ∂ pixel|, the largest channel.

    Args:
        samples: noisy copies an image.
        noise: standard deviation of the noise, as a share of the image's range.
        target: "loss", "logit" or "similarity".
        granularity: see `Masker`.
        region: see `Masker`.

    Reference: Smilkov et al., SmoothGrad, 2017.
    """

    def __init__(
        self, samples: int, noise: float, target: str = "loss", granularity: int = 8, region: str = "frame"
    ) -> None:
        super().__init__(granularity, region)
        if samples < 1:
            raise UserError(f"`samples` must be at least 1, but got {samples}.")
        if noise < 0:
            raise UserError(f"`noise` must be at least 0, but got {noise}.")
        self.samples, self.noise, self.target = samples, noise, check_target(target)

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
