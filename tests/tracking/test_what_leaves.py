"""What W&B's files hold, byte by byte; what a broken tracker costs; where its files lie."""

import getpass
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from lightning_utilities.core.rank_zero import rank_zero_only

from privacy_exp.runs.record import Record
from privacy_exp.tracking.marker import TRACKED, tracked
from privacy_exp.tracking.tracker import CsvTracking
from privacy_exp.tracking.weights_and_biases import WandbTracking, without_places
from privacy_exp.types import Metric

IMAGES = pd.DataFrame(
    {
        "image_id": ["ada_lovelace%2Fholiday1", "grace_hopper%2Fparty"],
        "identity": ["ada_lovelace", "grace_hopper"],
        "label": [0, 1],
        "prob": [0.25, 0.5],
        "fooled": pd.array([True, None], dtype="boolean"),
    }
)


def record() -> Record:
    return Record("k", {}, {}, 0.25, 0, 2, {"fool_rate": Metric(0.5, 0.4, 0.6, 2)}, [], {})


def run(tracking, folder: Path, config: dict | None = None) -> None:
    tracking.start(folder, name="cell-3", group="sweep", config=config or {})
    try:
        tracking.log_record(record(), IMAGES)
    finally:
        tracking.finish(failed=False)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with a remote and a commit, in which the command runs."""
    place = tmp_path / "private-checkout"
    place.mkdir()
    for line in (
        ["init", "-q"],
        ["remote", "add", "origin", "https://someone@example.org/lab/private-faces.git"],
        ["-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *line], cwd=place, check=True)
    monkeypatch.chdir(place)
    return place


def leaves(folder: Path) -> bytes:
    """Everything that a sync would send: W&B's log, and the files of the run."""
    sent = [*folder.rglob("*.wandb"), *(p for p in folder.rglob("files/**/*") if p.is_file())]
    assert sent
    return b"".join(path.read_bytes() + str(path.relative_to(folder)).encode() for path in sent)


def test_no_place_no_checkout_and_no_name_leaves(checkout, tmp_path, monkeypatch):
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setattr(socket, "gethostname", lambda: "my-own-host")
    monkeypatch.setattr(getpass, "getuser", lambda: "my-own-login")
    data, store = tmp_path / "patients" / "photos", tmp_path / "secret-store" / "privacy_exp"
    config = {
        "data": {"root": str(data), "manifest": "./elsewhere/manifest.csv"},
        "cache": {"root": str(store)},
        "inpainting": {"checkpoint": "owner/name"},
    }
    folder = checkout / "outputs" / "cell-3"
    folder.mkdir(parents=True)
    run(WandbTracking(), folder, config)
    sent = leaves(folder)
    assert b"test/fool_rate" in sent, "the figures do leave"
    assert b"owner/name" in sent
    assert b"photos" in sent, "the last part of a path stays"
    for secret in (
        *("private-faces", "example.org", commit, "private-checkout", "patients", "secret-store", "elsewhere"),
        *("ada", "grace", "lovelace", "holiday1", "requirements.txt", "pytorch-lightning", str(tmp_path)),
        *("my-own-host", "my-own-login", str(Path.home()) + "/", sys.executable),
    ):
        assert secret.encode() not in sent, secret


def test_names_leave_when_asked(tmp_path):
    run(WandbTracking(upload_names=True), tmp_path)
    assert b"ada_lovelace" in leaves(tmp_path)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("/home/me/faces", "faces"),
        ("~/faces", "faces"),
        ("../faces", "faces"),
        ("owner/name", "owner/name"),
        ("privacy_exp/assets/tiny_inpaint", "privacy_exp/assets/tiny_inpaint"),
        ("a photo of a face", "a photo of a face"),
        (3, 3),
        ([{"weights": "/x/w.pth"}], [{"weights": "w.pth"}]),
    ],
)
def test_places_are_cut_to_their_last_part(value, kept):
    assert without_places({"a": value}) == {"a": kept}
    assert without_places({"root": "not/there/yet"}) == {"root": "yet"}


def test_all_files_lie_in_the_run_folder_though_the_home_is_closed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/proc/none")
    for name in ("XDG_DATA_HOME", "WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    run(WandbTracking(), tmp_path)
    assert len(tracked(tmp_path)) == 2
    assert "WANDB_DATA_DIR" not in os.environ, "the caller's environment is left as it was"
    assert list(tmp_path.rglob("media/table/**/*.json"))
    assert b"staging" not in leaves(tmp_path)


def test_a_failing_tracker_is_a_warning_and_leaves_no_mark(tmp_path, monkeypatch, caplog):
    def fail(*args, **keys):
        raise PermissionError("Unable to write staging files")

    monkeypatch.setattr("wandb.sdk.wandb_run.Run._log", fail)
    with caplog.at_level(logging.WARNING):
        run(WandbTracking(), tmp_path)
    assert "Unable to write staging files" in caplog.text
    assert not (tmp_path / TRACKED).exists()
    assert "test/fool_rate" in (tmp_path / "csv" / "metrics.csv").read_text(), "the other tracker has it all"
    monkeypatch.undo()
    run(WandbTracking(), tmp_path)
    assert (tmp_path / TRACKED).is_file(), "a later call logs it"


@pytest.mark.parametrize("tracking", [CsvTracking, WandbTracking])
def test_one_process_is_rank_zero_whatever_a_scheduler_says(tracking, tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 3)  # what an import under SLURM_PROCID=3 gives
    run(tracking(), tmp_path)
    assert "test/fool_rate" in (tmp_path / "csv" / "metrics.csv").read_text()
    assert (tmp_path / TRACKED).is_file()


def test_nothing_written_leaves_no_mark(tmp_path):
    tracking = CsvTracking()
    tracking.start(tmp_path, "n", "g", {})
    tracking.finish(failed=False)
    assert not (tmp_path / TRACKED).exists()


@pytest.mark.slow
def test_csv_alone_does_not_load_wandb():
    """Its import makes folders in TMPDIR that a killed process leaves behind."""
    code = "import sys; from privacy_exp.tracking.tracker import CsvTracking; print('wandb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_only_finished_runs_are_uploaded(tmp_path, monkeypatch):
    (tmp_path / "cell").mkdir()
    run(WandbTracking(), tmp_path / "cell")
    killed = tmp_path / "cell" / "wandb" / "offline-run-20200101_000000-dead" / "run-dead.wandb"
    killed.parent.mkdir()
    killed.write_bytes(b"")
    line = [sys.executable, "scripts/wandb_sync.py", str(tmp_path), "--dry-run"]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=root, env=environment)
    first, second = done.stdout.splitlines()
    assert (first.split(":")[0], second.split(":")[0]) == ("left here", "would be uploaded")
