"""Fuses LoRA weights into a checkpoint, all of them or none."""

import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from privacy_exp.inpainting.hub import cached_first, commit, first_line, heard, resolve
from privacy_exp.inpainting.loading import Pipeline, listed
from privacy_exp.inpainting.settings import Lora
from privacy_exp.types import UserError

WEIGHTS = "pytorch_lora_weights.safetensors"
"""The file that is read of a repository on the hub."""

# What the names of its weights end in, in the ways that diffusers, PEFT and kohya write them.
_ENDING = re.compile(
    r"[._](lora_[AB]|lora\.(down|up)|lora_(down|up)|lora_linear_layer\.(down|up))(\.default)?\.weight$"
)


def fuse_lora(pipe: Pipeline, lora: Lora) -> None:
    """Fuse LoRA weights into a pipeline, so that they cost nothing at run time.

    Args:
        pipe: the pipeline, changed in place.
        lora: which weights, and how much of them.

    Raises:
        UserError: where the file can't be read, or any of its weights fits no part of the pipeline.
        FileNotFoundError: where there is no such folder or file.
        ConnectionError: where it is not in the cache and the hub can't be reached or refuses.
    """
    place = resolve(lora.weights, "lora")
    another = "Was it made for another base? Give the LoRA of this checkpoint, or none."

    def load(local_files_only: bool) -> list[str]:
        keys = {
            # Without network a repository can't be asked for its files' names; a folder or a file needs no telling.
            "weight_name": None if Path(place).exists() else WEIGHTS,
            "revision": lora.revision,
            "local_files_only": local_files_only,
            "use_safetensors": True,
        }
        try:
            weights: dict[str, Tensor] = pipe.lora_state_dict(place, unet_config=pipe.unet.config, **keys)[0]
        except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
            raise UserError(f"`lora`: {place} can't be read as LoRA weights: {first_line(error)}.") from error
        _check(place, pipe, weights, another)
        try:
            with heard() as said:
                pipe.load_lora_weights(place, **keys)
        except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
            raise UserError(f"`lora`: {place} does not fit this checkpoint: {_reason(error)}. {another}") from error
        return said

    said = cached_first(load, place, "lora")
    if said:
        raise UserError(f"`lora`: not all of {place} fits this checkpoint: {said[0]} {another}")
    if not pipe.get_active_adapters():
        raise UserError(f"`lora` must hold weights for this checkpoint's UNet or text encoder, but {place} has none.")
    lora._arguments["revision"] = commit(place, WEIGHTS, lora.revision)
    pipe.fuse_lora(lora_scale=lora.scale)
    pipe.unload_lora_weights()


def _check(place: str, pipe: Pipeline, weights: dict[str, Tensor], another: str) -> None:
    """Refuse weights that are not finite, and those of modules that the pipeline lacks."""
    broken = [name for name, value in weights.items() if not value.float().isfinite().all()]
    if broken:
        raise UserError(
            f"`lora`: {len(broken)} of the {len(weights)} weights of {place} hold NaN or infinite values "
            f"({listed(broken)})."
        )
    modules = {
        f"{part}.{name}"
        for part in ("unet", "text_encoder", "text_encoder_2")
        if isinstance(network := getattr(pipe, part, None), torch.nn.Module)
        for name, _ in network.named_modules()
    }
    # `text_model.` stands in a text encoder's names or not, and old UNets name their projections by a processor.
    known = {_plain(name) for name in modules}
    named = {_ENDING.sub("", name) for name in weights if _ENDING.search(name)}
    unmatched = sorted(name for name in named if _plain(name) not in known)
    if unmatched:
        raise UserError(
            f"`lora`: {len(unmatched)} of the {len(named)} modules that {place} changes are not in this checkpoint "
            f"({listed(unmatched)}). {another}"
        )


def _plain(name: str) -> str:
    """One spelling for a module's name: files have several."""
    name = name.replace(".processor.", ".").replace("text_model.", "").replace(".to_out.0", ".to_out")
    return re.sub(r"\.self_attn\.to_(q|k|v|out)$", r".self_attn.\1_proj", name)


def _reason(error: BaseException) -> str:
    """What an error says beyond its first line, which in torch's names the class alone."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 and lines[0].endswith(":") else first_line(error)).rstrip(". ")
