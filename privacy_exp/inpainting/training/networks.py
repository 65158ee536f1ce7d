"""Builds an untrained inpainting pipeline, or takes one apart for fine-tuning, and saves what was trained."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from privacy_exp.cache.files import write_text
from privacy_exp.inpainting.prompts import SUBJECT
from privacy_exp.inpainting.training.captions import tokenizer
from privacy_exp.types import UserError

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
    words, text_encoder = build_text(networks["text"])
    width = text_encoder.config.hidden_size
    latent = autoencoder.config.latent_channels
    unet = UNet2DConditionModel(
        in_channels=2 * latent + 1, out_channels=latent, cross_attention_dim=width, **_tuples(networks["unet"])
    )
    return StableDiffusionInpaintPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=words,
        unet=unet,
        scheduler=DDIMScheduler(**networks["scheduler"]),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def build_text(keys: Mapping[str, Any]) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """A small vocabulary and a fresh text encoder for it, in which words start far apart.

    Words get embeddings of unit spread and positions little; the words of the subject, the comma and the tokens at a
    prompt's ends (which also fill it up) start at zero, so that a prompt's embedding is that of what it says. From the
    usual start two prompts differ by a few percent: noise to the UNet, which training flattens before it is of use.

    Args:
        keys: keywords of `CLIPTextConfig`.
    """
    words = tokenizer(keys["max_position_embeddings"])
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    config = CLIPTextConfig(vocab_size=len(words), projection_dim=keys["hidden_size"], **ends, **keys)
    encoder = CLIPTextModel(config)
    tokens: nn.Embedding = encoder.get_input_embeddings()
    nn.init.normal_(tokens.weight)
    nn.init.normal_(encoder.embeddings.position_embedding.weight, std=0.004)
    with torch.no_grad():
        tokens.weight[words(f"{SUBJECT},").input_ids] = 0
    return words, encoder


@torch.no_grad()
def take_matching(network: nn.Module, source: nn.Module) -> float:
    """Copies every weight of `source` that `network` has under the same name and in the same shape.

    Args:
        network: changed in place.
        source: trained, of other latent channels, for example.

    Returns:
        The share of the network's weights that were copied, in [0, 1].

    Example:
        >>> wide, narrow = (nn.Sequential(nn.Linear(4, 4), nn.Linear(4, outputs)) for outputs in (3, 2))
        >>> round(take_matching(narrow, wide), 2)
        0.67
    """
    own, given = network.state_dict(), source.state_dict()
    same = [name for name, weight in own.items() if name in given and given[name].shape == weight.shape]
    for name in same:
        own[name].copy_(given[name])
    return sum(own[name].numel() for name in same) / sum(weight.numel() for weight in own.values())


def _tuples(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in keys.items()}


def add_lora(unet: UNet2DConditionModel, rank: int) -> None:
    """Freezes a UNet and adds trainable low-rank layers to its attention.

    Args:
        unet: changed in place.
        rank: of the layers.

    Raises:
        UserError: for a rank below 1.
    """
    if rank < 1:
        raise UserError(f"`lora_rank` must be at least 1, but got {rank}.")
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
    for file in (folder / "model_index.json", *folder.glob("*/config.json")):
        config = json.loads(file.read_text())
        if config.pop("_name_or_path", None) is not None:  # where a fine-tuning started from: a path of this machine
            write_text(file, json.dumps(config, indent=2) + "\n")
