"""First stage: an autoencoder that turns faces into a small latent picture and back."""

from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Generator, Tensor
from torch.nn import functional

from privacy_exp.inpainting.training.faces import TrainingFaces
from privacy_exp.inpainting.training.steps import StepTraining
from privacy_exp.types import Images


class AutoencoderTraining(StepTraining):
    """Trains an AutoencoderKL to rebuild photos: L1 and squared error, the same on edges, a trace of KL.

    Args:
        autoencoder: what is trained.
        faces: the photos.
        kl_weight: weight of the KL divergence of the latents, per latent value.
        edge_weight: weight of the L1 error of horizontal and vertical differences.
        recipe: keywords of `StepTraining`.
    """

    def __init__(
        self, autoencoder: AutoencoderKL, faces: TrainingFaces, kl_weight: float, edge_weight: float, **recipe: Any
    ) -> None:
        super().__init__({"vae": autoencoder.to(memory_format=torch.channels_last)}, faces, "autoencoder", **recipe)
        self.kl_weight = kl_weight
        self.edge_weight = edge_weight

    def compile_networks(self) -> None:
        """Compiles encoder and decoder."""
        self.networks["vae"].encoder.compile()  # type: ignore[union-attr]
        self.networks["vae"].decoder.compile()  # type: ignore[union-attr]

    def loss(self, rows: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Error of one round trip, with the peak signal-to-noise ratio in dB.

        Args:
            rows: indices into the photos.
            generator: of this step.
        """
        images = self.faces.images(rows).to(self.device, memory_format=torch.channels_last) * 2 - 1
        latents = self.networks["vae"].encode(images).latent_dist  # type: ignore[operator]
        noise = torch.randn(latents.mean.shape, generator=generator).to(latents.mean)
        rebuilt = self.networks["vae"].decode(latents.mean + latents.std * noise).sample  # type: ignore[operator]
        square = functional.mse_loss(rebuilt, images)
        kl = 0.5 * (latents.mean.square() + latents.var - 1 - latents.logvar).mean()
        loss = functional.l1_loss(rebuilt, images) + square
        loss = loss + self.edge_weight * _edge_error(rebuilt - images) + self.kl_weight * kl
        return {"loss": loss, "psnr": -10 * torch.log10(square.detach() / 4), "kl": kl.detach()}


def _edge_error(error: Tensor) -> Tensor:
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


@torch.inference_mode()
def latent_scale(autoencoder: AutoencoderKL, faces: TrainingFaces, generator: Generator, count: int = 512) -> float:
    """The `scaling_factor` that gives latents unit spread.

    Args:
        autoencoder: trained.
        faces: the photos.
        generator: chooses the photos.
        count: how many photos.
    """
    rows = torch.randint(len(faces.pixels), (count,), generator=generator)
    means = [autoencoder.encode(faces.images(part) * 2 - 1).latent_dist.mean for part in rows.split(64)]
    return 1 / float(torch.cat(means).std())


@torch.inference_mode()
def psnr(autoencoder: AutoencoderKL, images: Images) -> float:
    """Mean peak signal-to-noise ratio of a round trip, in dB: 10 log10(1 / squared error), a photo at a time.

    Args:
        autoencoder: trained.
        images: RGB in [0, 1].
    """
    errors = []
    for part in images.split(32):
        rebuilt = autoencoder.decode(autoencoder.encode(part * 2 - 1).latent_dist.mean).sample
        errors.append(((rebuilt / 2 + 0.5).clamp(0, 1) - part).square().mean(dim=(1, 2, 3)))
    return float((-10 * torch.log10(torch.cat(errors))).mean())
