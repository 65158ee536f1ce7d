"""First stage: an autoencoder that turns faces into a small latent picture and back."""

from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Generator, Tensor
from torch.nn import functional

from privacy_exp.inpainting.training.faces import Pixels, TrainingFaces
from privacy_exp.inpainting.training.losses import Adversary, FaceLoss
from privacy_exp.inpainting.training.steps import StepTraining
from privacy_exp.types import Images, UserError


class AutoencoderTraining(StepTraining):
    """Trains an AutoencoderKL to rebuild photos: L1 and squared error, the same on edges, a trace of KL.

    Args:
        autoencoder: what is trained.
        faces: the photos.
        kl_weight: weight of the KL divergence of the latents, per latent value.
        edge_weight: weight of the L1 error of horizontal and vertical differences.
        face_loss: what a frozen recogniser adds to the loss and measures on people held out; None adds nothing.
        adversary: the discriminator that adds to the loss; None adds nothing.
        equivariance: share of the steps in which the latents are halved in size and must give the halved photo.
            Latents that survive it are smooth, which makes the UNet's work easier (Kouzelis et al., EQ-VAE, 2025).
        recipe: keywords of `StepTraining`.
    """

    def __init__(
        self,
        autoencoder: AutoencoderKL,
        faces: TrainingFaces,
        kl_weight: float,
        edge_weight: float,
        face_loss: FaceLoss | None = None,
        adversary: Adversary | None = None,
        equivariance: float = 0.0,
        **recipe: Any,
    ) -> None:
        super().__init__({"vae": autoencoder.to(memory_format=torch.channels_last)}, faces, "autoencoder", **recipe)
        self.kl_weight = kl_weight
        self.edge_weight = edge_weight
        self.frozen = [face_loss] if face_loss is not None else []  # in a list: no part of the checkpoints
        self.adversary = adversary
        self.equivariance = equivariance
        self._adversary_state: dict[str, Any] | None = None

    def compile_networks(self) -> None:
        """Compiles encoder and decoder."""
        self.networks["vae"].encoder.compile()  # type: ignore[union-attr]
        self.networks["vae"].decoder.compile()  # type: ignore[union-attr]

    def on_fit_start(self) -> None:
        """Moves what no checkpoint holds to the device, and gives the adversary's optimiser its state back."""
        super().on_fit_start()
        for network in self.frozen:
            network.to(self.device)
        if self.adversary is not None and self.trainer.world_size > 1:
            raise UserError("`autoencoder.adversarial_weight` works in one process only: set trainer.devices=1.")

    def on_train_start(self) -> None:
        """Gives the adversary's optimiser the state of the checkpoint."""
        if self.adversary is not None and self._adversary_state is not None:
            self.adversary.optimizer.load_state_dict(self._adversary_state)
            self._adversary_state = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the state of the adversary's optimiser.

        Args:
            checkpoint: about to be written.
        """
        super().on_save_checkpoint(checkpoint)
        if self.adversary is not None:
            checkpoint["adversary_optimizer"] = self.adversary.optimizer.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the state of the adversary's optimiser until its weights are on their device.

        Args:
            checkpoint: what `on_save_checkpoint` wrote.
        """
        self._adversary_state = checkpoint.get("adversary_optimizer")

    def held_out(self) -> tuple[float, dict[str, float]]:
        """The round trip of people held out, by its similarity where a recogniser is given, else by its PSNR."""
        face = self.frozen[0] if self.frozen else None
        with torch.autocast(self.device.type, enabled=False):
            found = measured(self.networks["vae"], self.faces.held_out, face)
        return found.get("similarity", found["psnr"]), found

    def loss(self, rows: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Error of one round trip, with the peak signal-to-noise ratio in dB; every term in float32.

        Args:
            rows: indices into the photos.
            generator: of this step.
        """
        images = self.faces.draw(rows, generator).to(self.device, memory_format=torch.channels_last) * 2 - 1
        # under autocast the networks answer in half precision
        moments = self.networks["vae"].encode(images).latent_dist.parameters.float()  # type: ignore[operator]
        latents = DiagonalGaussianDistribution(moments)
        noise = torch.randn(latents.mean.shape, generator=generator).to(latents.mean, non_blocking=True)
        drawn = latents.mean + latents.std * noise
        halved = self.equivariance > 0 and float(torch.rand((), generator=generator)) < self.equivariance
        if halved:
            drawn, images = functional.avg_pool2d(drawn, 2), functional.avg_pool2d(images, 2)
        rebuilt = self.networks["vae"].decode(drawn).sample.float()  # type: ignore[operator]
        square = functional.mse_loss(rebuilt, images)
        kl = 0.5 * (latents.mean.square() + latents.var - 1 - latents.logvar).mean()
        loss = functional.l1_loss(rebuilt, images) + square
        loss = loss + self.edge_weight * _edge_error(rebuilt - images) + self.kl_weight * kl
        values = {"psnr": -10 * torch.log10(square.detach() / 4), "kl": kl.detach()}
        if halved:  # a recogniser and a discriminator know faces of one size
            return {"loss": loss, **values}
        for face in self.frozen:
            term, values["similarity"] = face(rebuilt / 2 + 0.5, images / 2 + 0.5)
            loss = loss + term
        if self.adversary is not None and self.global_step >= self.adversary.start:
            term, values["adversary"] = self.adversary(rebuilt, images)
            loss = loss + term
        return {"loss": loss, **values}


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


@torch.no_grad()
def measured(autoencoder: AutoencoderKL, pixels: Pixels, face: FaceLoss | None) -> dict[str, float]:
    """Means over photos of the round trip's PSNR in dB, and of its similarity where a recogniser is given.

    Args:
        autoencoder: trained.
        pixels: RGB in 0-255, on the autoencoder's device.
        face: says how similar two pictures of a face are.
    """
    sums: dict[str, Tensor] = {}
    for part in pixels.split(32):
        images = part.float() / 255
        rebuilt = _round_trip(autoencoder, images)
        values = {"psnr": _decibels(rebuilt, images).sum()}
        if face is not None:
            values["similarity"] = (face.embed(rebuilt) * face.embed(images)).sum()
        sums = {name: value + sums.get(name, 0) for name, value in values.items()}
    return {name: float(value) / len(pixels) for name, value in sums.items()}


@torch.inference_mode()
def psnr(autoencoder: AutoencoderKL, images: Images) -> float:
    """Mean peak signal-to-noise ratio of a round trip, in dB: 10 log10(1 / squared error), a photo at a time.

    Args:
        autoencoder: trained.
        images: RGB in [0, 1].
    """
    return float(torch.cat([_decibels(_round_trip(autoencoder, part), part) for part in images.split(32)]).mean())


def _round_trip(autoencoder: AutoencoderKL, images: Images) -> Images:
    rebuilt = autoencoder.decode(autoencoder.encode(images * 2 - 1).latent_dist.mean).sample
    return (rebuilt / 2 + 0.5).clamp(0, 1)


def _decibels(rebuilt: Images, images: Images) -> Tensor:
    return -10 * torch.log10((rebuilt - images).square().mean(dim=(1, 2, 3)))
