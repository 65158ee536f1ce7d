"""Repaints faces with any Stable Diffusion or SDXL checkpoint that diffusers can inpaint with."""

import warnings
from collections.abc import Sequence
from typing import Any, final

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from privacy_exp.inpainting.autoencoder import encode_decode
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.blend import seamless as blend
from privacy_exp.inpainting.compiling import compiler_options
from privacy_exp.inpainting.frame import Box, around, enlarge, put_back, whole
from privacy_exp.inpainting.guidance import Interval, Text, encode, stack
from privacy_exp.inpainting.loading import Pipeline, load_lora, load_pipeline, scheduler_named
from privacy_exp.inpainting.precision import device_named, dtype_named
from privacy_exp.inpainting.prompts import fields, fill
from privacy_exp.inpainting.shared_halves import SharedHalves
from privacy_exp.inpainting.size import native
from privacy_exp.types import Faces, Images, Masks, UserError


@final
class DiffusionInpainter(Inpainter):
    """Latent diffusion inpainting, steered by a prompt; the sampling is diffusers' own pipeline call.

    Args:
        pipe: a loaded pipeline, with 9 input channels or 4; see `from_pretrained`.
        native_size: pixels the checkpoint paints at, n or (height, width); faces are resized there and back. None for
            the size its UNet was trained for.
        prompt: one string, or a template over the data's attributes (see `prompts.FIELDS`).
        negative_prompt: what guidance leads away from; None for the checkpoint's own unconditional embedding (zeros
            in SDXL).
        num_inference_steps: denoising steps.
        guidance_scale: at least 1, which is off.
        guidance_interval: start and stop of the guided steps, as shares of them.
        strength: in (0, 1]; below 1 the hidden pixels shine through.
        crop: "none" paints the whole frame, "face" just a padded box around the mask, at the same native size.
        crop_padding: margin of that box on each side, as a share of the hidden area's longer side.
        num_draws: pictures of each face.
        batch_size: images at a time; halved, with a warning, where memory runs out.
        seamless: spread the step at the mask's edge over the hidden region; see `blend.seamless`.
        keep_pixels: put kept pixels back as they are; false takes the checkpoint's whole picture, as the original study
            did.

    Attributes:
        guidance: "live"; "inert" where prompt and negative prompt say the same, so that every scale gives the same
            picture (steps are then run unguided, at half the cost); "off" at scale 1.
        fills_batches: whether the last batch is filled up to `batch_size` with copies, whose pictures are dropped.

    Raises:
        UserError: for a value outside its range.
    """

    expects_detail = True

    def __init__(
        self,
        pipe: Pipeline,
        native_size: int | Sequence[int] | None = None,
        prompt: str = "a photo of a face",
        negative_prompt: str | None = "",
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        guidance_interval: Sequence[float] = (0.0, 1.0),
        strength: float = 1.0,
        crop: str = "none",
        crop_padding: float = 0.25,
        num_draws: int = 1,
        batch_size: int = 8,
        seamless: bool = False,
        keep_pixels: bool = True,
    ) -> None:
        start, stop = _interval(guidance_interval)
        for name, value, least in (
            ("num_inference_steps", num_inference_steps, 1),
            ("guidance_scale", guidance_scale, 1),
            ("crop_padding", crop_padding, 0),
            ("num_draws", num_draws, 1),
            ("batch_size", batch_size, 1),
        ):
            if value < least:
                raise UserError(f"`{name}` must be at least {least}, but got {value}.")
        if not 0 < strength <= 1 or int(num_inference_steps * strength) < 1:
            raise UserError(
                f"`strength` must lie in (0, 1] and leave at least one of the `num_inference_steps` = "
                f"{num_inference_steps}, but got {strength}."
            )
        if crop not in ("none", "face"):
            raise UserError(f"`crop` must be none or face, but got {crop}.")
        if seamless and not keep_pixels:
            raise UserError(
                "`keep_pixels: false` takes the picture as it was painted, but `seamless` puts the kept pixels back: "
                "set inpainting.seamless=false too."
            )
        self.pipe = pipe
        self.size = native(native_size, pipe.unet.config.sample_size * pipe.vae_scale_factor, pipe.vae_scale_factor)
        self.prompt = prompt
        self.negative_prompt = negative_prompt
        self.num_inference_steps = num_inference_steps
        self.guidance_scale = guidance_scale
        self.guidance_interval = (start, stop)
        self.strength = strength
        self.crop = crop
        self.crop_padding = crop_padding
        self.num_draws = num_draws
        self.batch_size = batch_size
        self.seamless = seamless
        self.fills_batches = False
        self._halves = SharedHalves(pipe.unet)
        self.keep_pixels = keep_pixels
        self._texts: dict[str, Text] = {}
        distilled = (
            pipe.unet.config.time_cond_proj_dim is not None
        )  # the scale is an input of the network, prompt or not
        if distilled and (start, stop) != (0.0, 1.0):
            raise UserError(
                "`guidance_interval` needs guidance by two passes, which a distilled checkpoint does not do; leave it "
                f"at [0, 1], but got {list(guidance_interval)}."
            )
        self.heeds_guidance = distilled or bool(fields(prompt)) or self._text(prompt).steers()
        self.guidance = self._judge_guidance(distilled)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str,
        revision: str | None = None,
        variant: str | None = None,
        scheduler: str | None = None,
        lora: str | None = None,
        lora_revision: str | None = None,
        lora_scale: float = 1.0,
        dtype: str = "auto",
        device: str = "auto",
        channels_last: bool = True,
        compile: bool = False,
        offload: bool = False,
        attention_slicing: bool = False,
        **sampling: Any,
    ) -> "DiffusionInpainter":
        """Load a diffusers checkpoint, from a folder or the hub's cache without network.

        Args:
            checkpoint: folder, path inside the package that begins with `privacy_exp/`, or hub id.
            revision: commit, tag or branch on the hub.
            variant: suffix of the weight files, such as "fp16".
            scheduler: class name in `diffusers.schedulers`; None keeps the checkpoint's own.
            lora: folder, file or hub id of LoRA weights, fused in.
            lora_revision: commit, tag or branch of the LoRA on the hub.
            lora_scale: weight of the LoRA.
            dtype: float32, float16, bfloat16, or auto (float16 on a GPU, else float32).
            device: a torch device, or auto.
            channels_last: memory layout that convolutions like best.
            compile: compile the UNet with torch.compile: a minute or two for each batch shape, then faster; the code is
                kept on disk. Batches that are not full are filled up, so that one shape serves all.
            offload: keep each part on the GPU only while it works.
            attention_slicing: less memory, slower.
            sampling: the constructor's keywords.

        Raises:
            UserError: for a checkpoint that can't inpaint, or a value outside its range.
            FileNotFoundError: where there is no such folder.
            ConnectionError: where it is not in the cache and the hub can't be reached or refuses.
        """
        where = device_named(device)
        pipe = load_pipeline(checkpoint, revision, variant, dtype_named(dtype, where))
        if scheduler is not None:
            pipe.scheduler = scheduler_named(scheduler, pipe)
        if lora is not None:
            load_lora(pipe, lora, lora_revision, lora_scale)
        if channels_last:
            pipe.unet.to(memory_format=torch.channels_last)
            pipe.vae.to(memory_format=torch.channels_last)
        if offload and where.type == "cpu":
            raise UserError("`offload` moves parts between a GPU and memory, but `device` is the CPU. Set it to false.")
        if offload:
            pipe.enable_model_cpu_offload(device=where)
        else:
            for part in pipe.components.values():
                if isinstance(part, nn.Module):
                    part.to(where)
        if attention_slicing:
            pipe.enable_attention_slicing()
        painter = cls(pipe, **sampling)
        if compile:
            pipe.unet.compile(dynamic=False, options=compiler_options(where))
            painter.fills_batches = True
        return painter

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """The faces painted by the checkpoint; those without a hidden pixel come back as they are.

        Args:
            faces: the originals.
            masks: True = hidden.
            generators: one an image.
        """
        painted = faces.images.clone()
        prompts = fill(self.prompt, faces)
        left = masks.flatten(1).any(dim=1).nonzero()[:, 0].tolist()
        while left:
            rows = left[: self.batch_size]
            states = [generators[row].get_state() for row in rows]
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
        return blend(painted, faces.images, masks) if self.seamless else painted

    def round_trip(self, faces: Faces, masks: Masks) -> Images:
        """The faces, encoded and decoded by the checkpoint's autoencoder at the size and in the box of `repaint`.

        Args:
            faces: the originals.
            masks: True = hidden.
        """
        boxes = self._boxes(masks)
        images, _ = enlarge(faces.images, torch.zeros_like(masks), boxes, self.size)
        vae: AutoencoderKL = self.pipe.vae
        vae.to(self.pipe._execution_device)
        return put_back(encode_decode(vae, images, self.batch_size), faces.images, boxes)

    def latent_share(self, masks: Masks) -> Float[Tensor, " n"]:
        """Share of the frame whose latent cells are hidden from the checkpoint, as diffusers reads the mask.

        Args:
            masks: True = hidden.
        """
        boxes = self._boxes(masks)
        _, there = enlarge(masks.float().expand(-1, 3, -1, -1), masks, boxes, self.size)
        step = self.pipe.vae_scale_factor
        cells = functional.interpolate(there.float(), size=(self.size[0] // step, self.size[1] // step))
        areas = [(box.bottom - box.top) * (box.right - box.left) for box in boxes]
        share_of_frame = torch.tensor(areas, device=masks.device) / (masks.shape[-2] * masks.shape[-1])
        return cells.flatten(1).mean(dim=1) * share_of_frame

    def _boxes(self, masks: Masks) -> list[Box]:
        return around(masks, self.crop_padding, self.size) if self.crop == "face" else whole(masks)

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
        return put_back(self._sample(native_images, native_masks, prompts, generators).to(images), images, boxes)

    def _sample(self, images: Images, masks: Masks, prompts: list[str], generators: list[Generator]) -> Images:
        """The pipeline's own call, at native size."""
        text = stack([self._text(prompt) for prompt in prompts])
        live = self.guidance == "live"
        interval = Interval(
            text,
            self.guidance_scale if live else 1.0,
            self.guidance_interval if live else (0.0, 1.0),
            self._halves,
        )
        pooled = {}
        if text.pooled is not None:
            pooled = {"pooled_prompt_embeds": text.pooled, "negative_pooled_prompt_embeds": text.negative_pooled}
        with interval.doubling(self.pipe):
            painted: Tensor = self.pipe(
                prompt_embeds=text.prompt,
                negative_prompt_embeds=text.negative,
                **pooled,
                image=images,
                mask_image=masks.to(images),
                height=self.size[0],
                width=self.size[1],
                strength=self.strength,
                num_inference_steps=self.num_inference_steps,
                guidance_scale=interval.first_scale,
                generator=generators,
                output_type="pt",
                callback_on_step_end=interval,
                callback_on_step_end_tensor_inputs=interval.inputs(self.pipe),
            ).images
        return painted.float()

    def _text(self, prompt: str) -> Text:
        if prompt not in self._texts:
            other = next(iter(self._texts.values()), None)
            self._texts[prompt] = encode(self.pipe, prompt, self.negative_prompt, other)
        return self._texts[prompt]

    def _judge_guidance(self, distilled: bool) -> str:
        if self.guidance_scale == 1 and not distilled:
            return "off"
        if self.heeds_guidance:
            return "live"
        warnings.warn(
            f"`guidance_scale` = {self.guidance_scale} does nothing, because `prompt` {self.prompt!r} and "
            f"`negative_prompt` {self.negative_prompt!r} say the same: running without guidance, at half the cost, and "
            "recording `guidance: inert`. Give a prompt to bring it to life.",
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


def _interval(values: Sequence[float]) -> tuple[float, float]:
    pair = tuple(float(value) for value in values)
    if len(pair) != 2 or not 0 <= pair[0] < pair[1] <= 1:
        raise UserError(f"`guidance_interval` must be [start, stop] with 0 <= start < stop <= 1, but got {list(pair)}.")
    return pair[0], pair[1]
