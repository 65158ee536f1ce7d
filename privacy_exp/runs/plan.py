"""What was asked for: the plan of a sweep, the folders of its cells, and the command that computes a run again."""

import json
import logging
import os
import shlex
from pathlib import Path
from typing import Any

import yaml

log = logging.getLogger(__name__)

PLAN = "plan.json"
OVERRIDES = ".hydra/overrides.yaml"
ALONE = "hydra.mode=RUN"
"""Keeps a study's file, such as experiment=pareto, from starting its whole sweep."""


def read_plan(sweep: Path) -> dict[str, Any] | None:
    """The plan of a sweep: `command, count, cells`; None where there is none, or none that can be read."""
    path = sweep / PLAN
    if not path.is_file():
        return None
    try:
        plan: dict[str, Any] = json.loads(path.read_text())
        return {"command": plan["command"], "count": int(plan["count"]), "cells": plan["cells"]}
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s): cells that have not begun are not known", path, error)
        return None


def run_folders(sweep: Path) -> list[Path]:
    """The folder itself where it is a run; else every run below it, by number: with a record or just started."""
    if _is_run(sweep):
        return [sweep]
    found = []
    for place, folders, _ in os.walk(sweep):
        runs = [Path(place, name) for name in folders if _is_run(Path(place, name))]
        found += runs
        folders[:] = [name for name in folders if Path(place, name) not in runs]  # a run holds thousands of files
    return sorted(found, key=lambda path: [(len(p) if p.isdecimal() else 99, p) for p in path.parts])


def _is_run(folder: Path) -> bool:
    return (folder / "record.json").is_file() or (folder / OVERRIDES).is_file()


def numbered(sweep: Path) -> dict[int, Path]:
    """The folders of a sweep's cells by the cells' numbers, whatever `hydra.sweep.subdir` calls them."""
    found = {}
    for folder in run_folders(sweep):
        number = int(folder.name) if folder.name.isdecimal() else _job_number(folder)
        if number is not None:
            found[number] = folder
    return found


def _job_number(folder: Path) -> int | None:
    try:
        hydra = yaml.safe_load((folder / ".hydra" / "hydra.yaml").read_text())
        return int(hydra["hydra"]["job"]["num"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None


def read_overrides(folder: Path) -> list[str] | None:
    """The overrides of a run as Hydra kept them; None where it kept none, or nothing that can be read."""
    path = folder / OVERRIDES
    if not path.is_file():
        return None
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return [str(override) for override in found] if isinstance(found, list) else None


def command(folder: Path, *more: str) -> str | None:
    """The line that computes a run again; None where its folder does not say.

    Args:
        folder: of the run.
        more: further overrides.
    """
    overrides = read_overrides(folder)
    if overrides is None:
        return None
    alone = [ALONE] if any(override.startswith("experiment=") for override in overrides) else []
    return " ".join(["python -m privacy_exp.train", *(shlex.quote(part) for part in (*overrides, *alone, *more))])
