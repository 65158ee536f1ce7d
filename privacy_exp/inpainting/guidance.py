"""Classifier-free guidance: text embeddings, and the part of the steps in which it is on."""

import warnings
from typing import Any, NamedTuple

import torch
from diffusers import StableDiffusionXLInpaintPipeline
from torch import Tensor

from privacy_exp.inpainting.loading import Pipeline


class Text(NamedTuple):
    """One prompt as a checkpoint reads it: embeddings of one row; pooled ones in SDXL alone."""

    prompt: Tensor
    negative: Tensor
    pooled: Tensor | None = None
    negative_pooled: Tensor | None = None


def steers(pipe: Pipeline, prompt: str, negative_prompt: str | None) -> bool:
    """Whether a checkpoint reads prompt and negative prompt differently, without which guidance changes nothing.

    The tokenizers decide, so nothing is encoded: equal tokens have equal embeddings.

    Args:
        pipe: the pipeline.
        prompt: the prompt, of one image.
        negative_prompt: what guidance leads away from; None for the checkpoint's own unconditional embedding.
    """
    if negative_prompt is None and pipe.config.get("force_zeros_for_empty_prompt"):
        return True  # zeros, which no prompt encodes to
    tokenizers = [pipe.tokenizer, getattr(pipe, "tokenizer_2", None)]
    return any(
        one(prompt, truncation=True).input_ids != one(negative_prompt or "", truncation=True).input_ids
        for one in tokenizers
        if one is not None
    )


def warn_of_unknown_words(pipe: Pipeline, prompt: str) -> None:
    """Warn of words that a small vocabulary lacks: they would say nothing, silently.

    Args:
        pipe: the pipeline.
        prompt: the prompt, of one image.
    """
    unknown = pipe.tokenizer.unk_token
    lacking = [word for word in prompt.replace(",", " ").split() if unknown in pipe.tokenizer.tokenize(word)]
    if lacking:
        warnings.warn(
            f"`prompt` {prompt!r} holds words that this checkpoint was not taught: {', '.join(lacking)}.", stacklevel=4
        )


@torch.no_grad()
def encode(pipe: Pipeline, prompt: str, negative_prompt: str | None, other: Text | None = None) -> Text:
    """One prompt through the checkpoint's text encoders.

    Args:
        pipe: the pipeline.
        prompt: the prompt, of one image.
        negative_prompt: what guidance leads away from; None for the checkpoint's own unconditional embedding.
        other: an earlier prompt with the same negative prompt, which is not encoded again.
    """
    negative: dict[str, Any] = {"negative_prompt": negative_prompt}
    if other is not None:
        negative = {"negative_prompt_embeds": other.negative}
    if other is not None and other.negative_pooled is not None:
        negative["negative_pooled_prompt_embeds"] = other.negative_pooled
    embeddings = pipe.encode_prompt(
        prompt=prompt,
        device=pipe._execution_device,  # the public `device` is the CPU while parts are offloaded
        num_images_per_prompt=1,
        do_classifier_free_guidance=True,
        **negative,
    )
    return Text(*embeddings)


def stack(texts: list[Text]) -> Text:
    """Several prompts as one batch.

    Args:
        texts: of one checkpoint.
    """
    return Text(*(torch.cat([text[field] for text in texts]) for field, one in enumerate(texts[0]) if one is not None))


class Interval:
    """Turns guidance on and off between the steps of a diffusers pipeline; unguided steps cost half.

    Step i of n is guided where start <= i / n < stop. diffusers' own cut-off forgets the mask of an inpainting
    pipeline, so the batch is doubled and halved here.

    Args:
        text: the batch's embeddings.
        guidance_scale: in guided steps.
        interval: start and stop, in [0, 1].

    Reference: Kynkäänniemi et al., Applying Guidance in a Limited Interval, 2024.
    """

    def __init__(self, text: Text, guidance_scale: float, interval: tuple[float, float]) -> None:
        self.text = text
        self.guidance_scale = guidance_scale
        self.start, self.stop = interval

    @property
    def first_scale(self) -> float:
        """Guidance scale of the first step: what the pipeline's call is given."""
        return self.guidance_scale if self.start == 0 else 1.0

    def inputs(self, pipe: Pipeline) -> list[str]:
        """Names of the tensors that change when guidance goes on or off; none where it never does.

        Args:
            pipe: the pipeline that will be called.
        """
        if (self.start, self.stop) == (0.0, 1.0):
            return []
        sdxl = ["add_text_embeds", "add_time_ids"] if isinstance(pipe, StableDiffusionXLInpaintPipeline) else []
        return ["prompt_embeds", "mask", "masked_image_latents", *sdxl]

    def __call__(self, pipe: Pipeline, step: int, timestep: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the next step is given; called by the pipeline at the end of each step.

        Args:
            pipe: the pipeline.
            step: the step that ended, from 0.
            timestep: not used.
            tensors: those named by `inputs`.
        """
        del timestep
        guided = self.start <= (step + 1) / pipe.num_timesteps < self.stop
        if not tensors or guided == pipe.do_classifier_free_guidance:
            return {}
        pipe._guidance_scale = self.guidance_scale if guided else 1.0  # as diffusers' guide to callbacks sets it
        if not guided:
            return {name: tensor.chunk(2)[-1] for name, tensor in tensors.items()}
        negative = {"prompt_embeds": self.text.negative, "add_text_embeds": self.text.negative_pooled}
        doubled = {}
        for name, tensor in tensors.items():
            other = negative.get(name)
            doubled[name] = torch.cat([tensor if other is None else other.to(tensor), tensor])
        return doubled
