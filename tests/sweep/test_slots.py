"""Slots of one machine: never shared, free again when their process is killed."""

import os
import subprocess
import sys
import time

import pytest
import torch
from extras import installed
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from privacy_exp.sweep import slots
from privacy_exp.sweep.entry import CONF
from privacy_exp.sweep.slots import gpu_names, slot, slots_of

HOLD = """
import sys, time
from pathlib import Path
from privacy_exp.sweep.slots import slot
with slot(2, None, Path(sys.argv[1])) as number:
    begin = time.time()
    print("taken", number, begin, flush=True)
    time.sleep(float(sys.argv[2]))
    print("given", number, time.time(), flush=True)
"""


def hold(pool, seconds):
    command = [sys.executable, "-c", HOLD, str(pool), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_four_jobs_on_two_slots_never_share_one(tmp_path):
    jobs = [hold(tmp_path, 0.5) for _ in range(4)]
    spans = []
    for job in jobs:
        taken, given = (line.split() for line in job.communicate()[0].splitlines())
        assert job.returncode == 0
        spans.append((int(taken[1]), float(taken[2]), float(given[2])))
    assert {number for number, _, _ in spans} <= {0, 1}
    for one in spans:
        for other in spans:
            if one is not other and one[0] == other[0]:
                assert one[2] <= other[1] or other[2] <= one[1], spans


def test_a_killed_job_frees_its_slot(tmp_path):
    jobs = [hold(tmp_path, 60) for _ in range(2)]
    for job in jobs:
        assert job.stdout.readline().startswith("taken")
    jobs[0].kill()
    started = time.monotonic()
    with slot(2, None, tmp_path) as number:
        assert number in (0, 1)
    assert time.monotonic() - started < 10
    jobs[1].kill()
    [job.wait() for job in jobs]


def test_a_slot_takes_its_share_of_the_cores_and_gives_it_back(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "cores", lambda: 8)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        with slot(4, "cpu", tmp_path):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 8
        with slot(100, "cpu", tmp_path):
            assert torch.get_num_threads() == 1
        with slot(None):
            assert torch.get_num_threads() == 8
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("overrides", "gpus", "slots"),
    [
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"], 0, 3),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=3", "slots=2"], 0, 2),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=4", "trainer=gpu"], 2, 2),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=4", "trainer=gpu", "slots=4"], 2, 4),
        (["hydra/launcher=joblib", "slots=null"], 0, None),
        (["hydra/launcher=submitit_local"], 0, 1),
        (["hydra/launcher=submitit_local", "trainer=gpu"], 2, 2),
        (["hydra/launcher=submitit_slurm", "trainer=gpu"], 1, None),
        (["hydra/launcher=ray", "trainer=gpu"], 1, None),
        ([], 0, None),
    ],
)
def test_slots_follow_the_launcher_unless_said_otherwise(monkeypatch, overrides, gpus, slots):
    launcher = next((o.partition("=")[2] for o in overrides if o.startswith("hydra/launcher=")), None)
    package = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}
    if launcher and not installed(f"hydra_plugins.hydra_{package[launcher]}_launcher"):
        pytest.skip(f"needs the extra for hydra/launcher={launcher}")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=["hydra.mode=MULTIRUN", *overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    assert slots_of(config.slots, config.trainer.accelerator) == slots
    for bad in (0, -1, "many"):
        with pytest.raises(ValueError, match="`slots` must be at least 1, auto or null"):
            slots_of(bad)


def test_gpu_slots_are_named_after_the_card(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert gpu_names(2) == ["gpu2-0", "gpu5-0"]
    assert gpu_names(3) == ["gpu2-0", "gpu5-0", "gpu2-1"]  # more slots than cards: two share one, on purpose
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert gpu_names(2) == ["gpu0-0", "gpu1-0"]


def test_each_slot_makes_its_card_the_current_one(tmp_path, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with slot(2, "gpu", tmp_path) as one, slot(2, "gpu", tmp_path) as other:
        assert {one, other} == {0, 1}
    assert sorted(chosen) == [0, 1]
    assert os.listdir(tmp_path)  # noqa: PTH208
