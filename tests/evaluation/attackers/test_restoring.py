"""Reconstruction and linkage around their networks: who is learnt from, what is stored, which figures come out."""

import logging
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from privacy_exp.data.identity_split import seeded_order
from privacy_exp.evaluation.attackers import reconstruction
from privacy_exp.evaluation.attackers.linkage import Linkage
from privacy_exp.evaluation.attackers.parrot_open import ParrotOpen
from privacy_exp.evaluation.attackers.picture_pairs import digests, joined
from privacy_exp.evaluation.attackers.reconstruction import Reconstruction
from privacy_exp.evaluation.attackers.unet import Budget, Restorer
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.evaluation.measure import Findings
from privacy_exp.types import UserError
from tests.evaluation.attackers.fakes import ByColour
from tests.evaluation.attackers.test_attackers import MeanColour
from tests.recognition.small import Colours

NAME, CPU = "attacker/a", torch.device("cpu")
CPUS = {"width": 8, "effort": "quick"}


@pytest.fixture
def scene(fakes):
    return fakes.scene("negative")


def halves_of(scene, seed):
    order = seeded_order(scene.identities, seed, "attacker's people")
    return order[:2], order[2:]


def back_of(learnt, seed):
    return set(seeded_order(learnt, seed, "held back")[:2])


@pytest.fixture
def no_intervals(monkeypatch):
    """Intervals are slow, and tested elsewhere."""
    monkeypatch.setattr("privacy_exp.evaluation.statistics.intervals.clustered_interval", lambda *a: (0.0, 1.0))


def test_numbers_out_of_range_are_refused_and_those_at_the_edge_are_not():
    plain = Reconstruction()
    assert (plain.knows_mask, plain.steps, plain.minutes, plain.width) == (False, 900, 30.0, 32)
    assert (plain.counts, plain.seed, plain.shuffled_labels) == ((1, 2, 5, 10), 1, False)
    edge = Reconstruction(steps=1, minutes=None, width=8, counts=[1], effort="strong")
    assert (edge.steps, edge.minutes, edge.width) == (10, None, 8)
    Reconstruction(minutes=0.5)
    for bad in ({"width": 4}, {"width": 0}, {"minutes": 0}, {"minutes": -1.0}, {"steps": 0}, {"counts": [1, 0]}):
        with pytest.raises(UserError):
            Reconstruction(**bad)
    links = Linkage()
    assert (links.counts, links.steps, links.seed) == ((1, 2, 5, 10), 150, 1)
    assert links.ceiling is links.shuffled_labels is True
    assert Linkage(effort="quick").steps == 50
    with pytest.raises(UserError, match=r"`counts` .* got \[0\]"):
        Linkage([0])


@pytest.mark.parametrize("attacker", [Linkage(seed=2), Reconstruction(seed=2), ParrotOpen(seed=2)])
def test_four_people_are_enough_and_pictures_cost(fakes, attacker):
    for people in (3, 4):
        data = Colours(people=people, photos_each=5)
        data.setup()
        if people == 4:
            attacker.check(data)
        else:
            with pytest.raises(UserError, match=r"needs at least 4 identities, .* has 3\. Add people"):
                attacker.check(data)
    alone = copy(fakes.data)
    alone.photos = {**fakes.data.photos, "train": []}
    with pytest.raises(UserError, match="at least 2 images of each identity"):
        attacker.check(alone)
    cost = attacker.cost(fakes.data, True, 3)
    assert cost.pictures == {("train", 5), ("val", 5)}
    assert len(cost.fits) == 2 * isinstance(attacker, ParrotOpen)


def test_each_half_is_restored_by_a_network_of_the_other(scene, folders, monkeypatch):
    asked = []

    class Marks(Restorer):
        def __init__(self, mark):
            torch.nn.Module.__init__(self)
            self.mark = mark

        def forward(self, pictures, masks=None):
            asked.append((len(pictures), None if masks is None else masks.float().mean().item()))
            return torch.full_like(pictures, self.mark)

    halves = halves_of(scene, 1)
    marks = {tuple(halves[0]): 0.25, tuple(halves[1]): 0.75}
    monkeypatch.setattr(
        Reconstruction,
        "_fit",
        lambda self, scene, folders, learnt, *rest: asked.append(rest) or Marks(marks[tuple(learnt)]),
    )
    made = Reconstruction(**CPUS)._restore(scene, folders, halves, 3)
    first = np.isin(scene.table["identity"], halves[0])
    assert made[:, 0, 0, 0].tolist() == [0.75 if own else 0.25 for own in first]
    assert asked == [(3,), (3, None), (3,), (2, None)]
    asked.clear()
    Reconstruction(knows_mask=True, **CPUS)._restore(scene, folders, halves)
    assert asked == [(None,), (3, 0.5), (None,), (2, 0.5)], "half of each frame is hidden"
    with pytest.raises(UserError, match="1 are both"):
        Reconstruction(**CPUS)._restore(scene, folders, (halves[0], [*halves[1], halves[0][0]]))


