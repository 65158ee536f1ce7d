"""Builds an untrained inpainting pipeline, or takes one apart for fine-tuning, and saves what was trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from transformers import CLIPTextConfig, CLIPTextModel

from privacy_exp.inpainting.captions import tokenizer

LORA_TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
"""The linear layers of the UNet's attention."""


def build_autoencoder(keys: Mapping[str, Any]) -> AutoencoderKL:
    """A fresh autoencoder without attention, which would cost most of its time.

    Args:
        keys: keywords of `AutoencoderKL`; one block a level is added.
    """
    levels = len(keys["block_out_channels"])
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        mid_block_add_attention=False,
        **_tuples(keys),
    )


def build_pipeline(autoencoder: AutoencoderKL, networks: Mapping[str, Any]) -> StableDiffusionInpaintPipeline:
    """An inpainting pipeline with a fresh UNet and text encoder.

    Args:
        autoencoder: of the first stage.
        networks: `unet`, `text` and `scheduler`, keywords of their classes.
    """
    words = tokenizer(networks["text"]["max_position_embeddings"])
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    width = networks["text"]["hidden_size"]
    text = CLIPTextConfig(vocab_size=len(words), projection_dim=width, **ends, **networks["text"])
    latent = autoencoder.config.latent_channels
    unet = UNet2DConditionModel(
        in_channels=2 * latent + 1, out_channels=latent, cross_attention_dim=width, **_tuples(networks["unet"])
    )
    return StableDiffusionInpaintPipeline(
        vae=autoencoder,
        text_encoder=CLIPTextModel(text),
        tokenizer=words,
        unet=unet,
        scheduler=DDIMScheduler(**networks["scheduler"]),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _tuples(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in keys.items()}


def add_lora(unet: UNet2DConditionModel, rank: int) -> None:
    """Freezes a UNet and adds trainable low-rank layers to its attention.

    Args:
        unet: changed in place.
        rank: of the layers.

    Raises:
        ValueError: for a rank below 1.
    """
    if rank < 1:
        raise ValueError(f"`lora_rank` must be at least 1, but got {rank}.")
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=LORA_TARGETS))


def save_lora(unet: UNet2DConditionModel, folder: Path) -> None:
    """Saves the low-rank layers as `inpainting.lora=FOLDER` reads them.

    Args:
        unet: after `add_lora`.
        folder: to write into.
    """
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionInpaintPipeline.save_lora_weights(folder, unet_lora_layers=layers, safe_serialization=True)


def save_pipeline(pipe: StableDiffusionInpaintPipeline, folder: Path, dtype: torch.dtype) -> None:
    """Saves a pipeline as an ordinary diffusers folder of safetensors.

    Args:
        pipe: converted to `dtype` in place.
        folder: to write into; other files in it stay.
        dtype: of the saved weights.
    """
    for part in (pipe.vae, pipe.unet, pipe.text_encoder):
        part.to(dtype)
    pipe.save_pretrained(folder, safe_serialization=True)
