"""What a dry run announces, against hours and bytes counted by hand."""

import itertools

import pytest

from privacy_exp.evaluation.attackers import reconstruction
from privacy_exp.inpainting.function import Function
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.study import dry_run, fit_cost, pace
from tests.inpainting import tools
from tests.recognition.small import Small

SMALL = (
    "recognition.net._target_=tests.recognition.small.Small",
    *(f"~recognition.net.{key}" for key in ("image_size", "dropout", "legacy_scaling")),
)


@pytest.fixture
def job(composed, tmp_path):
    from privacy_exp.sweep.build import job_of

    return job_of(composed(tmp_path / "run", *SMALL, "inpainting=mean_fill", "rerun=false"))


@pytest.mark.parametrize("freeze", ["none", "trunk"])
def test_a_fit_takes_all_epochs_of_reading_training_and_validation(job, monkeypatch, freeze):
    """Each step of a batch takes one second by this clock: the first, warm ones, and a look at validation photos."""
    clock = itertools.count()
    monkeypatch.setattr(fit_cost.time, "perf_counter", lambda: float(next(clock)))
    data = job.data
    train, val = len(data.photos["train"]), len(data.photos["val"])
    batch = min(data.batch_size, train)
    seconds = fit_cost.fit_seconds(job, Small(freeze=freeze), FitRecipe(max_epochs=7, augment=True))
    assert seconds == pytest.approx(7 * (train + val) / batch)


def test_checkpoints_that_cannot_be_shared_are_counted(job, monkeypatch):
    """A run's checkpoint is one file with the cache's, unless they lie on two file systems: then it is another copy."""
    sizes = {}
    for apart in (False, True):
        monkeypatch.setattr(dry_run, "_apart", lambda job, apart=apart: apart)
        monkeypatch.setattr(dry_run, "_cells", [])
        dry_run.estimate(job)
        dry_run.estimate(job)
        sizes[apart] = [space for _, _, space in dry_run._cells]
    network = Small(num_classes=len(job.data.identities))
    weights = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    assert sizes[False][0] - sizes[False][1] == pytest.approx(weights, rel=0.05), "the cache's own, with the first run"
    assert sizes[True][1] - sizes[False][1] == pytest.approx(weights, rel=0.05), "one more with every run"


def test_two_file_systems_are_told_apart(job, monkeypatch):
    assert not dry_run._apart(job)
    monkeypatch.setattr(dry_run, "_device", lambda path: path)
    assert dry_run._apart(job)


def test_each_distinct_cost_is_measured_once(job, monkeypatch):
    measured = []

    def once(name, fields, measure, own=pace.once):
        return own(name, fields, lambda: measured.append(name) or measure())

    for module in (dry_run, pace):
        monkeypatch.setattr(module, "once", once)
    monkeypatch.setattr(pace, "_known", {})
    monkeypatch.setattr(dry_run, "_cells", [])
    told = [dry_run.estimate(job) for _ in range(3)]
    assert sorted(measured) == ["mask", "paint", "rest", "weights"]
    assert told[2].startswith("3 runs, 30 photos: about ")


def test_what_the_cache_has_is_taken_off(job, monkeypatch):
    monkeypatch.setattr(dry_run, "_cells", [])
    monkeypatch.setattr(dry_run, "_finished", [])
    dry_run.estimate(job)
    job.store.folder("cell", {"key": job.key()}).mkdir(parents=True)
    assert "1 run of them finished before" in dry_run.estimate(job)
    assert 0 < dry_run._cells[1][1] < dry_run._cells[0][1] / 10, "it only begins"
    job.store.folder("cell", {"key": job.key()}).rmdir()


def test_trainings_of_other_networks_are_told_beforehand(composed, tmp_path, monkeypatch):
    """Two restorers of 21 steps of 2 seconds each, which half a minute cuts to 30 seconds."""
    from privacy_exp.sweep.build import job_of

    monkeypatch.setattr(reconstruction, "step_seconds", lambda *a: 2.0)
    keys = ("inpainting=mean_fill", "rerun=false", "attacker=[reconstruction]", "attacker.reconstruction.effort=quick")
    for minutes, seconds in (("null", 42), ("0.5", 30)):
        own = ("attacker.reconstruction.steps=21", f"attacker.reconstruction.minutes={minutes}")
        asked = job_of(composed(tmp_path / minutes, *SMALL, *keys, *own))
        assert f"attackers reconstruction: 2 fits of about {seconds} s and " in dry_run.attack_cost(asked)
    monkeypatch.setattr(dry_run, "_in_fits", [])
    dry_run.estimate(asked)
    assert (2.0, 30.0) in dry_run._in_fits


def test_guidance_counts_only_where_there_is_any(job):
    job.inpainter.guidance = "live"
    painters = []
    for scale in (0.5, 1.0, 3.0, 7.5):
        job.config["inpainting"] = {"guidance_scale": scale}
        painters.append(pace.painter_of(job))
    assert painters[0] == painters[1] != painters[2] == painters[3]


def test_durations_in_minutes_and_hours():
    assert [dry_run.duration(seconds) for seconds in (90, 7199, 7200)] == ["1.5 minutes", "120.0 minutes", "2.0 hours"]


def test_a_painter_without_masks_is_timed_on_whole_frames(job):
    job.inpainter = Function(tools.greyed)
    seconds, _, size = pace.painting(job)
    assert seconds > 0
    assert size > 0
