"""The cells of a sweep, written down before the first one starts, so that `status` knows which have not begun."""

import json
import logging
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from privacy_exp.cache.files import write_text
from privacy_exp.cache.keys import has_effect
from privacy_exp.runs.plan import PLAN, numbered, read_overrides

ASKED = "multirun.yaml"

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
"""The launcher that runs one cell after the other in this process."""

ASIDE = (
    "hydra",
    "hydra/launcher",
    "cache",
    "tracking",
    "trainer",
    "slots",
    "rerun",
    "dry_run",
    "force_inert",
    "objective",
)
"""Keys that may change from one call of a sweep to the next."""


class WritePlan(Callback):
    """Hydra callback that writes `plan.json` into the sweep's folder.

    `cells` lists each cell's overrides in the order of their numbers. Where a search decides them on the way (Optuna)
    it is null, and only `count` is known. Nothing is written into a folder that holds finished cells of another sweep.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before it writes into the folder of a single run."""
        del kwargs
        refuse_others(Path(config.hydra.run.dir), [], list(config.hydra.overrides.task))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra with the composed configuration, `hydra` included, before any cell runs."""
        del kwargs
        cells = planned(config)
        count = len(cells) if cells is not None else int(config.hydra.sweeper.get("n_trials", 0))
        plan = {"command": shlex.join(["python", "-m", "privacy_exp.train", *sys.argv[1:]]), "count": count}
        folder = Path(config.hydra.sweep.dir)
        refuse_others(folder, cells or [])
        write_text(folder / PLAN, json.dumps(plan | {"cells": cells}, indent=1, ensure_ascii=False) + "\n")
        write_text(folder / ASKED, OmegaConf.to_yaml(config))  # Hydra's basic sweeper writes it too, others do not
        tracking: Any = config.get("tracking") or {}
        if tracking.get("project") and tracking.get("mode") in ("offline", "online") and not config.get("dry_run"):
            _workspace(folder, tracking)
        logging.getLogger("hydra._internal.core_plugins.basic_launcher").setLevel(
            logging.WARNING
        )  # cells say it better
        if cells is not None and OmegaConf.select(config, "hydra.launcher._target_") == BASIC:
            _compose_once()
        print(f"{count} cells in {folder}; each keeps its own log, and the same command goes on where it stopped")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra where no cell has failed."""
        del kwargs
        if not config.dry_run and not config.fit_only:
            print(f"report   privacy-exp report sweep={shlex.quote(str(config.hydra.sweep.dir))}")


def _compose_once() -> None:
    """Hydra composes each cell to check it and again to run it, a third of a dry run: the second takes the first.

    What a job has run with is never handed out again, since Hydra has locked it by then: a search or a grid may ask for
    the same cell twice. Other launchers compose in processes of their own, and a search checks nothing beforehand.
    """
    loader: Any = GlobalHydra.instance().config_loader()
    compose, checked = loader.load_sweep_config, dict[tuple[str, ...], DictConfig]()

    def load(master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        key = tuple(sweep_overrides)
        if key not in checked or OmegaConf.is_readonly(checked[key].hydra):
            checked[key] = compose(master_config, sweep_overrides)
            return checked[key]
        return checked.pop(key)

    loader.load_sweep_config = load


def _workspace(folder: Path, tracking: DictConfig) -> None:
    """A W&B dashboard of the sweep before its first cell: sent where runs are, written into the folder otherwise.

    Without the extra `wandb` there is none; what fails costs no cell.
    """
    if find_spec("wandb_workspaces") is None:
        return
    from privacy_exp.tracking.workspace import workspace, write_spec

    try:
        if tracking.mode == "online":
            print(f"board    {workspace(folder, tracking.entity or '', tracking.project).save().url}")
        else:
            write_spec(folder, tracking.entity or "", tracking.project)
    except Exception as error:
        print(f"the W&B workspace could not be made, the sweep goes on: {type(error).__name__}: {error}")


def planned(config: DictConfig) -> list[list[str]] | None:
    """Each cell's overrides, expanded as Hydra's basic sweeper does; None for any other sweeper."""
    sweeper = config.hydra.sweeper
    if sweeper.get("_target_") != f"{BasicSweeper.__module__}.{BasicSweeper.__name__}":
        return None
    axes = [f"{name}={value}" for name, value in (sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*axes, *config.hydra.overrides.task])
    return [list(cell) for batch in BasicSweeper.split_arguments(overrides, None) for cell in batch]


def refuse_others(folder: Path, cells: Sequence[Sequence[str]], alone: Sequence[str] | None = None) -> None:
    """Ends the command where a finished cell would be written over by another one; Hydra only warns of exceptions here.

    Args:
        folder: of a sweep, or of a single run.
        cells: overrides by the number of the cell.
        alone: overrides of the single run.

    Raises:
        SystemExit: with the message; nothing has been written.
    """
    found = {0: folder} if alone is not None else numbered(folder)
    asked = [alone] if alone is not None else cells
    for number, place in found.items():
        before = read_overrides(place) if (place / "record.json").is_file() and number < len(asked) else None
        if before is None or _deciding(before) == _deciding(asked[number]) or "rerun=true" in asked[number]:
            continue
        raise SystemExit(
            f"error: {place} holds another cell, which was started with {' '.join(before) or 'no keys'}, and not with "
            f"{' '.join(asked[number]) or 'no keys'}. Choose another folder with hydra.run.dir=DIR or "
            "hydra.sweep.dir=DIR, remove this one, or compute the cell in its place with rerun=true."
        )


def _deciding(overrides: Sequence[str]) -> set[str]:
    """Those that may decide figures; the cell's key decides later, by values instead of texts."""
    pairs = [(override.partition("=")[0].lstrip("+~"), override) for override in overrides]
    return {text for key, text in pairs if key.partition(".")[0] not in ASIDE and has_effect(key.rpartition(".")[2])}


def axes_only(cells: Sequence[Sequence[str]]) -> list[str]:
    """What tells each cell from the others: its overrides without those that all share."""
    shared = set(cells[0]).intersection(*cells) if len(cells) > 1 else set()
    return [" ".join(override for override in cell if override not in shared) for cell in cells]