def test_a_network_learns_from_its_own_people_and_is_kept_by_what_decides_it(
    fakes, scene, folders, monkeypatch, caplog
):
    asked, fetched = [], []

    def train(net, known, held, budget, embed, folder, device):
        asked.append((net, known, held, budget, embed, device))
        return net

    store = type(scene.store)(scene.store.root.parent / "other")
    monkeypatch.setattr(store, "fetch", lambda *a, f=store.fetch, **k: fetched.append((*a[:2], k)) or f(*a, **k))
    monkeypatch.setattr(reconstruction, "train", train)
    monkeypatch.setattr(reconstruction, "HELD_BACK", 0.5)
    monkeypatch.setattr(reconstruction, "sources", lambda name: f"code of {name}")
    scene, learnt = replace(scene, store=store), ["person0", "person1", "person3", "person4"]
    judged = replace(scene, judges={"judge/colour": scene.recognizer})
    own = Reconstruction(knows_mask=True, steps=7, minutes=2.5, seed=3, size=48, **CPUS)
    with caplog.at_level(logging.INFO):
        own._fit(judged, folders, learnt, None)
    back = back_of(learnt, 3)
    ids = {
        which: [
            (folders[part], photo.id)
            for part in ("train", "val")
            for photo in fakes.data.photos[part]
            if photo.identity in learnt and (photo.identity in back) == which
        ]
        for which in (True, False)
    }
    net, known, held, budget, embed, device = asked[0]
    for found, which in ((known, False), (held, True)):
        expected = joined(ids[which], True)
        assert len(found.results) == 8
        assert all(getattr(found, f).equal(getattr(expected, f)) for f in ("results", "originals", "masks"))
    assert (budget, embed, device) == (Budget(7, 2.5, 3), scene.recognizer.embed, CPU)
    assert (net.size, len(net.net.conv_in.weight)) == (48, 8)
    assert "reconstruction: 7 steps on 8 photos, at most 2.5 minutes" in caplog.text
    ((kind, fields, keys),) = fetched
    assert (kind, keys) == ("restorer", {"resumable": True})
    assert fields == {
        "pictures": [digests(ids[which], True) for which in (True, False)],
        "held": 8,
        "budget": {"steps": 7, "minutes": 2.5, "seed": 3, "width": 8, "size": 48, "mask": True, "shuffle": None},
        "features": reconstruction._weights(scene.recognizer),
        "code": ["code of privacy_exp.evaluation.attackers.reconstruction"],
    }
    net = own._fit(judged, folders, learnt, None)
    assert len(asked) == 1, "kept"
    assert not net.training
    assert net.net.conv_in.weight.equal(Restorer(8, True, 3).net.conv_in.weight)
    plain = Reconstruction(steps=7, minutes=None, **CPUS)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        plain._fit(scene, {"train": folders["train"]}, learnt, 4)
    assert "7 steps on 6 photos\n" in caplog.text
    net, known, _, budget, embed, _ = asked[1]
    assert net.size == 64
    photos = [p for p in fakes.data.photos["train"] if p.identity in learnt and p.identity not in back_of(learnt, 1)]
    whole = joined([(folders["train"], photo.id) for photo in photos], False)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(4))
    assert known.results.equal(whole.results)
    assert known.originals.equal(whole.originals[order])
    assert (known.masks, embed, budget.minutes) == (None, None, None)
    assert (fetched[-1][1]["budget"]["shuffle"], fetched[-1][1]["features"]) == (4, None)
    monkeypatch.setattr(reconstruction, "HELD_BACK", 0.3)
    Reconstruction(steps=7, **CPUS)._fit(scene, folders, learnt[:2], None)
    assert len(asked[2][2].results) == 4, "at least one person is held back"


def test_weights_are_digested_by_name_and_value():
    torch.manual_seed(0)
    first = ByColour(3)
    same = copy(first)
    assert reconstruction._weights(first) == reconstruction._weights(same)
    assert len(reconstruction._weights(first)) == 20
    assert reconstruction._weights(first) != reconstruction._weights(ByColour(3))
    one, two = torch.nn.Linear(1, 1), torch.nn.Module()
    two.register_parameter("weight", one.bias)
    two.register_parameter("bias", one.weight)
    assert reconstruction._weights(one) != reconstruction._weights(two)


