"""Finds and loads diffusers checkpoints: a folder, a part of the package, or the hub's cache before the hub."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import diffusers
import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import logging as diffusers_logging
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from transformers.utils import logging as transformers_logging

from privacy_exp.types import UserError

Pipeline: TypeAlias = StableDiffusionInpaintPipeline | StableDiffusionXLInpaintPipeline
_Loaded = TypeVar("_Loaded")

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


def load_pipeline(checkpoint: str, revision: str | None, variant: str | None, dtype: torch.dtype) -> Pipeline:
    """An inpainting pipeline on the CPU, without safety checker or watermark.

    Args:
        checkpoint: folder, path inside the package that begins with `privacy_exp/`, or hub id.
        revision: commit, tag or branch on the hub; None for its main branch.
        variant: suffix of the weight files, such as "fp16".
        dtype: of the weights.

    Raises:
        UserError: where it is no Stable Diffusion (XL) checkpoint, or its UNet can't inpaint.
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
        name = DiffusionPipeline.load_config(place, **source)["_class_name"]
        if name not in FAMILIES:
            raise UserError(
                f"`checkpoint` must hold one of {', '.join(FAMILIES)}, but {place} holds {name}, "
                "which is not an inpainting pipeline of that family."
            )
        family, without = FAMILIES[name]
        pipe: Pipeline = family.from_pretrained(
            place, **source, **without, variant=variant, dtype=dtype, use_safetensors=True
        )
        return pipe

    pipe = _cached_first(load, place)
    channels = pipe.unet.config.in_channels
    if channels not in (4, 9):
        raise UserError(f"`checkpoint` must have a UNet of 4 or 9 input channels, but that of {place} has {channels}.")
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
        UserError: for a folder without autoencoder or UNet.
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
        vae = AutoencoderKL.from_pretrained(
            place, subfolder="vae", **source, variant=variant, dtype=dtype, use_safetensors=True
        )
        cells = UNet2DConditionModel.load_config(place, subfolder="unet", **source)["sample_size"]
        return vae, cells * 2 ** (len(vae.config.block_out_channels) - 1)

    return _cached_first(load, place)


def load_lora(pipe: Pipeline, lora: str, revision: str | None, scale: float) -> None:
    """Fuse LoRA weights into a pipeline, so that they cost nothing at run time.

    Args:
        pipe: the pipeline, changed in place.
        lora: folder, .safetensors file or hub id (of a repository with a pytorch_lora_weights.safetensors).
        revision: commit, tag or branch on the hub.
        scale: weight of the change, usually 1.

    Raises:
        UserError: where nothing in it fits the pipeline.
        FileNotFoundError: where there is no such folder or file.
        ConnectionError: where it is not in the cache and the hub can't be reached or refuses.
    """
    place = resolve(lora, "lora")

    def load(local_files_only: bool) -> None:
        pipe.load_lora_weights(
            place,
            # Without network a repository can't be asked for its files' names; a folder or a file needs no telling.
            weight_name=None if Path(place).exists() else "pytorch_lora_weights.safetensors",
            revision=revision,
            local_files_only=local_files_only,
            use_safetensors=True,
        )

    _cached_first(load, place, "lora")
    if not pipe.get_active_adapters():
        raise UserError(f"`lora` must hold weights for this checkpoint's UNet or text encoder, but {place} has none.")
    pipe.fuse_lora(lora_scale=scale)
    pipe.unload_lora_weights()


def resolve(checkpoint: str, name: str = "checkpoint") -> str:
    """The folder or hub id that a `checkpoint` key means.

    Args:
        checkpoint: folder, path inside the package that begins with `privacy_exp/`, or hub id.
        name: of the key, for the error.

    Raises:
        FileNotFoundError: where it can only be a folder and is not there.
    """
    if checkpoint.startswith("privacy_exp/"):
        inside = Path(str(files("privacy_exp"))).joinpath(*checkpoint.split("/")[1:])
        if not inside.exists():
            raise FileNotFoundError(f"`{name}` names {checkpoint}, but the installed package has no {inside}.")
        return str(inside)
    path = Path(checkpoint).expanduser()
    if path.exists():
        return str(path)
    if checkpoint.startswith(("/", ".", "~")) or checkpoint.count("/") != 1:
        raise FileNotFoundError(f"`{name}` must be a folder or a hub id (owner/name), but there is no {checkpoint}.")
    return checkpoint


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


def _cached_first(load: Callable[[bool], _Loaded], place: str, name: str = "checkpoint") -> _Loaded:
    """Load from disk alone, and only where that fails from the hub."""
    with _quiet():
        if Path(place).exists():
            return load(True)
        try:
            return load(True)
        except (OSError, HFValidationError) as missing:
            try:
                return load(False)
            except (OSError, HfHubHTTPError, HFValidationError) as refused:
                raise ConnectionError(
                    f"`{name}` is {place}, which is neither a folder nor whole in the hub's cache ({_first(missing)}), "
                    f"and the hub did not give it ({_first(refused)}). Check the name and the revision, fetch it once "
                    "with network, or give the path of a folder."
                ) from refused


def _check_variant(place: str, part: str, variant: str | None) -> None:
    folder = Path(place) / part
    if variant is not None and folder.is_dir() and not any(folder.glob(f"*.{variant}*.safetensors")):
        raise UserError(
            f"`variant` is {variant}, but {folder} has no *.{variant}.safetensors. "
            "Set `inpainting.variant=null` to take the plain files."
        )


def _first(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(". ")


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no chatter while parts load: the stage has a bar of its own."""
    bars = diffusers_logging.is_progress_bar_enabled()
    levels = diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()
    transformers_bars = transformers_logging.is_progress_bar_enabled()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity(logging.ERROR)
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(levels[0])
        transformers_logging.set_verbosity(levels[1])
        if bars:
            diffusers_logging.enable_progress_bar()
        if transformers_bars:
            transformers_logging.enable_progress_bar()
