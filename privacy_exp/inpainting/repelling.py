"""Painting away from a person: the new face is pushed out of the reach of recognisers while it is denoised."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import DDIMScheduler
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from privacy_exp.data.points import celeba_template
from privacy_exp.inpainting.guidance import Interval
from privacy_exp.inpainting.loading import Pipeline
from privacy_exp.inpainting.settings import TARGET, Repel
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.onnx import OnnxRecognizer
from privacy_exp.types import Images, UserError

STRIDE = 0.1
"""Root mean square of one move of the predicted clean latents at strength 1; latents have unit spread."""


class Steering:
    """Who pushes, and how: what an inpainter keeps between its batches.

    Args:
        repel: strength, steps, threshold, and the files of those who steer.
        pipe: about to paint.

    Raises:
        UserError: for a scheduler whose steps do not say what the clean picture will be, or a file that is no embedder.
    """

    def __init__(self, repel: Repel, pipe: Pipeline) -> None:
        if not isinstance(pipe.scheduler, DDIMScheduler):
            raise UserError(
                f"`repel` needs each step's prediction of the clean picture, which {type(pipe.scheduler).__name__} "
                "does not give: set inpainting.scheduler=DDIMScheduler."
            )
        self.repel = repel
        points = celeba_template(218, 178)  # until the frames are met
        files = [OnnxRecognizer(path).for_people(2, points) for path in repel.steering if path != TARGET]
        self.files: list[Recognizer] = [network.eval().requires_grad_(False) for network in files]
        self.own: Recognizer | None = None
        pipe.vae.requires_grad_(False)  # gradients go through it, and none to it

    def meet(self, recognizer: nn.Module) -> None:
        """Takes a copy of the run's recogniser, where it steers.

        Args:
            recognizer: in use elsewhere.
        """
        if TARGET in self.repel.steering:
            own: Any = copy.deepcopy(recognizer)
            self.own = own.eval().requires_grad_(False)

    def of(
        self,
        images: Images,
        native_images: Images,
        native_masks: Bool[Tensor, "n 1 h w"],
        put_back: Callable[[Images], Images],
    ) -> "Repelling":
        """What moves the latents of one batch.

        Args:
            images: the frames.
            native_images: the same at the checkpoint's size.
            native_masks: True = hidden, at that size.
            put_back: takes pictures of that size into the frames.

        Raises:
            UserError: where the run's recogniser should steer, and there is none.
        """
        if self.own is None and TARGET in self.repel.steering:
            raise UserError(
                "`repel` needs a recogniser to steer by: give one with recognition.checkpoint=RUN, or files alone with "
                "inpainting.repel_model=[FILE.onnx]."
            )
        size = images.shape[-2], images.shape[-1]
        for network in self.files:  # the run's own has met the frames
            network.meet_frames(*size, celeba_template(*size))
        networks = [*self.files, *([] if self.own is None else [self.own])]
        for network in networks:
            network.to(images.device)

        def see(native: Images) -> Images:
            return put_back(torch.where(native_masks, native, native_images))

        return Repelling(self.repel, networks, images, native_masks, see)


class Repelling:
    """Moves the latents of a batch after each step, where the mask hides and the person is still recognised.

    The clean latents that a step predicts are decoded and looked at by each recogniser. The gradient of the cosine
    similarity to the originals, at unit size for each photo, moves them away, and the noisy latents follow. Nothing is
    propagated through the UNet. A recogniser to whom a photo's similarity is below `until` has no say in where it goes;
    one that is so far from all of them is left alone.

    Args:
        repel: strength, steps and threshold.
        networks: who steers.
        originals: the frames.
        masks: True = hidden, at the checkpoint's size.
        see: makes the frames that a recogniser is shown of pictures at the checkpoint's size.
    """

    def __init__(
        self,
        repel: Repel,
        networks: Sequence[Recognizer],
        originals: Images,
        masks: Bool[Tensor, "n 1 h w"],
        see: Callable[[Images], Images],
    ) -> None:
        self.repel, self.networks, self.masks, self.see = repel, networks, masks, see
        self.known = [network.embed(originals).detach() for network in networks]
        self.clean: Tensor | None = None

    @contextmanager
    def watching(self, pipe: Pipeline) -> Iterator[None]:
        """Keeps what each step predicts, which the pipeline drops.

        Args:
            pipe: about to be called.
        """
        step = pipe.scheduler.step

        def kept(*args: Any, **keys: Any) -> Any:
            found = step(*args, **keys)
            self.clean = found[1]
            return found

        pipe.scheduler.step = kept
        try:
            yield
        finally:
            del pipe.scheduler.step

    def __call__(self, pipe: Pipeline, step: int, timestep: Any, latents: Tensor) -> Tensor:
        """The latents that the next step begins with.

        Args:
            pipe: the pipeline.
            step: the step that ended, from 0.
            timestep: of that step, from 0 to the scheduler's training steps.
            latents: as the step left them.
        """
        if self.clean is None or not self._acts(step, pipe.num_timesteps):
            return latents
        hidden = functional.interpolate(self.masks.to(latents), size=latents.shape[-2:])
        push = self._push(pipe, self.clean.detach(), hidden)
        scheduler = pipe.scheduler
        before = int(timestep) - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
        signal = scheduler.alphas_cumprod[before] if before >= 0 else scheduler.final_alpha_cumprod
        stride = self.repel.strength * self.repel.every * STRIDE
        return latents - stride * float(signal) ** 0.5 * push.to(latents)

    def _acts(self, step: int, steps: int) -> bool:
        start, stop = self.repel.interval
        first = math.ceil(start * steps - 1e-9)
        return first <= step and step / steps < stop and (step - first) % self.repel.every == 0

    @torch.enable_grad()
    def _push(self, pipe: Pipeline, clean: Tensor, hidden: Tensor) -> Float[Tensor, "n c h w"]:
        """Where the person is, at unit spread over the hidden cells; zero for photos that are far from everybody."""
        clean = clean.clone().requires_grad_(True)
        decoded = pipe.vae.decode(clean / pipe.vae.config.scaling_factor).sample.float()
        shown = self.see(decoded / 2 + 0.5)
        towards = self._towards(shown.detach())
        if towards is None:
            return torch.zeros_like(clean, dtype=torch.float32)
        (gradient,) = torch.autograd.grad(shown, clean, towards)
        gradient = gradient.float() * hidden
        size = (gradient.square().sum((1, 2, 3)) / (hidden.sum((1, 2, 3)) * clean.shape[1]).clamp(min=1)).sqrt()
        return gradient / size.clamp(min=1e-12)[:, None, None, None]

    def _towards(self, shown: Images) -> Images | None:
        """Gradient of the frames' similarity to those recognisers that still know the person; None where none does.

        One recogniser after the other, so that memory does not grow with their number.
        """
        total: Tensor | None = None
        for network, known in zip(self.networks, self.known, strict=True):
            seen = shown.clone().requires_grad_(True)
            alike = (network.embed(seen) * known).sum(1)
            near = alike.detach() > self.repel.until
            if near.any():
                (found,) = torch.autograd.grad((alike * near).sum(), seen)
                total = found if total is None else total + found
        return total


def both(
    interval: Interval, names: list[str], repelling: Repelling | None
) -> tuple[Callable[..., dict[str, Tensor]], list[str]]:
    """The pipeline's callback for guidance and repelling, and the names of the tensors that it is given.

    Args:
        interval: of guidance.
        names: the tensors that it changes.
        repelling: of this batch; None changes no latents.
    """
    if repelling is None:
        return interval, names

    def between(pipe: Pipeline, step: int, timestep: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        changed = interval(pipe, step, timestep, {name: tensors[name] for name in names})
        return changed | {"latents": repelling(pipe, step, timestep, tensors["latents"])}

    return between, [*names, "latents"]
