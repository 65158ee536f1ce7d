"""What W&B's offline files and the CSV hold, read back with W&B's own protobuf classes."""

import csv
import importlib.util
import json
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from privacy_exp.runs.record import Record
from privacy_exp.tracking.tracker import CsvTracking
from privacy_exp.tracking.weights_and_biases import WandbTracking
from privacy_exp.types import Metric
from tests.tracking.offline import exit_code, offline_records, offline_runs

IMAGES = pd.DataFrame({"image_id": ["a", "b"], "prob": [0.25, 0.5], "rank": pd.array([1.5, None], dtype="Float64")})


def records_of(folder: Path) -> list:
    """Records of the one offline run below `folder`, once W&B's own process has written the last of them."""
    (path,) = offline_runs(folder)
    for _ in range(600):
        if exit_code(path) is not None:
            break
        time.sleep(0.05)
    return list(offline_records(path))


def record(value: float) -> Record:
    metrics = {
        "fool_rate": Metric(value, value - 0.1, value + 0.1, 10),
        "strongest_observer": Metric(None, None, None, 10, "why"),
    }
    return Record("k", {}, {"inpainting": {"guidance_scale": 3.0}}, 0.25, 0, 10, metrics, [], {})


def logged(tracking, folder: Path, value: float, failed: bool = False, picture: Path | None = None) -> None:
    tracking.start(folder, name=f"run-{value}", group="a-sweep", config={"choices": {"masking": "saliency"}})
    try:
        if not failed:
            tracking.log_record(record(value), IMAGES, picture)
    finally:
        tracking.finish(failed)


@pytest.fixture
def tracking():
    return WandbTracking(project="p", entity=None, mode="offline", tags=["t"], upload_images=False)


def test_each_run_is_its_own_with_group_config_and_figures(tracking, tmp_path):
    picture = tmp_path / "grid.png"
    Image.new("RGB", (8, 8)).save(picture)
    for name, value in (("one", 0.25), ("two", 0.75)):
        (tmp_path / name).mkdir()
        logged(tracking, tmp_path / name, value, picture=picture)
    for name, value in (("one", 0.25), ("two", 0.75)):
        records = records_of(tmp_path / name)
        (run,) = [r.run for r in records if r.HasField("run")][:1]
        assert (run.project, run.run_group, run.job_type) == ("p", "a-sweep", "train")
        assert list(run.tags) == ["t"]
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        assert config["choices"] == {"masking": "saliency"}
        items = [i for r in records if r.HasField("history") for i in r.history.item]
        history = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
        assert history["test/fool_rate"] == value
        assert history["test/fool_rate/low"] == pytest.approx(value - 0.1)
        assert config["goals"] == {"fool_rate": "maximize", "accuracy": "maximize"}
        assert (history["fool_rate"], history["mask_ratio"]) == (value, 0.25)
        assert history["fool_rate/guidance_3"] == value
        assert history["fool_rate/high"] == pytest.approx(value + 0.1)
        assert not any("strongest_observer" in key for key in history), "a null is not logged as a number"
        assert not list((tmp_path / name).glob("wandb/**/*.png")), "no picture leaves without being asked"
        assert [r.exit.exit_code for r in records if r.HasField("exit")] == [0]
        (table,) = (tmp_path / name).glob("wandb/**/media/table/test/images_*.json")
        assert json.loads(table.read_text())["data"] == [[0, 0.25, 1.5], [1, 0.5, None]]


def test_an_id_from_outside_is_not_shared_by_the_cells_of_a_sweep(tracking, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        logged(tracking, tmp_path / name, 0.5)
    ids = {r.run.run_id for name in ("one", "two") for r in records_of(tmp_path / name) if r.HasField("run")}
    assert len(ids) == 2
    assert "abc" not in ids


def test_a_failed_run_says_so(tracking, tmp_path):
    logged(tracking, tmp_path, 0.5, failed=True)
    assert [r.exit.exit_code for r in records_of(tmp_path) if r.HasField("exit")] == [1]


def test_pictures_are_uploaded_only_when_asked(tmp_path):
    picture = tmp_path / "grid.png"
    Image.new("RGB", (8, 8)).save(picture)
    logged(WandbTracking("p", None, "offline", [], upload_images=True), tmp_path, 0.5, picture=picture)
    assert list(tmp_path.glob("wandb/**/media/**/*.png"))


def test_the_csv_holds_the_same_figures(tmp_path):
    logged(CsvTracking(), tmp_path, 0.25)
    with (tmp_path / "csv" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["test/fool_rate"]) == 0.25


def test_online_without_a_key_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"needs a W&B key.*offline"):
        WandbTracking("p", None, "online", [], False)
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    WandbTracking("p", None, "online", [], False)
    with pytest.raises(ValueError, match="mode"):
        WandbTracking("p", None, "sometimes", [], False)


def test_what_never_started_closes_quietly():
    CsvTracking().finish(failed=True)


@pytest.mark.parametrize("arrives", [False, True])
def test_what_did_not_arrive_is_not_called_uploaded(tmp_path, monkeypatch, capsys, arrives):
    """W&B's own command ends with 0 after an error of the server; its mark beside the run is what counts."""
    spec = importlib.util.spec_from_file_location("wandb_sync", Path(__file__).parents[2] / "scripts/wandb_sync.py")
    wandb_sync = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wandb_sync)
    run = tmp_path / "wandb" / "offline-run-1" / "run-1.wandb"
    run.parent.mkdir(parents=True)
    run.write_bytes(b"")

    def sync(command, check):
        if arrives:
            run.with_name("run-1.wandb.synced").touch()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(wandb_sync.subprocess, "run", sync)
    monkeypatch.setattr("sys.argv", ["wandb_sync.py", str(tmp_path), "--unfinished"])
    assert wandb_sync.main() == (0 if arrives else 1)
    assert capsys.readouterr().out.startswith("uploaded:" if arrives else "FAILED to upload:")
    wandb_sync.main()
    assert capsys.readouterr().out.startswith("uploaded before:" if arrives else "FAILED to upload:")
