"""The saved workspace of a sweep, as W&B would be told of it."""

import json

import pytest
from omegaconf import OmegaConf

from privacy_exp.sweep.plan import WritePlan
from privacy_exp.tracking.workspace import SPEC, guidances, workspace, write_spec
from privacy_exp.types import UserError

CELLS = [[f"masking={m}", "mask_ratio=0.25", f"inpainting.guidance_scale={g}"] for m in "ab" for g in (7.5, 1.0)]


@pytest.fixture
def sweep(tmp_path):
    pytest.importorskip("wandb_workspaces", reason="needs wandb-workspaces: pip install 'privacy-exp[wandb]'")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "plan.json").write_text(json.dumps({"command": "x", "count": 4, "cells": CELLS}))
    return tmp_path / "mine"


def test_a_panel_a_guidance_with_a_line_a_method_and_accuracy_beside(sweep):
    spec = json.loads(write_spec(sweep, "me", "p").read_text())
    assert (spec["entity"], spec["project"], spec["displayName"]) == ("me", "p", "mine")
    sections = spec["spec"]["section"]["panelBankConfig"]["sections"]
    panels = [[panel["config"] for panel in section["panels"]] for section in sections]
    wanted = [[f"{figure}/guidance_{g}" for g in ("1", "7.5")] for figure in ("fool_rate", "accuracy")]
    assert [[panel["metrics"][0] for panel in row] for row in panels] == wanted
    assert {panel["xAxis"] for row in panels for panel in row} == {"mask_ratio"}
    assert {panel["groupBy"] for row in panels for panel in row} == {"choices.value.masking"}
    assert "mine" in json.dumps(spec["spec"]["section"]["runSets"]), "this sweep's group alone"


def test_a_sweep_without_guidance_has_one_panel_a_figure():
    assert guidances([["masking=a"]]) == [None]
    assert guidances(CELLS) == [1.0, 7.5]


def test_a_folder_without_a_plan_is_refused(sweep, tmp_path):
    with pytest.raises(UserError, match=r"with its plan\.json"):
        workspace(tmp_path, "me", "p")


@pytest.mark.parametrize(
    ("mode", "dry", "there"), [("offline", False, True), ("disabled", False, False), ("offline", True, False)]
)
def test_it_is_there_when_the_sweep_starts(sweep, mode, dry, there, monkeypatch):
    monkeypatch.setattr("privacy_exp.sweep.plan.planned", lambda config: CELLS)
    tracking = {"project": "p", "entity": None, "mode": mode}
    hydra = {"sweep": {"dir": str(sweep)}, "sweeper": {}}
    WritePlan().on_multirun_start(OmegaConf.create({"hydra": hydra, "tracking": tracking, "dry_run": dry}))
    assert (sweep / SPEC).is_file() == there


def test_a_workspace_that_cannot_be_sent_costs_no_cell(sweep, monkeypatch, capsys):
    def refuse(*_):
        raise ConnectionError("no network")

    monkeypatch.setattr("privacy_exp.tracking.workspace.workspace", refuse)
    monkeypatch.setattr("privacy_exp.sweep.plan.planned", lambda config: CELLS)
    tracking = {"project": "p", "entity": "me", "mode": "online"}
    hydra = {"sweep": {"dir": str(sweep)}, "sweeper": {}}
    WritePlan().on_multirun_start(OmegaConf.create({"hydra": hydra, "tracking": tracking, "dry_run": False}))
    assert "the sweep goes on: ConnectionError: no network" in capsys.readouterr().out
