"""Tiny checkpoints with random weights, of the very classes that Stable Diffusion and SDXL are made of."""

from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from privacy_exp.inpainting.prompts import words
from privacy_exp.types import Faces

WIDTH = 16  # of a text embedding


def tokenizer() -> CLIPTokenizer:
    tokens = ["<|startoftext|>", "<|endoftext|>", ",</w>", *(f"{word}</w>" for word in words())]
    # Without merges a word falls into letters, so letters are all that this tokenizer needs.
    letters = [letter for c in "abcdefghijklmnopqrstuvwxyz" for letter in (c, f"{c}</w>")]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys([*tokens, *letters]))}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def text_config(**changes: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer()),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        **changes,
    )


def vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=32,
    )


def unet(in_channels: int, **changes: object) -> UNet2DConditionModel:
    settings: dict[str, object] = {
        "sample_size": 16,
        "in_channels": in_channels,
        "out_channels": 4,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "cross_attention_dim": WIDTH,
    }
    return UNet2DConditionModel(**{**settings, **changes})


@pytest.fixture(scope="session")
def sd_inpaint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Stable Diffusion inpainting checkpoint: 9-channel UNet, native size 32."""
    torch.manual_seed(0)
    pipe = StableDiffusionInpaintPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(text_config()),
        tokenizer=tokenizer(),
        unet=unet(9),
        scheduler=PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return saved(pipe, tmp_path_factory.mktemp("sd_inpaint"))


@pytest.fixture(scope="session")
def sd_plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A plain text-to-image Stable Diffusion checkpoint: 4-channel UNet, native size 32."""
    torch.manual_seed(1)
    pipe = StableDiffusionPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(text_config()),
        tokenizer=tokenizer(),
        unet=unet(4),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return saved(pipe, tmp_path_factory.mktemp("sd_plain"))


@pytest.fixture(scope="session")
def sdxl_inpaint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An SDXL inpainting checkpoint: two text encoders, 9-channel UNet, native size 32."""
    torch.manual_seed(2)
    second = text_config(projection_dim=WIDTH)
    pipe = StableDiffusionXLInpaintPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(text_config()),
        text_encoder_2=CLIPTextModelWithProjection(second),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=unet(
            9,
            cross_attention_dim=2 * WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=WIDTH + 6 * 8,
        ),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
        add_watermarker=False,
    )
    return saved(pipe, tmp_path_factory.mktemp("sdxl_inpaint"))


@pytest.fixture(scope="session")
def lora(sd_inpaint: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """LoRA weights for the UNet of `sd_inpaint`, large enough to see."""
    pipe = StableDiffusionInpaintPipeline.from_pretrained(sd_inpaint, requires_safety_checker=False)
    torch.manual_seed(3)
    pipe.unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    folder = tmp_path_factory.mktemp("lora")
    StableDiffusionInpaintPipeline.save_lora_weights(folder, unet_lora_layers=get_peft_model_state_dict(pipe.unet))
    return str(folder)


def saved(pipe: object, folder: Path) -> str:
    pipe.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def faces() -> Faces:
    """Three smooth pictures of 32 px with labels and attributes."""
    return some_faces(3, 32, 32)


def some_faces(count: int, height: int, width: int) -> Faces:
    random = torch.Generator().manual_seed(count)
    coarse = torch.rand(count, 3, 4, 4, generator=random)
    images = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return Faces(
        ids=[f"person/{i:02d}" for i in range(count)],
        images=images,
        labels=torch.arange(count) % 3,
        attributes={"Smiling": torch.arange(count) % 2 == 0, "Eyeglasses": torch.arange(count) == 1},
    )


def some_masks(count: int, height: int, width: int) -> torch.Tensor:
    """Blocks in the middle, of another size in each image; the last image hides nothing."""
    masks = torch.zeros(count, 1, height, width, dtype=torch.bool)
    for i in range(count - 1):
        masks[i, :, height // 4 : height // 4 + height // (i + 2), width // 5 : 3 * width // 4] = True
    return masks


@pytest.fixture
def masks() -> torch.Tensor:
    """Masks for `faces`; the last one hides nothing."""
    return some_masks(3, 32, 32)
