"""Linkage around its heads: whom they learn from, which figures come out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from privacy_exp.data.identity_split import seeded_order
from privacy_exp.evaluation.attackers import linkage
from privacy_exp.evaluation.attackers.link_head import Choice, LinkHead, Vectors
from privacy_exp.evaluation.attackers.link_search import Operating, Side, look_up
from privacy_exp.evaluation.attackers.linkage import Linkage, seen_by
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.evaluation.measure import Findings
from privacy_exp.types import UserError
from tests.evaluation.attackers.test_attackers import MeanColour

NAME, CPU = "attacker/a", torch.device("cpu")
CPUS = {"width": 8, "effort": "quick"}


@pytest.fixture
def scene(fakes):
    return fakes.scene("negative")


@pytest.fixture
def no_intervals(monkeypatch):
    """Intervals are slow, and tested elsewhere."""
    monkeypatch.setattr("privacy_exp.evaluation.statistics.intervals.clustered_interval", lambda *a: (0.0, 1.0))


def halves_of(scene, seed):
    order = seeded_order(scene.identities, seed, "attacker's people")
    return order[:2], order[2:]


def test_linkage_sees_four_kinds_of_photos(fakes, scene, folders):
    for embedder in (scene.recognizer, Judge(MeanColour(), detect=False)):
        faces = seen_by(embedder, scene, folders)
        photos = [photo for part in ("train", "val") for photo in fakes.data.photos[part]]
        assert faces.known.people.tolist() == faces.originals.people.tolist() == [photo.identity for photo in photos]
        assert faces.known.groups.tolist() == [f"photo/{photo.id}" for photo in photos]
        assert faces.asked.people.tolist() == faces.clean.people.tolist() == scene.table["identity"].tolist()
        assert faces.asked.groups.tolist() == [f"photo/{i}" for i in scene.table["image_id"]]
        colours = np.stack([fakes.data.read(photo).mean((0, 1)) / 255 - 0.5 for photo in photos])
        np.testing.assert_allclose(
            faces.originals.rows, colours / np.linalg.norm(colours, axis=1, keepdims=True), atol=1e-4
        )
        np.testing.assert_allclose(faces.known.rows, -faces.originals.rows, atol=0.02)
        np.testing.assert_allclose(faces.asked.rows, -faces.clean.rows, atol=0.02)
    assert len(seen_by(scene.recognizer, scene, {"train": folders["train"], "test": scene.folder}).known.people) == 15


def test_people_are_permuted_within_their_half():
    people = np.array(list("aabbcd"))
    vectors = Vectors(np.eye(6, dtype=np.float32), people, np.array(list("uvwxyz")))
    found = linkage._permuted(vectors, [["a", "b"], ["c", "d"]], np.random.default_rng(3))
    random = np.random.default_rng(3)
    assert found.people[:4].tolist() == people[:4][random.permutation(np.arange(4))].tolist()
    assert found.people[4:].tolist() == people[random.permutation(np.array([4, 5]))].tolist()
    assert people.tolist() == list("aabbcd"), "left as they were"


@pytest.fixture
def linking(monkeypatch):
    """Heads that learn nothing, and what was asked for."""
    asked = []

    def sides(probes, originals, people, seed, steps):
        asked.append(("sides", probes is originals, people, seed, steps))
        return [
            Side(list(half), LinkHead(probes.rows.shape[1]), Choice(steps=k)) for k, half in enumerate(people[::-1])
        ]

    def fit(probes, originals, choice, seed):
        asked.append(("fit", sorted(set(probes.people)), sorted(set(originals.people)), choice.steps, seed))
        return LinkHead(probes.rows.shape[1])

    monkeypatch.setattr(linkage, "sides", sides)
    monkeypatch.setattr(linkage, "fit", fit)
    return asked


def test_linkage_asks_for_a_head_a_ceiling_and_five_shuffles(judged, linking, no_intervals):
    found = Linkage((1, 2), "quick", seed=3).measure(judged, NAME)
    halves = halves_of(judged, 3)
    first, second = sorted(halves[0]), sorted(halves[1])
    fits = [("fit", first, first, 0, 3), ("fit", second, second, 1, 3)] * 5
    own = [("sides", False, halves, 3, 50), ("sides", True, halves, 3, 50), *fits]
    assert linking == [*own, *own], "for the target and for the judge"
    names = [f"rank_{k}{s}" for k in (1, 5, 10) for s in ("", "_normalised")] + [
        "untrained",
        "gallery_1",
        "gallery_5",
        "tar_1e-2",
        "dir_1e-2",
        "ceiling",
        "shuffled_labels",
        "recovered_share",
        "n_2/rank_1",
        "n_2/recovered_share",
    ]
    assert set(found.metrics) == {f"{NAME}/{e}/{n}" for e in ("target", "colour") for n in names} | {
        f"{NAME}/recovered_share"
    }
    assert found.metrics[f"{NAME}/colour/n_2/rank_1"].reason == "nobody has 2 test photos"
    assert found.metrics[f"{NAME}/colour/ceiling"].value == 1
    assert found.details["colour"]["heads"] == [
        {"width": 0, "temperature": 0.05, "decay": 0.01, "steps": k, "ridge": None} for k in (0, 1)
    ]
    assert found.details["colour"]["chance"] == pytest.approx(1 / 2.5)
    linking.clear()
    bare = Linkage((1,), "quick", ceiling=False, shuffled_labels=False).measure(judged, NAME)
    assert [a[0] for a in linking] == ["sides", "sides"]
    assert not any("ceiling" in m or "shuffled" in m for m in bare.metrics)


def side_of(faces):
    names = sorted(set(faces.asked.people))
    return [Side(names[:2], LinkHead(3), Choice()), Side(names[2:], LinkHead(3), Choice())]


def test_permuted_heads_are_pooled_and_warned_of(judged, folders, linking, monkeypatch):
    faces = seen_by(judged.recognizer, judged, folders)
    halves, found, facts = side_of(faces), Findings(), {}
    Linkage(seed=2)._shuffled(NAME, halves, faces, None, found, facts)
    hits = []
    for shuffle in range(5):
        random = np.random.default_rng([2, shuffle])
        linkage._permuted(faces.known, [s.people for s in halves], random)
        asked = linkage._permuted(faces.asked, [s.people for s in halves], random)
        hits += look_up(halves, asked, faces.originals).rank_1.tolist()
    metric = found.metrics[f"{NAME}/shuffled_labels"]
    assert (metric.value, metric.n, metric.reason) == (pytest.approx(np.mean(hits)), 25, None)
    assert facts["shuffled_labels"]["chance"] == pytest.approx(1 / 2.5)
    report = {"within": False, "chance": 0.4}
    monkeypatch.setattr(linkage, "chance_metric", lambda *a: (metric, report))
    Linkage(seed=2)._shuffled(NAME, halves, faces, "below_gate", found, facts)
    assert found.warnings == [
        f"{NAME}: heads that learnt from permuted pairs link {metric.value:.3f} of them, more than 3 standard errors "
        "from chance (0.400): something leaks."
    ]
    assert found.metrics[f"{NAME}/shuffled_labels"].reason == "below_gate"


def test_rates_at_one_false_accept_in_a_hundred(judged, folders, monkeypatch):
    faces = seen_by(judged.recognizer, judged, folders)
    asked = []

    def accepted(*args):
        asked.append(args)
        return Operating(np.array([True, True, False, True]), np.array([0, 0, 1, 4]), np.arange(5) < 2, 9, 8, 0.25)

    monkeypatch.setattr(linkage, "operate", accepted)
    found, facts = Findings(), {}
    Linkage()._accept(NAME, [], faces, None, found, facts)
    assert asked[0][1] is faces.asked
    assert asked[0][2] is faces.originals
    assert asked[0][3] is faces.clean
    assert asked[0][4] == 0.01
    assert found.metrics[f"{NAME}/tar_1e-2"].value == 0.75
    assert found.metrics[f"{NAME}/dir_1e-2"].value == 0.4
    assert found.metrics[f"{NAME}/dir_1e-2"].n == 5
    assert facts == {"strangers": 8, "false_accepts_anonymized": 0.25}
    monkeypatch.setattr(linkage, "operate", lambda *a: Operating(None, np.array([0, 1]), None, 9, 8, None))
    Linkage()._accept(NAME, [], faces, "below_gate", found, facts)
    assert found.metrics[f"{NAME}/tar_1e-2"].value is None
    assert found.metrics[f"{NAME}/tar_1e-2"].reason == "9 impostor pairs, 3000 needed on each side"
    none = found.metrics[f"{NAME}/dir_1e-2"]
    assert (none.value, none.low, none.high, none.n) == (None, None, None, 5)
    assert none.reason == "8 searches for strangers, 100 needed on each side"


def test_eyes_are_the_targets_and_the_judges(judged):
    assert list(linkage.eyes_of(judged, NAME)) == ["target", "judge/colour"]
    bare = replace(judged, table=judged.table.drop(columns="pred"))
    assert list(linkage.eyes_of(bare, NAME)) == ["judge/colour"]
    with pytest.raises(UserError, match=f"{NAME} looks through embeddings, and there is none"):
        linkage.eyes_of(replace(bare, judges={}), NAME)
