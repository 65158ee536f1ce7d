"""The command as a user types it, and what the trackers get."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from privacy_exp.report.build import Options, build
from privacy_exp.tracking.tracker import CsvTracking
from privacy_exp.tracking.weights_and_biases import WandbTracking


@pytest.mark.slow
def test_the_command_says_where_the_page_is(small):
    done = command(f"sweep={small}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().splitlines()[-1].split() == ["page", str(small / "report" / "index.html")]


@pytest.mark.usefixtures("without_charts")
def test_the_reports_own_folder_is_no_run_of_the_sweep(small):
    once = build([small], None, Options()).read_bytes()
    assert build([small], None, Options()).read_bytes() == once


@pytest.mark.slow
def test_bad_input_is_one_paragraph(tmp_path):
    done = command(f"sweep={tmp_path}", f"out={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "holds no run" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_tracker_gets_the_headline_table_and_is_closed(two_cells, tmp_path):
    seen = []

    class Recording(CsvTracking):
        def start(self, folder, name, group, config):
            seen.append(("start", name, group))

        def log_table(self, name, table):
            seen.append((name, table))

        def finish(self, failed):
            seen.append(("finish", failed))

    build([two_cells], tmp_path, Options(), Recording())
    assert seen[0] == ("start", "report", "Privacy report: study")
    assert seen[2] == ("finish", False)
    assert list(seen[1][1]["method"]) == ["Saliency", "Random patches"]


def test_wandb_keeps_the_table(tmp_path):
    tracking = WandbTracking(project="p", entity=None, mode="offline", tags=[], upload_images=False)
    tracking.start(tmp_path, name="report", group="g", config={})
    tracking.log_table("headline", pd.DataFrame({"method": ["saliency"], "fool rate": ["0.500 [0.400, 0.600]"]}))
    tracking.finish(failed=False)
    (path,) = tmp_path.glob("wandb/offline-run-*/files/media/table/*.table.json")
    assert json.loads(path.read_text())["data"] == [["saliency", "0.500 [0.400, 0.600]"]]


def command(*overrides: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "privacy_exp.report", *overrides]
    return subprocess.run(line, capture_output=True, text=True, check=False)
