"""Repaints faces with any Stable Diffusion or SDXL checkpoint that diffusers can inpaint with."""

import time
import warnings
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar, final

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from torch import Generator, Tensor, nn

from privacy_exp.cache.configured import dotted
from privacy_exp.inpainting.autoencoder import TINY, encode_decode, kept_under
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.blend import membrane
from privacy_exp.inpainting.blend import seamless as blend
from privacy_exp.inpainting.compiling import GRAPHS, Repays
from privacy_exp.inpainting.frame import Window, around, enlarge, hidden_cells, put_back, whole
from privacy_exp.inpainting.guidance import Interval, Text, encode, stack, steers, warn_of_unknown_words
from privacy_exp.inpainting.hub import commit, resolve
from privacy_exp.inpainting.loading import domain_of
from privacy_exp.inpainting.presets import preset
from privacy_exp.inpainting.prompts import fields, fill
from privacy_exp.inpainting.readying import ready
from privacy_exp.inpainting.repelling import Repelling, Steering, both
from privacy_exp.inpainting.settings import TARGET, Canvas, Lora, Repel, Runtime, Sampling, at_least, grouped
from privacy_exp.inpainting.size import native
from privacy_exp.types import Faces, Images, Masks, UserError


@final
class DiffusionInpainter(Inpainter):
    """Latent diffusion inpainting, steered by a prompt; the sampling is diffusers' own pipeline call.

    Args:
        checkpoint: folder that diffusers saved, path inside the package that begins with `privacy_exp/`, or hub id; its
            UNet has 9 input channels or 4.
        revision: commit, tag or branch on the hub.
        variant: suffix of the weight files, such as "fp16".
        lora: LoRA weights, fused in.
        repel: pushes each face away from the person while it is painted; None does not.
        sampling: steps, guidance and prompt.
        canvas: size and part of the frame that is painted, and what of it is kept.
        runtime: device, number format, batch size.
        num_draws: pictures of each face.
        force: paint photos even with a checkpoint of drawn faces; see `domain.check_domain`.

    Attributes:
        guidance: "live"; "inert" where prompt and negative prompt say the same, so that every scale gives the same
            picture (steps are then run unguided, at half the cost); "off" at scale 1.
        fills_batches: whether the last batch is filled up to `batch_size` with copies, whose pictures are dropped.

    Raises:
        UserError: for a checkpoint that can't inpaint, or a value that does not fit it.
        FileNotFoundError: where there is no such folder.
        ConnectionError: where it is not in the cache and the hub can't be reached or refuses.

    Example:
        >>> painter = DiffusionInpainter.from_pretrained("tiny", num_inference_steps=2)
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
        >>> masks[..., 16:48, 16:48] = True
        >>> painter(faces, masks, seed=0).shape
        torch.Size([1, 3, 64, 64])
    """

    expects_detail = True
    without_effect: ClassVar[frozenset[str]] = frozenset({"force"})

    def __init__(
        self,
        checkpoint: str = TINY,
        *,
        revision: str | None = None,
        variant: str | None = None,
        lora: Lora | None = None,
        repel: Repel | None = None,
        sampling: Sampling | None = None,
        canvas: Canvas | None = None,
        runtime: Runtime | None = None,
        num_draws: int = 1,
        force: bool = False,
    ) -> None:
        at_least(1, num_draws=num_draws)
        self.sampling = sampling or Sampling()
        self.canvas = canvas or Canvas()
        self.runtime = runtime or Runtime()
        # Groups that were left out are remembered with their defaults, for records and keys.
        self._arguments |= {"sampling": self.sampling, "canvas": self.canvas, "runtime": self.runtime}
        self.num_draws = num_draws
        self.force = force
        self.repel = repel
        self.asks_recognizer = repel is not None and TARGET in repel.steering
        self.keep_pixels = self.canvas.keep_pixels
        self.same_new_face = self.sampling.same_new_face
        self.reads_hidden = self.sampling.strength < 1
        self.batch_size = self.runtime.batch_size
        templated = bool(fields(self.sampling.prompt))
        self.pipe = ready(checkpoint, revision, variant, lora, self.sampling, self.runtime)
        self._steering = None if repel is None else Steering(repel, self.pipe)
        self._arguments["revision"] = commit(resolve(checkpoint), "model_index.json", revision)
        self.domain = domain_of(checkpoint)
        unet, step = self.pipe.unet, self.pipe.vae_scale_factor
        self.size = native(self.canvas.native_size, unet.config.sample_size * step, step)
        # What is pushed goes by a gradient, which makes much of the rounding that another batch size brings.
        self.fills_batches = self.runtime.compile in (True, GRAPHS) or repel is not None
        self._repays = Repays(unet, self.pipe.device) if self.runtime.compile == "auto" else None
        self._texts: dict[str, Text] = {}
        # A distilled network takes the scale as an input, prompt or not.
        distilled = unet.config.time_cond_proj_dim is not None
        if distilled and self.sampling.guidance_interval != (0.0, 1.0):
            raise UserError(
                "`guidance_interval` needs guidance by two passes, which a distilled checkpoint does not do; leave it "
                f"at [0, 1], but got {list(self.sampling.guidance_interval)}."
            )
        said = self.sampling.prompt, self.sampling.negative_prompt
        self.heeds_guidance = distilled or templated or steers(self.pipe, *said)
        if not templated:
            warn_of_unknown_words(self.pipe, self.sampling.prompt)
        self.guidance = self._state_of_guidance(distilled)

    @classmethod
    def from_pretrained(cls, checkpoint: str = "tiny", **changes: Any) -> "DiffusionInpainter":
        """An inpainter by a short name and flat keys, as on the command line.

        Args:
            checkpoint: stem of a yaml in conf/inpainting, such as "sd15", whose settings are taken; or a folder or hub
                id, with the constructor's defaults.
            changes: fields of `Sampling`, `Canvas` and `Runtime`, `lora` and `repel` with what begins like
                them, or the
                constructor's keywords.

        Raises:
            UserError: for an unknown key, besides what the constructor raises.
        """
        keys = preset(checkpoint, f"{dotted(cls)}.from_pretrained") or {"checkpoint": checkpoint}
        return cls(**grouped(keys | changes))

    def meet(self, recognizer: nn.Module) -> None:
        """The run's recogniser steers where `repel` names it or no other."""
        if self._steering is not None:
            self._steering.meet(recognizer)

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """The faces painted by the checkpoint; those without a hidden pixel come back as they are.

        Args:
            faces: the originals.
            masks: True = hidden.
            generators: one an image.
        """
        painted = faces.images.clone()
        prompts = fill(self.sampling.prompt, faces)
        left = masks.flatten(1).any(dim=1).nonzero()[:, 0].tolist()
        while left:
            rows = left[: self.batch_size]
            states = [generators[row].get_state() for row in rows]
            started = time.perf_counter()
            try:
                painted[rows] = self._paint_rows(faces.images, masks, prompts, generators, rows)
            except torch.OutOfMemoryError:
                tried = self.batch_size if self.fills_batches else len(rows)
                if tried == 1:
                    raise
                # The failed attempt has drawn noise already; the next one must draw the same again.
                for row, state in zip(rows, states, strict=True):
                    generators[row].set_state(state)
                self._halve(tried)
                continue
            left = left[len(rows) :]
            if self._repays is not None and not self.fills_batches:
                self.fills_batches = self._repays.compiled_after(len(rows), time.perf_counter() - started)
        return blend(painted, faces.images, masks) if self.canvas.seamless else painted

    def expect(self, images: int) -> None:
        """See `Inpainter`; `compile: auto` goes by it."""
        if self._repays is not None:
            self._repays.left = images * self.num_draws

    def round_trip(self, faces: Faces, masks: Masks) -> Images:
        """The faces, encoded and decoded by the checkpoint's autoencoder at the size and in the box of `repaint`.

        Args:
            faces: the originals.
            masks: True = hidden.
        """
        boxes = self._boxes(masks)
        images, _ = enlarge(faces.images, torch.zeros_like(masks), boxes, self.size)
        vae: AutoencoderKL = self.pipe.vae
        vae.to(self.pipe._execution_device)  # the public `device` is the CPU while parts are offloaded
        return put_back(encode_decode(vae, images, self.batch_size), faces.images, boxes)

    def round_trip_fields(self) -> dict[str, Any] | None:
        """See `Inpainter`; the box around a face goes by the mask."""
        return None if self.canvas.crop == "face" else kept_under(self.pipe.vae, self.size)

    def latent_share(self, masks: Masks) -> Float[Tensor, " n"]:
        """Share of the frame whose latent cells are hidden from the checkpoint, as diffusers reads the mask.

        Args:
            masks: True = hidden.
        """
        return hidden_cells(masks, self._boxes(masks), self.size, self.pipe.vae_scale_factor)

    def _boxes(self, masks: Masks) -> list[Window]:
        return around(masks, self.canvas.crop_padding, self.size) if self.canvas.crop == "face" else whole(masks)

    def _paint_rows(
        self, images: Images, masks: Masks, prompts: list[str], generators: list[Generator], rows: list[int]
    ) -> Float[Tensor, "rows 3 h w"]:
        """These rows painted; copies of the first fill the batch where its size must not change."""
        copies = self.batch_size - len(rows) if self.fills_batches else 0
        filled = rows + rows[:1] * copies
        drawn = [generators[row] for row in rows]
        # Each copy draws from a generator of its own: the original's must not run ahead.
        drawn += [Generator(drawn[0].device).set_state(drawn[0].get_state()) for _ in range(copies)]
        return self._paint(images[filled], masks[filled], [prompts[row] for row in filled], drawn)[: len(rows)]

    def _paint(self, images: Images, masks: Masks, prompts: list[str], generators: list[Generator]) -> Images:
        boxes = self._boxes(masks)
        native_images, native_masks = enlarge(images, masks, boxes, self.size)
        push = None
        if self._steering is not None:
            frames = partial(put_back, images=images, boxes=boxes)
            push = self._steering.of(images, native_images, native_masks, frames)
        if self.pipe.unet.config.in_channels == 4 and not self.reads_hidden:
            # Such a UNet gets the latents of the whole image, in which the autoencoder has mixed hidden pixels with
            # kept ones. (Below full strength the hidden pixels are meant to shine through.)
            native_images = torch.where(native_masks, membrane(native_images, ~native_masks), native_images)
        painted = self._sample(native_images, native_masks, prompts, generators, push)
        return put_back(painted.to(images), images, boxes)

    def _sample(
        self, images: Images, masks: Masks, prompts: list[str], generators: list[Generator], push: Repelling | None
    ) -> Images:
        """The pipeline's own call, at native size."""
        text, sampling = stack([self._text(prompt) for prompt in prompts]), self.sampling
        live = self.guidance == "live"
        interval = Interval(
            text,
            sampling.guidance_scale if live else 1.0,
            (sampling.guidance_interval[0], sampling.guidance_interval[1]) if live else (0.0, 1.0),
        )
        pooled = {}
        if text.pooled is not None:
            pooled = {"pooled_prompt_embeds": text.pooled, "negative_pooled_prompt_embeds": text.negative_pooled}
        between, names = both(interval, interval.inputs(self.pipe), push)
        with nullcontext() if push is None else push.watching(self.pipe):
            painted: Tensor = self.pipe(
                prompt_embeds=text.prompt,
                negative_prompt_embeds=text.negative,
                **pooled,
                image=images,
                mask_image=masks.to(images),
                height=self.size[0],
                width=self.size[1],
                strength=sampling.strength,
                num_inference_steps=sampling.num_inference_steps,
                guidance_scale=interval.first_scale,
                generator=generators,
                output_type="pt",
                callback_on_step_end=between,
                callback_on_step_end_tensor_inputs=names,
            ).images
        return painted.float()

    def _text(self, prompt: str) -> Text:
        if prompt not in self._texts:
            other = next(iter(self._texts.values()), None)
            if prompt != self.sampling.prompt:  # which was looked at when the inpainter was made
                warn_of_unknown_words(self.pipe, prompt)
            self._texts[prompt] = encode(self.pipe, prompt, self.sampling.negative_prompt, other)
        return self._texts[prompt]

    def _state_of_guidance(self, distilled: bool) -> str:
        if self.sampling.guidance_scale == 1 and not distilled:
            return "off"
        if self.heeds_guidance:
            return "live"
        asked = self.sampling
        warnings.warn(
            f"`guidance_scale` = {asked.guidance_scale} does nothing, because `prompt` {asked.prompt!r} and "
            f"`negative_prompt` {asked.negative_prompt!r} say the same: running without guidance, at half the cost, "
            "and recording `guidance: inert`. Give a prompt to bring it to life.",
            stacklevel=3,
        )
        return "inert"

    def _halve(self, tried: int) -> None:
        self.batch_size = tried // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        warnings.warn(
            f"Out of memory with {tried} images at a time: going on with `batch_size` = {self.batch_size}.",
            stacklevel=3,
        )
