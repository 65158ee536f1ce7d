"""Scores that have been computed once are read: the same values, whatever comes after scoring, and nothing stale."""

import pytest
import torch
from torch import nn

from privacy_exp.cache.store import Store
from privacy_exp.masking.iterative import Iterative
from privacy_exp.masking.random_patches import RandomPatches
from privacy_exp.masking.rise import RISE
from privacy_exp.masking.saliency import Saliency
from privacy_exp.masking.stored import stored_scores
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces


class Tiny(Recognizer):
    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        trunk = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        super().__init__(trunk, nn.Linear(16, 3), 3, 16, "none")

    def prepare(self, images):
        return images


def faces(n: int = 4) -> Faces:
    images = torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Faces([f"f{i}" for i in range(n)], images, torch.arange(n) % 3)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


def test_the_second_time_nothing_is_computed_and_the_values_are_the_same(store):
    net, batch = Tiny().eval(), faces()
    first = stored_scores(store, Saliency(), net, seed=0)
    scores = first(batch)
    assert (first.rows.computed, first.rows.read) == (4, 0)
    assert scores.equal(Saliency().rank(batch, net, seed=0))
    again = stored_scores(store, Saliency(granularity=2, region="face"), net, seed=5)  # all of this is after scoring
    assert again(batch).equal(scores)
    assert (again.rows.computed, again.rows.read) == (0, 4)
    one = batch._replace(ids=batch.ids[2:3], images=batch.images[2:3], labels=batch.labels[2:3])
    assert again(one).equal(scores[2:3])


@pytest.mark.parametrize("change", ["weights", "method", "target layer", "pixels", "label", "means"])
def test_what_decides_the_scores_is_never_mixed_up(store, change):
    net, batch, method = Tiny().eval(), faces(), Saliency()
    stored_scores(store, method, net, seed=0)(batch)
    if change == "weights":
        net = Tiny(seed=1).eval()
    elif change == "method":
        method = Saliency(target="logit")
    elif change == "target layer":
        net.choose_target_layer("0")
    elif change == "means":
        net.prototypes = torch.ones(3, 16)
    elif change == "pixels":
        batch = batch._replace(images=batch.images.flip(3))
    else:
        batch = batch._replace(labels=(batch.labels + 1) % 3)
    other = stored_scores(store, method, net, seed=0)
    assert other(batch).equal(method.rank(batch, net, seed=0))
    assert other.rows.read == 0


def test_seeds_are_kept_apart_where_the_method_draws(store):
    net, batch = Tiny().eval(), faces(2)
    rise = RISE(samples=4, cells=2, hidden=0.5, batch_size=4)
    a, b = (stored_scores(store, rise, net, seed)(batch) for seed in (0, 1))
    assert not a.equal(b)
    assert stored_scores(store, Iterative(Saliency(), steps=2, granularity=4), net, 0).rows.folder != (
        stored_scores(store, Iterative(Saliency(), steps=2, granularity=8), net, 0).rows.folder
    ), "its steps hide whole blocks"


def test_a_damaged_file_is_computed_again_and_replaced(store):
    net, batch = Tiny().eval(), faces()
    scores = stored_scores(store, Saliency(), net, seed=0)(batch)
    files = sorted(store.root.rglob("*.npz"))
    assert len(files) == 4
    content = bytearray(files[0].read_bytes())
    content[len(content) // 2] ^= 1  # one bit of one score
    files[0].write_bytes(content)
    files[1].write_bytes(files[1].read_bytes()[:100])
    repaired = stored_scores(store, Saliency(), net, seed=0)
    assert repaired(batch).equal(scores)
    assert (repaired.rows.computed, repaired.rows.read) == (2, 2)
    assert stored_scores(store, Saliency(), net, seed=0)(batch).equal(scores)
    assert len(list(store.root.rglob("*.npz"))) == 4


def test_a_store_that_cannot_be_written_says_so_once_and_the_scores_are_right(store, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("privacy_exp.cache.files.tempfile.mkstemp", refuse)
    scores = stored_scores(store, Saliency(), Tiny().eval(), seed=0)
    with pytest.warns(UserWarning, match="without being kept") as caught:
        assert scores(faces()).equal(Saliency().rank(faces(), Tiny().eval(), seed=0))
    assert len(caught) == 1


def test_blind_methods_are_not_stored(store):
    assert stored_scores(store, RandomPatches(8), Tiny().eval(), seed=0) is None
    assert stored_scores(store, Saliency(), None, seed=0) is None
