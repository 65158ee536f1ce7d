"""Reconstruction: it brings back what is there, restores nobody it has learnt, and goes on where it was killed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from privacy_exp import UserError
from privacy_exp.evaluation.attackers import unet
from privacy_exp.evaluation.attackers.picture_pairs import Pairs
from privacy_exp.evaluation.attackers.reconstruction import Reconstruction
from privacy_exp.evaluation.attackers.unet import Budget, Restorer, restored, train
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.recognition.recipe import FitRecipe
from tests.evaluation.attackers.conftest import World
from tests.evaluation.attackers.test_attackers import MeanColour
from tests.recognition.small import Colours

CPU, NAME = torch.device("cpu"), "attacker/reconstruction"
QUICK = {"effort": "quick", "width": 8, "counts": (1, 2)}


@pytest.fixture(scope="module")
def crowd(trainer, tmp_path_factory):
    """More people than the shared world has: from one colour nobody learns what a negative is."""
    data = Colours(people=24, photos_each=4, batch_size=16, min_images_per_identity=4)
    data.setup()
    made = World(tmp_path_factory.mktemp("crowd"), trainer, data)
    made.recognizer = made.fit(data, recipe=FitRecipe(max_epochs=1))
    return made


def pairs(count=32, seed=0):
    originals = torch.randint(0, 256, (count, 3, 1, 1), generator=torch.Generator().manual_seed(seed)).byte()
    originals = originals.expand(count, 3, 9, 10).contiguous()
    return Pairs(255 - originals, originals)


def judged(world, protection):
    return replace(world.scene(protection), judges={"judge/colour": Judge(MeanColour(), detect=False)})


def test_untrained_it_changes_nothing_and_trained_it_brings_back_the_negative(tmp_path):
    known, held = pairs(), pairs(8, seed=1)
    plain = restored(Restorer(8), held, CPU)
    torch.testing.assert_close(plain, held.results / 255.0)
    net = train(Restorer(8), known, held, Budget(60), None, tmp_path, CPU)
    before, after = ((p - held.originals / 255.0).abs().mean() for p in (plain, restored(net, held, CPU)))
    assert after < before / 2
    assert not list(tmp_path.iterdir()), "the state of a finished training goes"


def test_nothing_learnt_leaves_the_picture_as_it_is(tmp_path):
    same = pairs(16)
    same = Pairs(same.originals, same.originals)
    net = train(Restorer(8), same, same, Budget(10), None, tmp_path, CPU)
    torch.testing.assert_close(restored(net, same, CPU), same.originals / 255.0)


def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.setattr(unet, "EVERY", 2)
    known, held = pairs(), pairs(8, seed=1)
    (whole, cut) = (tmp_path / "whole", tmp_path / "cut")
    whole.mkdir()
    cut.mkdir()
    expected = train(Restorer(8), known, held, Budget(6), None, whole, CPU).state_dict()
    saved, calls = torch.save, []

    def killed(state, path):
        saved(state, path)
        calls.append(state["step"])
        if len(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train(Restorer(8), known, held, Budget(6), None, cut, CPU)
    found = train(Restorer(8), known, held, Budget(6), None, cut, CPU).state_dict()
    assert calls == [2, 4]
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_minutes_end_it(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(unet.time, "monotonic", lambda: float(next(clock)))
    steps = []
    monkeypatch.setattr(unet, "_loss", lambda *a, known=unet._loss: steps.append(1) or known(*a))
    train(Restorer(8), pairs(), pairs(8, 1), Budget(500, minutes=1.0), None, tmp_path, CPU)
    assert len(steps) < 10


def test_the_negative_is_undone_and_black_stays_at_chance(crowd, monkeypatch):
    for name, value in {"TONE_RATE": 0.1, "EVERY": 20, "BATCH": 8}.items():  # sooner there
        monkeypatch.setattr(unet, name, value)
    found = Reconstruction(steps=60, **QUICK).measure(judged(crowd, "negative"), NAME)
    seen = next(o for o in found.outcomes if o.name == f"{NAME}/colour")
    assert seen.clean.mean() > 0.9
    assert found.metrics[f"{NAME}/recovered_share"].value >= 0.5, "at least half of what the plain judge lost"
    assert found.metrics[f"{NAME}/psnr"].value > found.metrics[f"{NAME}/psnr_before"].value + 3
    assert {o.name for o in found.outcomes} == {f"{NAME}/colour"}, "nobody has 2 test photos"
    black = Reconstruction(steps=4, **QUICK).measure(judged(crowd, "black"), NAME)
    seen = next(o for o in black.outcomes if o.name == f"{NAME}/colour")
    assert abs(seen.anonymized.mean() - seen.chance) <= 3 * np.sqrt(seen.chance / len(seen.anonymized)) + 0.1


def test_a_fit_is_kept_and_shuffled_people_are_at_chance(world, monkeypatch):
    monkeypatch.setattr("privacy_exp.evaluation.attackers.reconstruction.SHUFFLES", 2)
    scene = world.scene("negative")
    found = Reconstruction(steps=3, shuffled_labels=True, **QUICK).measure(scene, NAME)
    assert {o.name.split("/")[2] for o in found.outcomes} == {"target"}, "without a judge the target looks"
    assert found.details["shuffled_labels"]["within"]
    monkeypatch.setattr("privacy_exp.evaluation.attackers.reconstruction.train", None)
    again = Reconstruction(steps=3, **QUICK).measure(scene, NAME)
    assert again.metrics.items() <= found.metrics.items()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"counts": []}, "`counts`"),
        ({"steps": 0}, "`steps` must be at least 1"),
        ({"minutes": 0.0}, "`minutes` must be above 0"),
        ({"width": 12}, "`width` must be a multiple of 8"),
        ({"size": 7}, "`size` must be at least 8, or null for every pixel, but got 7"),
        ({"effort": "more"}, "`effort` must be one of"),
        ({"seed": 0}, "at least 1, but got 0"),
    ],
)
def test_bad_values_are_named(keys, says):
    with pytest.raises(UserError, match=says):
        Reconstruction(**keys)
