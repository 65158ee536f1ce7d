"""From a composed configuration to the objects of a run; the only place where a study meets Hydra."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from privacy_exp import UserError
from privacy_exp.cache.configured import description
from privacy_exp.cache.keys import content_key
from privacy_exp.evaluation.measure import Measure
from privacy_exp.masking.base import OwnArea
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.runs.names import value_name
from privacy_exp.runs.record import Record
from privacy_exp.study.implied import IMPLIED, implied
from privacy_exp.study.job import Job
from privacy_exp.study.place import MEASURES, Place, Sharded
from privacy_exp.study.study import Study
from privacy_exp.sweep.aligning import align_first
from privacy_exp.sweep.axes import refuse_inert_axis, swept_keys
from privacy_exp.sweep.configuration import check_keys, plain_config


def job_of(config: DictConfig, slot: int | None = None) -> Job:
    """The run that a configuration asks for, every part built and checked.

    Args:
        config: composed from conf/train.yaml, inside a job of Hydra.
        slot: of the machine's pool, where several runs share it.

    Raises:
        UserError: a key outside its range, or parts that do not go together.
    """
    check_keys(config)
    config = align_first(config)
    plain = plain_config(config)
    asked = instantiate(config.masking)
    inpainter = _shared("inpainting", plain, lambda: instantiate(config.inpainting))
    masker = implied(asked, inpainter)
    refuse_inert_axis(inpainter, config.force_inert)
    if isinstance(masker, OwnArea) and "mask_ratio" in swept_keys():
        name = HydraConfig.get().runtime.choices["masking"]
        raise UserError(
            f"`mask_ratio` cannot be swept with masking={name}, which decides itself how much it hides: all cells "
            "would be one. Sweep it without that method, and run the method once beside."
        )
    place = place_of(config, slot)
    if masker is not asked:
        plain["masking"] = description(masker)
        place = replace(place, choices={**place.choices, "masking": "everything"})
    study = _shared("study", plain, lambda: study_of(config, plain, place.folder))
    measures: dict[str, Measure] = {}
    for group in MEASURES:
        measures |= {f"{group}/{name}": instantiate(part) for name, part in config[group].items()}
    sharded = None
    if config.engine == "ray":
        sharded = Sharded(None, partial(instantiate, plain["inpainting"]))
    elif "strategy" in plain["trainer"]:
        sharded = Sharded(instantiate(config.trainer), partial(instantiate, config.inpainting))
    job = Job(study, masker, inpainter, measures, plain, place, sharded)
    if masker is not asked:
        job.warn(IMPLIED)
    return job


LIGHT = 50_000_000
"""Weights, of all parts together, up to which a dry run keeps what it has built for cells to come."""

STUDY = ("data", "recognition", "trainer", "seed")

_built: dict[str, Any] = {}
_kinds: dict[str, str] = {}
_took: dict[str, float] = {}  # seconds that a class takes to build once it has been imported
_saved: list[float] = []


def seconds_saved() -> float:
    """What the last job of a dry run would have taken longer, had it built its parts itself."""
    return sum(_saved)


def _shared(name: str, plain: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """A part of a dry run, which other cells of the same configuration use again: loading takes most of its time."""
    if not plain.get("dry_run"):
        return make()
    if name == "inpainting":  # the first part of a job
        _saved.clear()
    fields = {part: plain[part] for part in (STUDY if name == "study" else (name, "seed"))}
    key, kind = content_key({"name": name, **fields}), content_key({"name": name, "class": _classes(fields)})
    if key in _built and kind in _took:
        _saved.append(_took[kind])
        return _built[key]
    known = kind in _kinds.values()
    started = time.perf_counter()
    made = make()
    if known:  # the first one also imports
        _took[kind] = time.perf_counter() - started
    if _weights(made) <= LIGHT:
        _built[key], _kinds[key] = made, kind
    return made


def _classes(value: Any) -> Any:
    """The classes that a configuration names."""
    if not isinstance(value, Mapping):
        return None
    return {key: part if key == "_target_" else _classes(part) for key, part in value.items()}


def _weights(part: Any) -> int:
    """Numbers that the networks of a part hold."""
    held = [value for own in vars(part).values() for value in (own, *getattr(own, "components", {}).values())]
    networks = {id(value): value for value in held if isinstance(value, nn.Module)}
    return sum(p.numel() for network in networks.values() for p in network.parameters())


def study_of(config: DictConfig, plain: dict[str, Any], out: Path) -> Study:
    """The study of a configuration: its data and recogniser.

    Args:
        config: with `data`, `recognition`, `trainer`, `seed` and `cache`.
        plain: the same as plain values.
        out: takes what the study leaves.
    """
    recognition, trainer = plain["recognition"], plain["trainer"]
    net, recipe = instantiate(config.recognition.net), instantiate(config.recognition.module)
    if not isinstance(recipe, FitRecipe):
        raise UserError(f"`recognition.module` must make a FitRecipe, but makes {type(recipe).__name__}.")
    keywords = {name: value for name, value in trainer.items() if name not in ("_target_", "_partial_")}
    return Study(
        instantiate(config.data),
        net,
        out=out,
        seed=int(config.seed),
        recipe=recipe,
        trainer=keywords,
        cache=config.cache.root,
        target_layer=recognition["target_layer"],
        init_from=recognition["init_from"],
        checkpoint=recognition["checkpoint"],
    )


def place_of(config: DictConfig, slot: int | None) -> Place:
    """Where a job of Hydra goes, and what it is called."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    choices = {k: v for k, v in hydra.runtime.choices.items() if not k.startswith("hydra/") and v is not None}
    choices |= {group: list(config[group]) for group in MEASURES}
    multirun = hydra.mode == RunMode.MULTIRUN
    group = Path(hydra.sweep.dir).name if multirun else folder.name
    name = run_name(config, hydra.job.num) if multirun else folder.name
    return Place(folder, name, group, choices, slot, instantiate(config.tracking), bool(config.rerun))


def run_name(config: DictConfig, number: int) -> str:
    """The number of a cell and what the sweep varies in it, such as "3 · saliency · mask_ratio 0.25"."""
    choices = HydraConfig.get().runtime.choices
    parts = []
    for key in swept_keys():
        if key in choices:
            parts.append(str(choices[key]))
        else:
            value = OmegaConf.select(config, key)
            name = key.rpartition(".")[2] if isinstance(value, float) else key
            parts.append(f"{name} {value_name(value, key)}")
    return " · ".join([str(number), *parts])


def objective_of(record: Record, names: list[str]) -> float | tuple[float, ...]:
    """The metrics that a Hydra sweeper optimises.

    Raises:
        UserError: one of them has no value here.
    """
    values = []
    for name in names:
        if name not in record.metrics:
            known = ", ".join(sorted(record.metrics))
            raise UserError(f"`objective` takes names of this run's metrics, {known}, but got {name}.")
        metric = record.metrics[name]
        if metric.value is None:
            raise UserError(f"`objective` {name} has no value in this run: {metric.reason}.")
        values.append(metric.value)
    return values[0] if len(values) == 1 else tuple(values)
