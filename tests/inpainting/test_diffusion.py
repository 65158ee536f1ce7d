"""Diffusion inpainting against diffusers' own pipeline call, and what it adds: guidance, batches, memory, crops."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import diffusers
import pytest
import torch
from diffusers import AutoPipelineForInpainting

from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.blend import membrane
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.loading import load_pipeline, scheduler_named
from privacy_exp.types import Faces
from tests.inpainting.conftest import some_faces, some_masks

CHECKPOINTS = ["sd_inpaint", "sd_plain", "sdxl_inpaint"]
SCHEDULERS = ["DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "PNDMScheduler"]


@pytest.fixture(params=CHECKPOINTS)
def checkpoint(request: pytest.FixtureRequest) -> str:
    path: str = request.getfixturevalue(request.param)
    return path


def painter(checkpoint: str, **changes: Any) -> DiffusionInpainter:
    keys: dict[str, Any] = {"num_inference_steps": 4, "guidance_scale": 4.0, "seamless": False, **changes}
    return DiffusionInpainter.from_pretrained(checkpoint, device="cpu", dtype="float32", **keys)


def reference(checkpoint: str, faces: Faces, masks: torch.Tensor, scheduler: str, **changes: Any) -> torch.Tensor:
    """diffusers' own call, one image at a time, prompt as text; then the kept pixels put back.

    A UNet of 4 channels is shown the hidden pixels, so those are filled from the kept ones beforehand.
    """
    pipe = AutoPipelineForInpainting.from_pretrained(checkpoint)
    shown = faces.images
    if pipe.unet.config.in_channels == 4 and changes.get("strength", 1.0) == 1:
        shown = torch.where(masks, membrane(faces.images, ~masks), faces.images)
    # PNDM as Stable Diffusion's checkpoints set it; those of other schedulers here don't say.
    settings = {"skip_prk_steps": True} if scheduler == "PNDMScheduler" else {}
    pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config, **settings)
    pipe.set_progress_bar_config(disable=True)
    keys = {"prompt": "a photo of a face", "num_inference_steps": 4, "guidance_scale": 4.0, "strength": 1.0, **changes}
    painted = [
        pipe(
            image=shown[i : i + 1],
            mask_image=masks[i : i + 1].float(),
            height=32,
            width=32,
            generator=generator(7, faces.ids[i], "inpaint", "0"),
            output_type="pt",
            **keys,
        ).images
        for i in range(len(faces.ids))
    ]
    return torch.where(masks, torch.cat(painted), faces.images)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_equals_diffusers(checkpoint: str, scheduler: str, faces: Faces, masks: torch.Tensor) -> None:
    ours = painter(checkpoint, scheduler=scheduler, negative_prompt="smiling")(faces, masks, seed=7)
    theirs = reference(checkpoint, faces, masks, scheduler, negative_prompt="smiling")
    assert (ours - theirs).abs().max() <= 2 / 255
    unguided = painter(checkpoint, scheduler=scheduler, guidance_scale=1.0)(faces, masks, seed=7)
    assert (ours - unguided).abs().max() > 2 / 255


def test_equals_diffusers_below_full_strength(checkpoint: str, faces: Faces, masks: torch.Tensor) -> None:
    ours = painter(checkpoint, scheduler="DDIMScheduler", strength=0.5, negative_prompt=None)(faces, masks, seed=7)
    theirs = reference(checkpoint, faces, masks, "DDIMScheduler", strength=0.5)
    assert (ours - theirs).abs().max() <= 2 / 255


@pytest.mark.parametrize(("own", "evaluations"), [({}, 51), ({"skip_prk_steps": False}, 59)])
def test_pndm_starts_as_stable_diffusion_does(sd_plain: str, own: dict[str, bool], evaluations: int) -> None:
    pipe = load_pipeline(sd_plain, None, None, torch.float32)
    pipe.scheduler = diffusers.DDIMScheduler.from_config({**pipe.scheduler.config, **own})
    scheduler = scheduler_named("PNDMScheduler", pipe)
    scheduler.set_timesteps(50)
    assert len(scheduler.timesteps) == evaluations


@pytest.fixture
def rows() -> Iterator[list[int]]:
    """Counts the rows of each UNet call."""
    seen: list[int] = []
    original = diffusers.UNet2DConditionModel.forward

    def counting(self: Any, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(len(sample))
        return original(self, sample, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffusers.UNet2DConditionModel, "forward", counting)
        yield seen


def test_inert_guidance_costs_one_row_a_step(
    checkpoint: str, faces: Faces, masks: torch.Tensor, rows: list[int]
) -> None:
    live = painter(checkpoint, scheduler="DDIMScheduler")
    live(faces, masks, seed=0)
    assert live.guidance == "live"
    assert rows == [4] * 4  # two faces with something hidden, with and without prompt
    rows.clear()
    with pytest.warns(UserWarning, match="`guidance_scale` = 4.0 does nothing") as caught:
        inert = painter(checkpoint, scheduler="DDIMScheduler", prompt="", negative_prompt="")
    result = inert(faces, masks, seed=0)
    assert len(caught) == 1
    assert inert.guidance == "inert"
    assert rows == [2] * 4
    off = painter(checkpoint, scheduler="DDIMScheduler", prompt="", guidance_scale=1.0)
    assert off.guidance == "off"
    assert torch.equal(result, off(faces, masks, seed=0))


def test_interval_guides_only_inside(checkpoint: str, faces: Faces, masks: torch.Tensor, rows: list[int]) -> None:
    inpainter = painter(checkpoint, scheduler="DDIMScheduler")

    def run(interval: tuple[float, float]) -> tuple[torch.Tensor, list[int]]:
        rows.clear()
        inpainter.sampling = replace(inpainter.sampling, guidance_interval=interval)
        return inpainter(faces, masks, seed=0), list(rows)

    whole, cost = run((0.0, 1.0))
    assert cost == [4, 4, 4, 4]
    early, cost = run((0.0, 0.5))
    assert cost == [4, 4, 2, 2]
    late, cost = run((0.5, 1.0))
    assert cost == [2, 2, 4, 4]
    _, cost = run((0.25, 0.5))
    assert cost == [2, 4, 2, 2]
    assert (whole - early).abs().max() > 2 / 255
    assert (early - late).abs().max() > 2 / 255


@pytest.mark.parametrize("interval", [(0.0, 0.5), (0.5, 1.0)])
def test_interval_equals_a_scale_switched_by_hand(
    checkpoint: str, interval: tuple[float, float], faces: Faces, masks: torch.Tensor
) -> None:
    """An independent way: guidance stays on, and outside the interval its scale makes it the prompt's prediction."""
    scales = [4.0 if interval[0] <= step / 4 < interval[1] else 1.0 + 1e-6 for step in range(5)]

    def switch(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        pipe._guidance_scale = scales[step + 1]
        return {}

    keys = {"guidance_scale": scales[0], "callback_on_step_end": switch, "negative_prompt": "bald"}
    theirs = reference(checkpoint, faces, masks, "DDIMScheduler", **keys)
    ours = painter(checkpoint, scheduler="DDIMScheduler", guidance_interval=interval, negative_prompt="bald")
    assert (ours(faces, masks, seed=7) - theirs).abs().max() <= 2 / 255


def test_out_of_memory_halves_the_batch(sd_inpaint: str) -> None:
    faces, masks = some_faces(5, 32, 32), some_masks(5, 32, 32)
    whole = painter(sd_inpaint, batch_size=4)(faces, masks, seed=0)
    original = diffusers.UNet2DConditionModel.forward

    def small(self: Any, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if len(sample) > 4:  # two faces, with and without prompt
            raise torch.OutOfMemoryError("fault injected by the test")
        return original(self, sample, *args, **kwargs)

    tight = painter(sd_inpaint, batch_size=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffusers.UNet2DConditionModel, "forward", small)
        with pytest.warns(UserWarning, match="going on with `batch_size` = 2"):
            result = tight(faces, masks, seed=0)
    assert tight.batch_size == 2
    assert (result - whole).abs().max() <= 2 / 255


def test_out_of_memory_on_one_image_is_an_error(sd_inpaint: str, faces: Faces, masks: torch.Tensor) -> None:
    def never(self: Any, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("fault injected by the test")

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        patch.setattr(diffusers.UNet2DConditionModel, "forward", never)
        with pytest.raises(torch.OutOfMemoryError):
            painter(sd_inpaint, batch_size=4)(faces, masks, seed=0)


def test_each_prompt_is_encoded_once(checkpoint: str, faces: Faces, masks: torch.Tensor) -> None:
    inpainter = painter(checkpoint, prompt="a photo of a face, {expression}, {glasses}")
    calls: list[int] = []
    hook = inpainter.pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    first = inpainter(faces, masks, seed=0)
    inpainter(faces, masks, seed=0, draw=1)
    hook.remove()
    # Smiling without glasses, neutral with glasses, and the negative prompt; the third face hides nothing.
    assert len(calls) == 3
    smiling = painter(checkpoint, prompt="a photo of a face, smiling")(faces, masks, seed=0)
    assert (first[0] - smiling[0]).abs().max() <= 2 / 255
    assert (first[1] - smiling[1]).abs().max() > 2 / 255


def test_words_it_was_not_taught_are_told(sd_inpaint: str) -> None:
    with pytest.warns(UserWarning, match="was not taught: 火"):
        painter(sd_inpaint, prompt="a face, 火")


def test_face_crop_paints_the_box_alone(checkpoint: str) -> None:
    faces, masks = some_faces(3, 96, 80), torch.zeros(3, 1, 96, 80, dtype=torch.bool)
    masks[0, :, 40:56, 40:56] = True
    masks[1, :, :10, :10] = True
    masks[2] = True
    shown: list[torch.Tensor] = []
    inpainter = painter(checkpoint, crop="face", crop_padding=0.5, guidance_scale=1.0)
    original = inpainter._sample

    def watch(images: torch.Tensor, *rest: Any) -> torch.Tensor:
        shown.append(images)
        return original(images, *rest)

    inpainter._sample = watch  # type: ignore[method-assign]
    result = inpainter(faces, masks, seed=0)
    assert torch.equal(result.masked_select(~masks), faces.images.masked_select(~masks))
    # 16 pixels and twice 8 of padding are the 32 of the native size: no resizing, so kept pixels are seen as they are.
    box = faces.images[0, :, 32:64, 32:64]
    kept = ~masks[0, :, 32:64, 32:64].expand(3, -1, -1)
    assert torch.allclose(shown[0][0][kept], box[kept], atol=1e-6)
    one = inpainter(Faces(faces.ids[:1], faces.images[:1]), masks[:1], seed=0)
    assert (one - result[:1]).abs().max() <= 2 / 255
    share = inpainter.latent_share(masks)
    assert share.tolist() == pytest.approx([256 / 7680, 100 / 7680, 1.0], rel=0.15)


def test_lora_changes_the_picture(sd_inpaint: str, lora: str, faces: Faces, masks: torch.Tensor) -> None:
    plain = painter(sd_inpaint)(faces, masks, seed=0)
    nothing = painter(sd_inpaint, lora=lora, lora_scale=0.0)(faces, masks, seed=0)
    fused = painter(sd_inpaint, lora=lora)(faces, masks, seed=0)
    assert (plain - nothing).abs().max() <= 1e-5
    assert (plain - fused).abs().max() > 2 / 255
    pipe = AutoPipelineForInpainting.from_pretrained(sd_inpaint)
    pipe.load_lora_weights(lora)  # not fused: diffusers' other way
    ours = painter(sd_inpaint)
    ours.pipe = pipe
    pipe.set_progress_bar_config(disable=True)
    assert (ours(faces, masks, seed=0) - fused).abs().max() <= 2 / 255


def test_keys_for_speed_change_no_picture(sd_inpaint: str, faces: Faces, masks: torch.Tensor) -> None:
    plain = painter(sd_inpaint, channels_last=False)(faces, masks, seed=0)
    fast = painter(sd_inpaint, channels_last=True, attention_slicing=True)(faces, masks, seed=0)
    assert (plain - fast).abs().max() <= 2 / 255
    half = DiffusionInpainter.from_pretrained(sd_inpaint, dtype="bfloat16", device="cpu", num_inference_steps=4)
    result = half(faces, masks, seed=0)
    assert result.dtype == torch.float32
    assert half.pipe.unet.dtype == torch.bfloat16
    assert result.isfinite().all()


def test_compiled_unet_paints_the_same(
    sd_inpaint: str, faces: Faces, masks: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph is captured as ever; code generation, which takes minutes, is left out."""
    plain = painter(sd_inpaint, num_inference_steps=2)(faces, masks, seed=0)
    original = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **keys: original(self, backend="eager", **keys))
    compiled = painter(sd_inpaint, num_inference_steps=2, compile=True)
    assert compiled.pipe.unet._compiled_call_impl is not None
    assert compiled.fills_batches
    assert (compiled(faces, masks, seed=0) - plain).abs().max() <= 2 / 255


def test_filling_batches_changes_no_picture(checkpoint: str) -> None:
    """Five faces, four with something hidden, three at a time: what is compiled sees batches of three alone."""
    faces, masks = some_faces(5, 32, 32), some_masks(5, 32, 32)
    plain = painter(checkpoint, batch_size=3)(faces, masks, seed=0)
    filling = painter(checkpoint, batch_size=3)
    filling.fills_batches = True
    shapes: list[int] = []
    original = filling._sample

    def watch(images: torch.Tensor, *rest: Any) -> torch.Tensor:
        shapes.append(len(images))
        return original(images, *rest)

    filling._sample = watch  # type: ignore[method-assign]
    assert (filling(faces, masks, seed=0) - plain).abs().max() <= 2 / 255
    assert shapes == [3, 3]


def test_round_trip_is_the_mode_of_the_autoencoder(checkpoint: str, faces: Faces, masks: torch.Tensor) -> None:
    inpainter = painter(checkpoint)
    vae = diffusers.AutoencoderKL.from_pretrained(checkpoint, subfolder="vae")
    with torch.no_grad():
        mean = vae.encode(faces.images * 2 - 1).latent_dist.parameters.chunk(2, dim=1)[0]
        expected = (vae.decode(mean).sample / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(inpainter.round_trip(faces, masks), expected, atol=1e-5)


def test_latent_share_counts_cells_as_diffusers_does(sd_inpaint: str) -> None:
    masks = torch.zeros(3, 1, 32, 32, dtype=torch.bool)
    masks[0, :, ::2, ::2] = True  # every cell's top left pixel: nearest takes just those
    masks[1, :, 1::2, 1::2] = True  # and none of these
    masks[2, :, 8:24, 8:24] = True
    inpainter = painter(sd_inpaint)
    mask, _ = inpainter.pipe.prepare_mask_latents(
        masks.float(), torch.zeros(3, 4, 16, 16), 3, 32, 32, torch.float32, "cpu", None, False
    )
    assert inpainter.latent_share(masks).tolist() == mask.mean(dim=(1, 2, 3)).tolist() == [1.0, 0.0, 0.25]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"guidance_scale": 0.5}, "`guidance_scale` must be at least 1"),
        ({"num_inference_steps": 0}, "`num_inference_steps` must be at least 1"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"strength": 0.1}, "`strength` must lie in"),
        ({"strength": 1.5}, "`strength` must lie in"),
        ({"guidance_interval": [0.5, 0.5]}, "`guidance_interval` must be"),
        ({"guidance_interval": [0.5]}, "`guidance_interval` must be"),
        ({"crop": "mask"}, "`crop` must be none or face"),
        ({"native_size": 33}, "`native_size` must be one or two .* multiples of 2"),
        ({"scheduler": "Euler"}, "`scheduler` must be one of .*EulerDiscreteScheduler"),
        ({"prompt": "a {shoe}"}, "`prompt` may hold the fields"),
        ({"offload": True}, "`offload`"),
        ({"seamless": True, "keep_pixels": False}, "`keep_pixels: false`.*inpainting.seamless=false"),
    ],
)
def test_values_out_of_range(sd_inpaint: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        painter(sd_inpaint, **changes)


def test_attributes_the_data_lacks(sd_inpaint: str, faces: Faces, masks: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"\{hair\}.*Black_Hair.*data has Smiling, Eyeglasses"):
        painter(sd_inpaint, prompt="a face, {hair}")(faces, masks, seed=0)


def test_masks_of_another_size(sd_inpaint: str, faces: Faces) -> None:
    with pytest.raises(Exception, match="masks"):
        painter(sd_inpaint)(faces, some_masks(5, 16, 16), seed=0)
