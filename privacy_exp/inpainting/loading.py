"""Loads diffusers checkpoints whole or not at all: weights that are missing, left over or not finite are an error."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import diffusers
import torch
import yaml
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from safetensors import SafetensorError
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from privacy_exp.inpainting.hub import cached_first, first_line, resolve
from privacy_exp.types import UserError

Pipeline: TypeAlias = StableDiffusionInpaintPipeline | StableDiffusionXLInpaintPipeline

# What a checkpoint says it was saved from -> the pipeline that inpaints with it, and what it must not load: a safety
# checker's black image would count as privacy, and a watermark changes pixels.
_SD: tuple[type[Pipeline], dict[str, Any]] = (
    StableDiffusionInpaintPipeline,
    {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
)
_SDXL: tuple[type[Pipeline], dict[str, Any]] = (StableDiffusionXLInpaintPipeline, {"add_watermarker": False})
FAMILIES = {
    "StableDiffusionInpaintPipeline": _SD,
    "StableDiffusionPipeline": _SD,
    "StableDiffusionImg2ImgPipeline": _SD,
    "LatentConsistencyModelPipeline": _SD,
    "StableDiffusionXLInpaintPipeline": _SDXL,
    "StableDiffusionXLPipeline": _SDXL,
    "StableDiffusionXLImg2ImgPipeline": _SDXL,
}
PARTS: dict[str, type[nn.Module]] = {
    "vae": AutoencoderKL,
    "unet": UNet2DConditionModel,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
}
"""The parts that hold weights, and the only classes that they may be: a checkpoint's config chooses no code."""

DOMAINS = ("drawn", "photos")
"""What a checkpoint may say it was trained on, as `domain` at the head of its model card (README.md)."""


def load_pipeline(checkpoint: str, revision: str | None, variant: str | None, dtype: torch.dtype) -> Pipeline:
    """An inpainting pipeline on the CPU, without safety checker or watermark.

    Args:
        checkpoint: folder, path inside the package that begins with `privacy_exp/`, or hub id.
        revision: commit, tag or branch on the hub; None for its main branch.
        variant: suffix of the weight files, such as "fp16".
        dtype: of the weights.

    Raises:
        UserError: where it is not a Stable Diffusion (XL) checkpoint, can't inpaint, or lacks weights.
        FileNotFoundError: where there is no such folder.
        ConnectionError: where it is not in the cache and the hub can't be reached or refuses.
    """
    place = resolve(checkpoint)
    if Path(place).is_dir() and not (Path(place) / "model_index.json").is_file():
        raise UserError(
            f"`checkpoint` must be a folder that diffusers saved (with a model_index.json), but {place} has none. "
            "Convert a single weight file with `StableDiffusionInpaintPipeline.from_single_file(...).save_pretrained`."
        )
    _check_variant(place, "unet", variant)

    def load(local_files_only: bool) -> Pipeline:
        source = {"revision": revision, "local_files_only": local_files_only}
        index = DiffusionPipeline.load_config(place, **source)
        name = index["_class_name"]
        if name not in FAMILIES:
            raise UserError(
                f"`checkpoint` must hold one of {', '.join(FAMILIES)}, but {place} holds {name}, "
                "which is not an inpainting pipeline of that family."
            )
        family, without = FAMILIES[name]
        folder = Path(place)
        if not folder.is_dir():
            folder = Path(family.download(place, **source, **without, variant=variant, use_safetensors=True))
        parts = {part: _part(folder, part, index[part], variant, dtype) for part in PARTS if part in index}
        pipe: Pipeline = family.from_pretrained(folder, **parts, **without, dtype=dtype, local_files_only=True)
        return pipe

    pipe = cached_first(load, place)
    channels, wide = int(pipe.unet.config.in_channels), 2 * int(pipe.vae.config.latent_channels) + 1
    if channels not in (4, wide):
        raise UserError(
            f"`checkpoint` must have a UNet of 4 or {wide} input channels, but that of {place} has {channels}."
        )
    if channels not in (4, 9):
        pipe.unet.register_to_config(in_channels=_InpaintingChannels(channels))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def load_autoencoder(
    checkpoint: str, revision: str | None, variant: str | None, dtype: torch.dtype
) -> tuple[AutoencoderKL, int]:
    """The autoencoder of a checkpoint, and the size in pixels its UNet was trained for.

    Args:
        checkpoint: folder, path inside the package that begins with `privacy_exp/`, or hub id.
        revision: commit, tag or branch on the hub; None for its main branch.
        variant: suffix of the weight files, such as "fp16".
        dtype: of the weights.

    Raises:
        UserError: for a folder without autoencoder or UNet, or weights that are not whole.
        FileNotFoundError: where there is no such folder.
        ConnectionError: where it is not in the cache and the hub can't be reached or refuses.
    """
    place = resolve(checkpoint)
    for part in ("vae", "unet"):
        if Path(place).is_dir() and not (Path(place) / part / "config.json").is_file():
            raise UserError(f"`checkpoint` must be a folder that diffusers saved, but {place} has no {part}/.")
    _check_variant(place, "vae", variant)

    def load(local_files_only: bool) -> tuple[AutoencoderKL, int]:
        source = {"revision": revision, "local_files_only": local_files_only}
        keys = {"subfolder": "vae", **source, "variant": variant, "dtype": dtype}
        vae = _whole(AutoencoderKL, place, f"{place}/vae", keys)
        cells = UNet2DConditionModel.load_config(place, subfolder="unet", **source)["sample_size"]
        return vae, cells * 2 ** (len(vae.config.block_out_channels) - 1)

    return cached_first(load, place)


