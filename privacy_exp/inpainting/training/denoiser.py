"""Second stage: a UNet that denoises latents of hidden regions, told by a text encoder what to paint."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import StableDiffusionInpaintPipeline
from torch import Generator, Tensor
from torch.nn import functional

from privacy_exp.data.seeds import generator as seeded
from privacy_exp.inpainting.training.captions import sample_caption
from privacy_exp.inpainting.training.faces import TrainingFaces
from privacy_exp.inpainting.training.masks import sample_masks
from privacy_exp.inpainting.training.steps import StepTraining
from privacy_exp.types import UserError


class DenoiserTraining(StepTraining):
    """Trains the UNet of an inpainting pipeline, and its text encoder if asked to.

    The inputs are built as `StableDiffusionInpaintPipeline` builds them: hidden pixels of the masked picture are mid
    grey, the mask reaches the latent grid by nearest. Loss weights may follow Min-SNR (Hang et al., 2023).

    Args:
        pipe: the pipeline whose parts are trained; its scheduler says what is predicted and how noise grows.
        faces: the photos.
        train_text: train the text encoder too.
        train: "all" trains the whole UNet, "text" just what listens to the text: its cross-attention.
        text_lr: learning rate of the text encoder, as a share of `lr`; fast ones forget their words.
        caption_dropout: share of empty captions, in [0, 1].
        snr_gamma: Min-SNR weights: signal-to-noise ratio above which steps count less. None weighs all steps alike:
            what a hidden region is to show (glasses, a smile) is decided at high noise, which Min-SNR hardly counts.
        time_shift: above 1, high noise is trained more often than low: share s of the way to pure noise becomes
            k s / (1 + (k - 1) s), as in Stable Diffusion 3.
        recipe: keywords of `StepTraining`.
    """

    def __init__(
        self,
        pipe: StableDiffusionInpaintPipeline,
        faces: TrainingFaces,
        train_text: bool,
        train: str,
        text_lr: float,
        caption_dropout: float,
        snr_gamma: float | None,
        time_shift: float,
        **recipe: Any,
    ) -> None:
        if train not in ("all", "text"):
            raise UserError(f"`train` must be all or text, but got {train!r}.")
        if train == "text":
            for name, weight in pipe.unet.named_parameters():
                weight.requires_grad_(".attn2." in name or (".transformer_blocks." in name and ".norm2." in name))
        networks = {"unet": pipe.unet.to(memory_format=torch.channels_last)}
        if train_text:
            networks["text_encoder"] = pipe.text_encoder
        super().__init__(networks, faces, "unet", **recipe)
        self.text_lr = text_lr
        self.caption_dropout = caption_dropout
        if not time_shift > 0:
            raise UserError(f"`time_shift` must be above 0, but got {time_shift}.")
        self.snr_gamma = snr_gamma
        self.time_shift = time_shift
        self.frozen = [pipe.vae.requires_grad_(False).eval()]  # in a list: no part of the checkpoints
        if not train_text:
            self.frozen.append(pipe.text_encoder.requires_grad_(False).eval())
        self.train_text = train_text
        self.tokenizer = pipe.tokenizer
        self.cell = pipe.vae_scale_factor
        self.scale = pipe.vae.config.scaling_factor
        self.prediction_type = pipe.scheduler.config.prediction_type
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise UserError(
                f"The scheduler's `prediction_type` must be epsilon or v_prediction, but got {self.prediction_type!r}."
            )
        self.register_buffer("signal", pipe.scheduler.alphas_cumprod.clone().float(), persistent=False)
        self._moments = torch.empty(0)  # filled when the training starts

    def groups(self) -> list[dict[str, Any]]:
        """The text encoder learns at a rate of its own."""
        text = [w for w in self.networks["text_encoder"].parameters() if w.requires_grad] if self.train_text else []
        known = {id(weight) for weight in text}
        rest = [weight for weight in self.trained() if id(weight) not in known]
        return [{"params": rest}, *([{"params": text, "lr": self.schedule.lr * self.text_lr}] if text else [])]

    def compile_networks(self) -> None:
        """Compiles the UNet."""
        self.networks["unet"].compile()

    def on_fit_start(self) -> None:
        """Encodes every photo once, unless each step varies them; masked pictures are encoded at every step."""
        super().on_fit_start()
        for network in self.frozen:
            network.to(self.device)
        if not self.faces.varied:
            self._moments = self._moments_of(self.faces)

    def _moments_of(self, faces: TrainingFaces) -> Tensor:
        everything = torch.arange(len(faces.pixels))
        return torch.cat([self._encode(faces.images(rows) * 2 - 1) for rows in everything.split(64)])

    def held_out(self) -> tuple[float, dict[str, float]]:
        """The plain error on people held out, with the same noise, masks and captions at every look."""
        kept = self.faces, self._moments
        self.faces = self.faces.of_people_held_out()
        self._moments = self._moments_of(self.faces)
        total = torch.zeros((), device=self.device)
        for rows in torch.arange(len(self.faces.pixels)).split(self.schedule.batch_size):
            draws = seeded(self.seed, self.stage, "held_out", str(int(rows[0])))
            total += self.loss(rows, draws)["error"] * len(rows)
        error = float(total) / len(self.faces.pixels)
        self.faces, self._moments = kept
        return -error, {"error": error}

    def loss(self, rows: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Weighted squared error of the predicted noise or velocity.

        Args:
            rows: indices into the photos.
            generator: of this step.
        """
        said = [self.faces.phrases[row] for row in rows.tolist()]  # before the rows leave the CPU
        rows = rows.to(self.device, non_blocking=True)
        images = self.faces.draw(rows, generator) * 2 - 1
        moments = self._encode(images) if self.faces.varied else self._moments[rows]
        latents = self._sample(moments, generator)
        size = self.faces.pixels.shape[-1]
        masks = sample_masks(len(rows), size, self.faces.points, generator)
        steps = torch.randint(len(self.signal), (len(rows),), generator=generator)  # type: ignore[arg-type]
        steps = shifted(steps, len(self.signal), self.time_shift).to(self.device, non_blocking=True)  # type: ignore[arg-type]
        noise = torch.randn(latents.shape, generator=generator).to(latents, non_blocking=True)
        alpha = self.signal[steps][:, None, None, None]  # type: ignore[index]
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        inputs = noisy
        if self.networks["unet"].config.in_channels == 2 * latents.shape[1] + 1:  # type: ignore[union-attr]
            inputs = torch.cat([noisy, *self._hidden(images, masks, generator)], dim=1)
        text = self._text(said, generator)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        predicted = self.networks["unet"](inputs, steps, encoder_hidden_states=text).sample
        epsilon = self.prediction_type == "epsilon"
        target = noise if epsilon else alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        error = functional.mse_loss(predicted.float(), target, reduction="none")
        weight = torch.ones_like(alpha)
        if self.snr_gamma is not None:
            snr = alpha / (1 - alpha)
            weight = snr.clamp(max=self.snr_gamma) / (snr if epsilon else snr + 1)
        return {"loss": (weight * error).mean(), "error": error.detach().mean()}

    def _hidden(self, images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """The mask on the latent grid and the latents of the picture with its hidden pixels grey."""
        masks = masks.to(images.device, non_blocking=True)
        seen = self._sample(self._encode(images * ~masks), generator)
        side = masks.shape[-1] // self.cell
        return functional.interpolate(masks.float(), size=(side, side)).to(seen), seen

    @torch.no_grad()
    def _encode(self, images: Tensor) -> Tensor:
        """Means and log variances of the latents of pictures in [-1, 1]."""
        images = images.to(self.device, memory_format=torch.channels_last)
        return self.frozen[0].encode(images).latent_dist.parameters.float().contiguous()

    def _sample(self, moments: Tensor, generator: Generator) -> Tensor:
        """Latents drawn as the pipeline draws them, scaled."""
        mean, logvar = moments.chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=generator).to(mean, non_blocking=True)
        return (mean + (0.5 * logvar.clamp(-30, 20)).exp() * noise) * self.scale

    def _text(self, said: Sequence[Sequence[str]], generator: Generator) -> Tensor:
        captions = [sample_caption(row, self.caption_dropout, generator) for row in said]
        length = self.tokenizer.model_max_length
        tokens = self.tokenizer(captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        encoder = self.networks["text_encoder"] if self.train_text else self.frozen[1]
        with torch.set_grad_enabled(self.train_text):
            return encoder(tokens.input_ids.to(self.device, non_blocking=True))[0]


def shifted(steps: Tensor, count: int, shift: float) -> Tensor:
    """Training steps moved towards pure noise; see `DenoiserTraining`.

    Args:
        steps: in [0, count).
        count: training steps of the scheduler.
        shift: 1 moves nothing.

    Reference: Esser et al., Scaling Rectified Flow Transformers for High-Resolution Image Synthesis, 2024, eq. 23.
    """
    if shift == 1:
        return steps
    share = (steps + 0.5) / count
    return (shift * share / (1 + (shift - 1) * share) * count).long()
