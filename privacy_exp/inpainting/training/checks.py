"""What a training is asked to do, checked before a photo is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from privacy_exp.types import UserError

STAGES = ("autoencoder", "unet", "export")
PARTS = ("train", "val", "test")
DTYPES = ("float16", "bfloat16", "float32")
COUNTS = ("steps", "batch_size", "validate_every", "patience")
"""Whole numbers of a stage of at least 1; the last two may be null."""


def check_recipe(config: Mapping[str, Any]) -> None:
    """Checks the keys of conf/train_inpainter.yaml and whether they go together.

    Raises:
        UserError: names the key, what is allowed and what came.
    """
    for key, known in (("stages", STAGES), ("parts", PARTS)):
        if not config[key] or set(config[key]) - set(known):
            raise UserError(f"`{key}` must name one or more of {', '.join(known)}, but got {list(config[key])}.")
    for key in ("crop", "colour", "held_out_people"):
        if not _number(config[key]) or not 0 <= config[key] < 1:
            raise UserError(f"`{key}` must lie in [0, 1), but got {config[key]}.")
    for key in ("max_photos", "lora_rank", "checkpoint_every", "log_every"):
        _check_count(key, config[key], optional=key in ("max_photos", "lora_rank"))
    for stage in ("autoencoder", "unet"):
        for key in COUNTS:
            _check_count(f"{stage}.{key}", config[stage][key], optional=key in ("validate_every", "patience"))
        rate, average = config[stage]["lr"], config[stage]["ema"]
        if not _number(rate) or rate <= 0:
            raise UserError(f"`{stage}.lr` must be a number above 0, but got {rate}.")
        if not _number(average) or not 0 <= average < 1:
            raise UserError(f"`{stage}.ema` must lie in [0, 1), but got {average}.")
    if config["unet"]["train"] not in ("all", "text"):
        raise UserError(f"`unet.train` must be all or text, but got {config['unet']['train']}.")
    if config["export_dtype"] not in DTYPES:
        raise UserError(f"`export_dtype` must be one of {', '.join(DTYPES)}, but got {config['export_dtype']}.")
    _check_together(config)


def _check_together(config: Mapping[str, Any]) -> None:
    if not _number(config["autoencoder"]["equivariance"]) or not 0 <= config["autoencoder"]["equivariance"] <= 1:
        raise UserError(
            f"`autoencoder.equivariance` must lie in [0, 1], but got {config['autoencoder']['equivariance']}."
        )
    for key in ("init_from", "autoencoder_from", "warm_start"):
        given = config[key]
        if given is not None and "/" not in str(given) and not Path(given).is_dir():
            raise UserError(f"`{key}` must be a folder or a hub id (owner/name), but there is no {given}.")
    if config["autoencoder_from"] is not None and config["init_from"] is not None:
        raise UserError("`autoencoder_from` and `init_from` both name an autoencoder; leave one of them null.")
    if config["warm_start"] is not None and config["init_from"] is not None:
        raise UserError("`warm_start` and `init_from` both say which weights come first; leave one of them null.")
    if config["fresh_text"] and config["init_from"] is None:
        raise UserError("`fresh_text` replaces the text encoder of a given checkpoint, but `init_from` is null.")
    if config["lora_rank"] is None:
        return
    if config["init_from"] is None:
        raise UserError("`lora_rank` changes a given checkpoint, but `init_from` is null. Name one there.")
    if config["fresh_text"] or config["unet"]["train_text"] or config["unet"]["train"] != "all":
        raise UserError(
            "`lora_rank` saves low-rank layers of the UNet alone: leave `fresh_text`, `unet.train_text` and "
            "`unet.train` at their defaults, or train without it."
        )


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_count(key: str, value: object, optional: bool) -> None:
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        null = " or null" if optional else ""
        raise UserError(f"`{key}` must be a whole number of at least 1{null}, but got {value}.")
