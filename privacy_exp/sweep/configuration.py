"""The configuration of a cell: its top-level keys checked once, and all of it as plain values."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from privacy_exp import UserError
from privacy_exp.runs.formats import FORMATS
from privacy_exp.runs.layouts import LAYOUTS

MEASURES = ("judge", "attacker", "utility")
"""Config groups of which any number may be chosen; each looks at the finished run."""

OPTIONAL = ("experiment", "tracking")
"""Config groups that some commands take, but need not: there Hydra passes over a name that does not exist."""

ENGINES = ("local", "ray")
"""What the stages of a run work on: this process, or the actors of a Ray cluster."""

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

TYPES: dict[str, tuple[type, str]] = {
    "alpha": (float, "a number"),
    "aside": (float, "a share in [0, 1)"),
    "chosen_with": (str, "a list of run folders"),
    "delta": (float, "a number"),
    "far": (float, "a number"),
    "groups": (str, "a list of attributes"),
    "ratios": (float, "a list of shares in [0, 1]"),
    "evaluation.gate": (float, "a number"),
    "evaluation.batch_size": (int, "a whole number"),
    "flips": (int, "a whole number"),
    "granularity": (int, "a whole number of pixels"),
    "image_size": (int, "a list, [height, width] in pixels"),
    "mask_seeds": (int, "a list of whole numbers"),
    "methods": (str, "a list of masking methods, methods=[grad_cam,saliency]"),
    "prune.days": (float, "a number"),
    "prune.max_gb": (float, "a number"),
    "shares": (float, "a list of rising numbers in [0, 1]"),
    "tries": (int, "a whole number of at least 1"),
    "trust": (str, "a list of packages, trust=[mypackage]"),
}
"""Keys of commands that no class checks: the type of the value, or of each entry of a list, and what is allowed."""

SWITCHES = ("dry_run", "rerun", "fit_only", "force_inert", "mirror", "fresh_text")


def check_choices() -> None:
    """Checks that each config group was given one name that exists.

    Hydra merges several into one part, and passes over an unknown `experiment`.

    Raises:
        UserError: names the group, what there is and what came.
    """
    if not GlobalHydra.instance().is_initialized():
        return
    loader = GlobalHydra.instance().config_loader()
    for override in HydraConfig.get().overrides.task:
        group, _, names = override.partition("=")
        if names.startswith("[") and group not in MEASURES and group in loader.list_groups(""):
            raise UserError(f"`{group}` takes one name, but got {names}: a sweep over several is -m {group}=A,B.")
    for group in OPTIONAL:  # of the others Hydra says itself that there is none
        name = HydraConfig.get().runtime.choices.get(group)
        known = _options(loader, group) if name is not None else []
        if name is not None and name not in known:
            raise UserError(f"`{group}` must be one of {', '.join(sorted(known))}, but got {name}.")


_known: WeakKeyDictionary[ConfigLoader, dict[str, list[str]]] = WeakKeyDictionary()


def _options(loader: ConfigLoader, group: str) -> list[str]:
    """Names in a config group: the cells of a sweep have one loader, which reads the whole tree for each question."""
    found = _known.setdefault(loader, {})
    if group not in found:
        found[group] = loader.get_group_options(group)
    return found[group]


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
    if "layout" in config and config.layout not in LAYOUTS:
        raise UserError(f"`layout` must be one of {', '.join(LAYOUTS)}, but got {config.layout!r}.")
    if "engine" in config and config.engine not in ENGINES:
        raise UserError(f"`engine` must be one of {', '.join(ENGINES)}, but got {config.engine!r}.")
    for key, least in {"seed": 0, "batch_size": 1}.items():
        if key in config and (type(config[key]) is not int or config[key] < least):
            raise UserError(f"`{key}` must be a whole number of at least {least}, but got {config[key]!r}.")
    for key in SWITCHES:
        if key in config and not isinstance(config[key], bool):
            raise UserError(f"`{key}` must be true or false, but got {config[key]!r}.")
    for key, hint in TYPES.items():
        value = OmegaConf.select(config, key, default=None)
        if value is not None:
            _check_type(key, value, hint)
    gate = OmegaConf.select(config, "evaluation.gate", default=0.8)
    if not 0 <= gate <= 1:
        raise UserError(f"`evaluation.gate` is an accuracy in [0, 1], but got {gate}.")
    if OmegaConf.select(config, "evaluation.batch_size", default=1) < 1:
        raise UserError(f"`evaluation.batch_size` must be at least 1, but got {config.evaluation.batch_size}.")
    if "device" in config and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(config.device)):
        raise UserError(f"`device` must be cpu or cuda, but got {config.device}.")
    root = OmegaConf.select(config, "cache.root", default=None)
    if root is not None and Path(str(root)).expanduser().is_file():
        raise UserError(f"`cache.root` must be a folder, but {root} is a file: set cache.root=DIR.")
    if "objective" in config:
        _check_objective(config)
    _check_root(config)
    _check_checkpoint(config)
    trainer = config.get("trainer")
    if trainer is not None:
        _check_trainer(trainer)


def _check_type(key: str, value: Any, allowed: tuple[type, str]) -> None:
    kind, words = allowed
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    entries = plain if kind is not list and isinstance(plain, list) and words.startswith("a list") else [plain]
    fits = all(
        _is_number(one) if kind is float else isinstance(one, kind) and isinstance(one, bool) == (kind is bool)
        for one in entries
    )
    if not fits or (words.startswith("a list") and not isinstance(plain, list)):
        raise UserError(f"`{key}` must be {words}, but got {plain!r}.")


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


def _check_checkpoint(config: DictConfig) -> None:
    """A fitted recogniser that is not there, or is none, is said before anything is read or written."""
    for key in ("checkpoint", "init_from"):
        given = OmegaConf.select(config, f"recognition.{key}", default=None)
        if given is None:
            continue
        place = Path(str(given)).expanduser()
        if place.suffix == ".onnx":
            raise UserError(
                f"`recognition.{key}` takes a fitted recogniser, but {given} is an ONNX model: fit a head on it with "
                f"recognition=onnx recognition.net.model={given}."
            )
        if not (place / "recognizer.ckpt" if place.is_dir() else place).is_file():
            raise UserError(
                f"`recognition.{key}` takes a checkpoint, or a run folder with a recognizer.ckpt in it, but there is "
                f"none at {given}."
            )


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
