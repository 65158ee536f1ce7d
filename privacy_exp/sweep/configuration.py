"""The configuration of a cell: its top-level keys checked once, and all of it as plain values."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from privacy_exp import UserError
from privacy_exp.runs.folder import FORMATS

MEASURES = ("judge", "attacker", "utility")
"""Config groups of which any number may be chosen; each looks at the finished run."""

HEADLINES = (
    "accuracy",
    "accuracy_anonymized",
    "fool_rate",
    "fool_rate_at_5",
    "control_fool_rate",
    "fool_rate_net",
    "strongest_observer",
)
"""Metrics that every record has; all others have a slash in their name."""


def check_keys(config: DictConfig) -> None:
    """Checks the top-level keys once, at the boundary.

    Raises:
        UserError: names the key, what is allowed and what came.
    """
    if (
        isinstance(config.mask_ratio, bool)
        or not isinstance(config.mask_ratio, int | float)
        or not 0 <= config.mask_ratio <= 1
    ):
        raise UserError(f"`mask_ratio` must lie in [0, 1], but got {config.mask_ratio}.")
    if config.image_format not in FORMATS:
        raise UserError(f"`image_format` must be one of {sorted(FORMATS)}, but got {config.image_format!r}.")
    if isinstance(config.seed, bool) or not isinstance(config.seed, int) or config.seed < 0:
        raise UserError(f"`seed` must be a whole number of at least 0, but got {config.seed!r}.")
    if isinstance(config.batch_size, bool) or not isinstance(config.batch_size, int) or config.batch_size < 1:
        raise UserError(f"`batch_size` must be a whole number of at least 1, but got {config.batch_size}.")
    for name in config.objective or [None]:
        group = str(name).partition("/")[0]
        chosen = group not in MEASURES or len(config[group]) > 0
        if not isinstance(name, str) or ("/" not in name and name not in HEADLINES) or not chosen:
            raise UserError(
                f"`objective` takes {', '.join(HEADLINES)}, or metrics of a judge, attacker or utility measure that is "
                f"chosen, such as judge/NAME/rank_1 with judge=[NAME], but got {list(config.objective)}."
            )
    if "strategy" in config.trainer and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise UserError(
            "`trainer=ddp` is for one large run; in a sweep every cell takes one device: use trainer=gpu with "
            "hydra/launcher=joblib, submitit_slurm or ray."
        )
    accelerator = config.trainer.get("accelerator")
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise UserError("`trainer=gpu` needs a CUDA device, and torch sees none; use trainer=cpu.")


def plain_config(config: DictConfig, except_for: Collection[str] = ()) -> dict[str, Any]:
    """The resolved configuration as plain values.

    Args:
        config: composed.
        except_for: top-level keys that are not asked for here, and left out.

    Raises:
        UserError: a key that still has to be given (`???`), by its name.
    """
    config = OmegaConf.masked_copy(config, [key for key in config if key not in except_for])
    missing = OmegaConf.missing_keys(config)
    if missing:
        names = ", ".join(sorted(missing))
        raise UserError(f"{names} must be given: add {sorted(missing)[0]}=VALUE to the command line.")
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)  # noqa: S101  a DictConfig always gives a dict
    return {str(key): value for key, value in plain.items()}


def trainer_of(recorded: Mapping[str, Any], source: object) -> dict[str, Any]:
    """The trainer that a record describes, as a part for Hydra: always Lightning's, whatever the record names.

    Args:
        recorded: its keywords.
        source: the record, for messages.

    Raises:
        UserError: keywords that are not plain values.
    """
    keywords = {name: value for name, value in recorded.items() if not name.startswith("_")}
    if odd := [name for name, value in keywords.items() if isinstance(value, Mapping | list)]:
        raise UserError(f"{source} gives the trainer's `{odd[0]}` as {keywords[odd[0]]!r}, which is no plain value.")
    return {"_target_": "pytorch_lightning.Trainer", "_partial_": True, **keywords}