class _InpaintingChannels(int):
    """The input channels of an inpainting UNet whose latents have another number of channels than 4.

    Diffusers' pipelines ask `in_channels == 9` where they mean: does the UNet get the mask and the masked picture? All
    else they compute from the number itself.
    """

    def __eq__(self, other: object) -> bool:
        return other == 9 or int(self) == other

    __hash__ = int.__hash__


def _part(folder: Path, part: str, named: list[str], variant: str | None, dtype: torch.dtype) -> nn.Module:
    kind = PARTS[part]
    if named[-1] != kind.__name__:
        raise UserError(f"`checkpoint` must have a {part} of the class {kind.__name__}, but {folder} has {named[-1]}.")
    # A part without files of the variant is taken in its plain form, as diffusers does.
    has_variant = variant is not None and any((folder / part).glob(f"*.{variant}*.safetensors"))
    keys = {"variant": variant if has_variant else None, "dtype": dtype, "local_files_only": True}
    return _whole(kind, str(folder / part), str(folder / part), keys)


def _whole(kind: Any, source: str, place: str, keys: dict[str, Any]) -> Any:
    """One part's weights, each of them from its files."""
    try:
        part, found = kind.from_pretrained(source, **keys, use_safetensors=True, output_loading_info=True)
    except (RuntimeError, ValueError, SafetensorError, KeyError) as error:
        raise UserError(f"`checkpoint`: the weights in {place} can't be read: {first_line(error)}.") from error
    check_weights(place, part, missing=found["missing_keys"], unexpected=found["unexpected_keys"])
    return part


def check_weights(place: str, part: nn.Module, missing: Iterable[str] = (), unexpected: Iterable[str] = ()) -> None:
    """Refuse a part whose weights are not all there, or that do not all have a place in it.

    Args:
        place: where they were read, for the error.
        part: the part, with its weights.
        missing: names of weights that no file holds.
        unexpected: names in its files that the part has no place for.

    Raises:
        UserError: naming the place, the part, how many weights are concerned and some of their names.
    """
    there = {name: value for name, value in part.state_dict().items() if not value.is_meta}  # meta: never filled in
    broken = [name for name, value in there.items() if not value.isfinite().all()]
    known = [name for name in unexpected if not name.endswith("position_ids")]  # a buffer in old text encoders
    for names, wrong in (
        (sorted(missing), "are missing, and random ones would be used"),
        (sorted(known), "have no place in it"),
        (broken, "hold NaN or infinite values"),
    ):
        if names:
            total = len(part.state_dict())
            raise UserError(
                f"`checkpoint`: {len(names)} weights of {place} {wrong} ({listed(names)}); the part is a "
                f"{type(part).__name__} with {total} weights. Download or convert the checkpoint again."
            )


def listed(names: list[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def domain_of(checkpoint: str) -> str | None:
    """What a checkpoint was trained on, as its model card says: "drawn", "photos", or None where it does not say.

    Args:
        checkpoint: folder, path inside the package that begins with `privacy_exp/`, or hub id (which never says).

    Raises:
        UserError: for another word.
    """
    card = Path(resolve(checkpoint)) / "README.md"
    head = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf-8"), re.DOTALL) if card.is_file() else None
    try:
        keys = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:  # a card of another tool: its head is none of ours
        return None
    domain = keys.get("domain") if isinstance(keys, dict) else None
    if domain is not None and domain not in DOMAINS:
        raise UserError(f"`domain` in {card} must be one of {', '.join(DOMAINS)}, but got {domain}.")
    return domain


def scheduler_named(name: str, pipe: Pipeline) -> Any:
    """A diffusers scheduler with the settings of the checkpoint's own.

    PNDM begins without Runge-Kutta steps, as in every Stable Diffusion checkpoint, where the settings don't say: 50
    steps are then 51 evaluations, not 59.

    Args:
        name: class name in `diffusers.schedulers`.
        pipe: the pipeline whose scheduler it replaces.

    Raises:
        UserError: for a class that diffusers lacks or that does not fit the pipeline.
    """
    # The last two don't count themselves among the others' kind; the first draws noise for a batch, not for an image.
    fitting = {kind.__name__ for kind in pipe.scheduler.compatibles} - {"DPMSolverSDEScheduler"}
    fitting |= {"LCMScheduler", "TCDScheduler"}
    if name not in fitting:
        raise UserError(f"`scheduler` must be one of {', '.join(sorted(fitting))}, but got {name}.")
    settings = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    return getattr(diffusers, name).from_config({**settings, **pipe.scheduler.config})


def _check_variant(place: str, part: str, variant: str | None) -> None:
    folder = Path(place) / part
    if variant is not None and folder.is_dir() and not any(folder.glob(f"*.{variant}*.safetensors")):
        raise UserError(
            f"`variant` is {variant}, but {folder} has no *.{variant}.safetensors. "
            "Set `inpainting.variant=null` to take the plain files."
        )
