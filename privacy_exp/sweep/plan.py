"""The cells of a sweep, written down before the first one starts, so that `status` knows which have not begun."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from privacy_exp.cache.files import write_text
from privacy_exp.runs.plan import PLAN

ASKED = "multirun.yaml"


class WritePlan(Callback):
    """Hydra callback that writes `plan.json` into the sweep's folder.

    `cells` lists each cell's overrides in the order of their numbers. Where a search decides them on the way (Optuna)
    it is null, and only `count` is known.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra with the composed configuration, `hydra` included, before any cell runs."""
        del kwargs
        cells = planned(config)
        count = len(cells) if cells is not None else int(config.hydra.sweeper.get("n_trials", 0))
        plan = {"command": shlex.join(["python", "-m", "privacy_exp.train", *sys.argv[1:]]), "count": count}
        folder = Path(config.hydra.sweep.dir)
        write_text(folder / PLAN, json.dumps(plan | {"cells": cells}, indent=1, ensure_ascii=False) + "\n")
        write_text(folder / ASKED, OmegaConf.to_yaml(config))  # Hydra's basic sweeper writes it too, others do not


def planned(config: DictConfig) -> list[list[str]] | None:
    """Each cell's overrides, expanded as Hydra's basic sweeper does; None for any other sweeper."""
    sweeper = config.hydra.sweeper
    if sweeper.get("_target_") != f"{BasicSweeper.__module__}.{BasicSweeper.__name__}":
        return None
    axes = [f"{name}={value}" for name, value in (sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*axes, *config.hydra.overrides.task])
    return [list(cell) for batch in BasicSweeper.split_arguments(overrides, None) for cell in batch]


def axes_only(cells: Sequence[Sequence[str]]) -> list[str]:
    """What tells each cell from the others: its overrides without those that all share."""
    shared = set(cells[0]).intersection(*cells) if len(cells) > 1 else set()
    return [" ".join(override for override in cell if override not in shared) for cell in cells]
