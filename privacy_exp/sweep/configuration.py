"""The configuration of a cell: its top-level keys checked once, and all of it as plain values."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from privacy_exp import UserError
from privacy_exp.runs.formats import FORMATS

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

SWITCHES = ("dry_run", "rerun", "fit_only", "force_inert")


def check_keys(config: DictConfig) -> None:
    """Checks those top-level keys that a command has, before anything heavy is imported.

    Raises:
        UserError: names the key, what is allowed and what came.
    """
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise UserError(f"`{missing[0]}` must be given: add {missing[0]}=VALUE to the command line.")
    if "mask_ratio" in config and (not _is_number(config.mask_ratio) or not 0 <= config.mask_ratio <= 1):
        percent = f" (a share, not percent: {config.mask_ratio / 100:g}?)" if _is_percent(config.mask_ratio) else ""
        raise UserError(f"`mask_ratio` must lie in [0, 1], but got {config.mask_ratio}{percent}.")
    if "image_format" in config and config.image_format not in FORMATS:
        raise UserError(f"`image_format` must be one of {sorted(FORMATS)}, but got {config.image_format!r}.")
    for key, least in {"seed": 0, "batch_size": 1}.items():
        if key in config and (type(config[key]) is not int or config[key] < least):
            raise UserError(f"`{key}` must be a whole number of at least {least}, but got {config[key]!r}.")
    for key in SWITCHES:
        if key in config and not isinstance(config[key], bool):
            raise UserError(f"`{key}` must be true or false, but got {config[key]!r}.")
    if "objective" in config:
        _check_objective(config)
    _check_root(config)
    trainer = config.get("trainer")
    if trainer is not None:
        _check_trainer(trainer)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_percent(value: Any) -> bool:
    return _is_number(value) and 2 <= value <= 100


def _check_objective(config: DictConfig) -> None:
    names = config.objective if isinstance(config.objective, ListConfig) else [config.objective]
    for name in names or [None]:
        group = str(name).partition("/")[0]
        chosen = group not in MEASURES or len(config.get(group, {})) > 0
        if not isinstance(name, str) or ("/" not in name and name not in HEADLINES) or not chosen:
            raise UserError(
                f"`objective` takes {', '.join(HEADLINES)}, or metrics of a judge, attacker or utility measure that is "
                f"chosen, such as judge/NAME/rank_1 with judge=[NAME], but got {config.objective}."
            )


def _check_root(config: DictConfig) -> None:
    """A folder of photos that is not there is the commonest mistake, and need not wait for torch."""
    data = config.get("data") or {}
    root = data.get("root")
    if root is not None and not Path(str(root)).expanduser().is_dir():
        raise UserError(
            f"`data.root` must be the folder of the photos, but there is no folder {root}: set data.root=DIR. For "
            "data=celeba, `python scripts/download_celeba.py DIR` fetches them."
        )
    if "_target_" in data and "root" in data and root is None and config.get("photos") is None:
        other = ", or photos=DIR for a folder of whole photos" if "photos" in config else ""
        raise UserError(f"`data.root` must be the folder of the photos, but none was given: set data.root=DIR{other}.")


def _check_trainer(trainer: DictConfig) -> None:
    if "strategy" in trainer and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise UserError(
            "`trainer=ddp` is for one large run; in a sweep every cell takes one device: use trainer=gpu with "
            "hydra/launcher=joblib, submitit_slurm or ray."
        )
    if trainer.get("accelerator") in ("gpu", "cuda"):
        import torch  # only where it is asked: it takes seconds

        if not torch.cuda.is_available():
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
