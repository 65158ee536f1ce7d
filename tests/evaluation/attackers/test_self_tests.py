"""The two ends of the scale for whoever learns what was done: weak blur and mosaic are undone, black frames are not.

People are told apart by four patches of colour under fine stripes, which blur and mosaic take away first. The judge
holds the stripes against the colour: without them it takes everybody for somebody else, though the colours are there.
"""

import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from privacy_exp import Blackout, Blur, Faces, Pixelate
from privacy_exp.evaluation.attackers import unet
from privacy_exp.evaluation.attackers.closed_set import chance_metric
from privacy_exp.evaluation.attackers.link_head import Vectors
from privacy_exp.evaluation.attackers.link_search import look_up, sides, untrained
from privacy_exp.evaluation.attackers.picture_pairs import Pairs
from privacy_exp.evaluation.attackers.unet import Budget, Restorer, restored, train

SCRIPT = importlib.util.spec_from_file_location("self_tests", Path(__file__).parents[3] / "scripts" / "self_tests.py")
self_tests = importlib.util.module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(self_tests)
FOOLED, LADDER, MOSAICS, UNDONE = (getattr(self_tests, name) for name in ("FOOLED", "LADDER", "MOSAICS", "UNDONE"))

PEOPLE, EACH, SIDE, CPU = 60, 3, 8, torch.device("cpu")
WHO = np.repeat([f"p{i:02}" for i in range(PEOPLE)], EACH)
GROUPS = np.array([f"photo/{i}" for i in range(len(WHO))])
STRIPES = (torch.arange(SIDE) % 4 < 2).float() * 2 - 1
HALVES = sorted(set(WHO))[::2], sorted(set(WHO))[1::2]


def photos():
    """Four patches of colour a person, striped, with the noise of a camera."""
    random = torch.Generator().manual_seed(0)
    patches = torch.rand(PEOPLE, 3, 2, 2, generator=random).repeat_interleave(EACH, dim=0)
    patches = F.interpolate(patches, SIDE)
    noise = 0.02 * torch.randn(patches.shape, generator=random)
    return levels(0.2 + 0.3 * patches * (1 + STRIPES) + noise)


def levels(images):
    return (images.clamp(0, 1) * 255).round().byte()


def seen(pictures):
    """How much stronger the stripes are than the colour under them, patch by patch."""
    images = pictures.float() / 255 - 0.2
    rows = F.avg_pool2d(images * (3 * STRIPES - 1), SIDE // 2).flatten(1)
    rows = F.normalize(rows - torch.tensor([0.3]), dim=1)
    return Vectors(rows.numpy(), WHO, GROUPS)


def protected(inpainter, pictures):
    faces = Faces([str(i) for i in range(len(pictures))], pictures.float() / 255)
    return levels(inpainter(faces, torch.ones(len(pictures), 1, SIDE, SIDE, dtype=torch.bool)))


def rank_1(probes, originals, heads=None):
    own = sides(probes, originals, HALVES, seed=1, steps=0) if heads is None else heads
    return look_up(untrained(own) if heads is None else own, probes, originals).rank_1


def weakest(kind, originals):
    """The first rung of the written ladder that fools the judge on half of the photos."""
    known = rank_1(seen(originals), seen(originals)) > 0.5
    for strength in LADDER if kind is Blur else MOSAICS:
        results = protected(kind(strength), originals)
        if (rank_1(seen(results), seen(originals))[known] < 0.5).mean() >= FOOLED:
            return results
    raise AssertionError("nothing on the ladder fools the judge")


def linked(results, originals, seed=1):
    """Heads that learnt from the other half of the people."""
    probes, gallery = seen(results), seen(originals)
    return rank_1(probes, gallery, sides(probes, gallery, HALVES, seed, steps=20))


def reconstructed(results, originals, folder, steps, seed=1):
    """The judge on what networks restore that learnt from the other half."""
    made = torch.empty(originals.shape)
    for learnt, asked in (HALVES, HALVES[::-1]):
        back = np.isin(WHO, learnt[::4])
        rows = [torch.from_numpy(np.flatnonzero(w)) for w in (np.isin(WHO, learnt) & ~back, back, np.isin(WHO, asked))]
        known, held, tried = (Pairs(results, originals)[own] for own in rows)
        net = Restorer(8, seed=seed)
        made[rows[2]] = restored(train(net, known, held, Budget(steps, seed=seed), None, folder, CPU), tried, CPU)
    return rank_1(seen(levels(made)), seen(originals))


def gets_half_back(attack, kind, originals):
    results = weakest(kind, originals)
    clean, plain = (rank_1(seen(probes), seen(originals)).mean() for probes in (originals, results))
    assert clean > 0.9
    assert plain < clean / 2
    assert (attack(results, originals).mean() - plain) / (clean - plain) >= UNDONE


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """One of a head's candidates besides the starts."""
    for name, only in {"WIDTHS": (0,), "TEMPERATURES": (0.2,), "DECAYS": (0.01,)}.items():
        monkeypatch.setattr(f"privacy_exp.evaluation.attackers.link_head.{name}", only)


@pytest.mark.parametrize("kind", [Blur, Pixelate])
def test_linkage_gets_back_half_of_what_a_weak_blur_or_mosaic_takes(kind):
    gets_half_back(linked, kind, photos())


@pytest.mark.parametrize("kind", [Blur, Pixelate])
def test_reconstruction_gets_back_half_of_what_a_weak_blur_or_mosaic_takes(kind, tmp_path, monkeypatch):
    for name, value in {"RATE": 1e-2, "BATCH": 8}.items():  # sooner there
        monkeypatch.setattr(unet, name, value)
    gets_half_back(partial(reconstructed, folder=tmp_path, steps=60), kind, photos())


@pytest.mark.parametrize("attack", ["linkage", "reconstruction"])
def test_black_frames_leave_chance_over_five_seeds(attack, tmp_path):
    originals = photos()
    results = protected(Blackout(), originals)
    hits = [
        linked(results, originals, seed)
        if attack == "linkage"
        else reconstructed(results, originals, tmp_path, steps=2, seed=seed)
        for seed in range(1, 6)
    ]
    _, report = chance_metric(np.concatenate(hits), np.tile(WHO, 5), 2 / PEOPLE)
    assert report["within"]
