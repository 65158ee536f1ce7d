"""What `python -m privacy_exp.status` says of a sweep, from folders written by hand."""

import json
import subprocess
import sys

import pytest
from extras import installed
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from privacy_exp.runs.record import Record
from privacy_exp.runs.running import running, write_cell
from privacy_exp.status import run
from privacy_exp.sweep.entry import CONF
from privacy_exp.sweep.plan import axes_only, planned
from privacy_exp.sweep.progress import cell_states, seconds_left
from privacy_exp.types import Metric


def finish(folder, seconds=30.0):
    folder.mkdir(parents=True, exist_ok=True)
    timing = {"fit_s": 500.0, "fit_reused": False, "mask_s": seconds / 3, "inpaint_s": seconds / 3}
    timing |= {"evaluate_s": seconds / 3, "images_per_s": 1.0}
    Record("k", {}, {}, 0.25, 0, 4, {"accuracy": Metric(1.0, 1.0, 1.0, 4)}, [], timing).write(folder)


@pytest.fixture
def sweep(tmp_path):
    """Done, failed, killed half-way, running half-way, and two that were never begun."""
    cells = [[f"mask_ratio={r}", "inpainting=tiny"] for r in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    (tmp_path / "plan.json").write_text(json.dumps({"command": "c", "count": 6, "cells": cells}))
    finish(tmp_path / "0")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "error.txt").write_text("Traceback\n  File x\nValueError: `mask_ratio` is odd.\n\n")
    for number in (2, 3):
        (tmp_path / str(number) / "results").mkdir(parents=True)
        write_cell(tmp_path / str(number), "k", 4)
        for image in range(2):
            (tmp_path / str(number) / "results" / f"{image}-generated-label-0.jpg").write_bytes(b"")
    return tmp_path


def test_every_cell_has_its_state_and_the_time_left_counts_what_is_painted(sweep):
    with running(sweep / "3"):
        cells = cell_states(sweep)
    assert [cell.state for cell in cells] == ["done", "failed", "missing", "running", "missing", "missing"]
    assert [cell.overrides for cell in cells] == [f"mask_ratio=0.{n}" for n in range(1, 7)]
    assert cells[1].note == "ValueError: `mask_ratio` is odd."
    assert cells[2].note == "stopped at 2 of 4 images"
    assert cells[3].note == "2 of 4 images"
    # a cell takes 30 s without its fit; 1 failed + 0.5 killed + 0.5 running + 2 never begun, one at a time
    assert seconds_left(cells) == pytest.approx(4 * 30)
    assert [cell.state for cell in cell_states(sweep)][3] == "missing", "the lock died with its process"


def command(sweep):
    line = [sys.executable, "-m", "privacy_exp.status", f"sweep={sweep}"]
    return subprocess.run(line, cwd=sweep, capture_output=True, text=True, check=False)


def test_the_exit_code_is_0_only_when_all_is_done(sweep, capsys):
    done = command(sweep)
    assert done.returncode == 1, done.stderr
    assert "1 of 6 done, 0 running, 1 failed, 4 missing; time left about 2.0 min" in done.stdout
    assert "is odd" in done.stdout
    assert "Traceback" not in done.stderr
    (sweep / "1" / "error.txt").unlink()  # as every new attempt does
    for number in range(1, 6):
        finish(sweep / str(number))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert run(compose("status", overrides=[f"sweep={sweep}"]))
    assert "6 of 6 done" in capsys.readouterr().out


def test_a_damaged_record_is_a_failure(sweep):
    (sweep / "0" / "record.json").write_text("{")
    assert cell_states(sweep)[0].state == "failed"
    assert "damaged" in cell_states(sweep)[0].note


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`sweep` must be the folder of a sweep"):
        cell_states(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="neither a plan nor cells"):
        cell_states(tmp_path)


def plan_of(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        return planned(config)


STUDIES = {"quickstart": 12, "ratio_method_guidance": 27, "guidance": 18, "seeds": 15, "checkpoints": 12}


@pytest.mark.parametrize("study", STUDIES)
def test_the_plan_lists_what_hydra_will_run(study):
    cells = axes_only(plan_of(f"experiment={study}"))
    assert len(cells) == len(set(cells)) == STUDIES[study]
    if study == "quickstart":
        assert cells[:2] == [
            f"masking=random_patches mask_ratio=0.25 inpainting.guidance_scale={g}" for g in (1.0, 7.5)
        ]


def test_a_search_decides_its_cells_on_the_way():
    if not installed("hydra_plugins.hydra_optuna_sweeper"):
        pytest.skip("needs the extra: pip install .[optuna]")
    assert plan_of("hydra/sweeper=optuna") is None


def test_a_cell_that_failed_after_its_record_was_written_has_failed(sweep):
    finish(sweep / "1")
    assert cell_states(sweep)[1].state == "failed"


def test_cells_that_a_smaller_plan_does_not_name_are_named_by_what_they_ran(sweep):
    plan = {"command": "c", "count": 1, "cells": [["mask_ratio=0.1", "inpainting=tiny"]]}
    (sweep / "plan.json").write_text(json.dumps(plan))
    (sweep / "1" / ".hydra").mkdir()
    (sweep / "1" / ".hydra" / "overrides.yaml").write_text("- mask_ratio=0.2\n- inpainting=tiny\n")
    cells = cell_states(sweep)
    assert len(cells) == 4
    assert "mask_ratio=0.2" in cells[1].overrides