def test_restored_photos_are_looked_up_and_compared(judged, no_intervals, monkeypatch):
    """What is restored is the original itself: all is recovered, and no error is left."""
    seen = []

    def restore(self, scene, folders, halves, shuffle=None):
        seen.append((halves, shuffle, sorted(folders)))
        return self._tested(scene, "original")

    monkeypatch.setattr(Reconstruction, "_restore", restore)
    found = Reconstruction(counts=(1, 2), seed=2, **CPUS).measure(judged, NAME)
    assert seen == [(halves_of(judged, 2), None, ["test", "train", "val"])]
    assert found.details["steps"] == 300
    assert "shuffled_labels" not in found.details
    assert [o.name for o in found.outcomes] == [f"{NAME}/colour"], "nobody has two test photos"
    before, hidden, restored_again = found.strip
    assert before.equal(restored_again)
    assert before.equal(Reconstruction()._tested(judged, "original")[:12])
    assert hidden.equal(Reconstruction()._tested(judged, "results")[:12])
    values = {name.removeprefix(NAME + "/"): m.value for name, m in found.metrics.items()}
    assert values["colour/rank_1"] == values["recovered_share"] == values["colour/ceiling"] == 1
    assert values["colour/untrained"] < 1, "as they were, negatives are not found"
    original, result = (Reconstruction()._tested(judged, kind) for kind in ("original", "results"))
    error = float((original - result).double().square().mean())
    assert values["psnr_before"] == pytest.approx(-10 * np.log10(error), rel=1e-5)
    assert found.metrics[f"{NAME}/psnr"].reason == "equal to the originals: infinite"
    alone = Reconstruction(counts=(1,), **CPUS).measure(replace(judged, judges={}), NAME)
    assert f"{NAME}/target/rank_1" in alone.metrics


def test_permuted_people_are_pooled(judged, monkeypatch):
    monkeypatch.setattr(reconstruction, "SHUFFLES", 2)
    asked = []
    monkeypatch.setattr(
        Reconstruction, "_restore", lambda self, scene, *a: asked.append(a[2:]) or self._tested(scene, "original")
    )
    folders = {part: judged.anonymize(part, 1) for part in ("train", "val")}
    own, found, halves = Reconstruction(seed=4, **CPUS), Findings(), halves_of(judged, 4)
    own._shuffled(judged, NAME, folders, halves, judged.judges, found)
    assert asked == [(0,), (1,)]
    truth, hits = judged.table["identity"].to_numpy(str), []
    for shuffle in (0, 1):
        random, people = np.random.default_rng([4, shuffle]), truth.copy()
        for half in halves:
            rows = np.flatnonzero(np.isin(people, half))
            people[rows] = people[random.permutation(rows)]
        hits += (people == truth).tolist()
    metric, report = found.metrics[f"{NAME}/shuffled_labels"], found.details["shuffled_labels"]
    assert (metric.value, metric.n) == (np.mean(hits), 10)
    assert report["chance"] == pytest.approx(1 / 2.5)  # 5 / (2/2 + 3/3) people
    monkeypatch.setattr(reconstruction, "chance_metric", lambda hits, people, chance: (metric, {"within": False}))
    own._shuffled(judged, NAME, folders, halves, judged.judges, found)
    assert found.warnings == [f"{NAME}: permuted people are recognised more often than by chance: something leaks."]


def test_galleries_are_of_originals_and_probes_of_what_was_restored(fakes, scene, folders):
    made = Reconstruction()._tested(scene, "results")
    made[1] = 0.5  # no colour: cannot be embedded

    class Colour:
        def embed(self, images):
            rows = images.mean((2, 3)) - 0.5
            return torch.where(
                rows.abs().sum(1, keepdim=True) > 1e-6, torch.nn.functional.normalize(rows, dim=1), torch.inf
            )

    gallery, asked, clean, results = reconstruction._vectors(scene, Colour(), folders, made)
    photos = [photo for part in ("train", "val") for photo in fakes.data.photos[part]]
    assert gallery.people.tolist() == [photo.identity for photo in photos]
    assert gallery.groups.tolist() == [f"photo/{photo.id}" for photo in photos]
    colours = np.stack([fakes.data.read(photo).mean((0, 1)) / 255 - 0.5 for photo in photos])
    np.testing.assert_allclose(gallery.rows, colours / np.linalg.norm(colours, axis=1, keepdims=True), atol=1e-4)
    assert asked.people.tolist() == clean.people.tolist() == scene.table["identity"].tolist()
    assert asked.groups.tolist() == clean.groups.tolist() == [f"photo/{i}" for i in scene.table["image_id"]]
    assert np.isnan(asked.rows).all(axis=1).tolist() == [False, True, False, False, False]
    np.testing.assert_allclose(results.rows, -clean.rows, atol=0.02)
    np.testing.assert_allclose(asked.rows[2], -clean.rows[2], atol=0.02)
    assert asked.people is not clean.people
    few = reconstruction._vectors(scene, Colour(), {"train": folders["train"]}, made)[0]
    assert len(few.people) == 15
    own, _, theirs, _ = reconstruction._vectors(scene, Judge(MeanColour(), detect=False), folders, made)
    np.testing.assert_allclose(own.rows, gallery.rows, atol=1e-4)
    np.testing.assert_allclose(theirs.rows, clean.rows, atol=1e-4)
