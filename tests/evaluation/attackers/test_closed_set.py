"""What the attackers ask for, choose and count, by hand: nothing is trained."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from privacy_exp.evaluation.attackers import closed_set
from privacy_exp.evaluation.attackers.anonymized_faces import AnonymizedFaces
from privacy_exp.evaluation.attackers.closed_set import (
    add_ceiling,
    add_shuffled,
    attempt,
    attempts,
    findings,
    fits_of_attempts,
    flagged,
    named,
    names_right,
)
from privacy_exp.evaluation.attackers.parrot import Parrot
from privacy_exp.evaluation.attackers.parrot_open import ParrotOpen, enrol
from privacy_exp.evaluation.attackers.whole_frame_net import WholeFrameNet
from privacy_exp.evaluation.measure import Findings, Fits
from privacy_exp.types import Metric, UserError
from tests.evaluation.attackers.fakes import Asked, ByColour

NAME = "attacker/a"


def learnt(fakes, scene, **keys):
    folders = {part: scene.anonymize(part, 1) for part in ("train", "val")} | {"test": scene.folder}
    data = AnonymizedFaces(fakes.data, folders, **keys)
    data.setup()
    return data


def blind(freeze="none"):
    """Names everybody person 0."""
    made = ByColour(5, freeze=freeze).eval()
    nn.init.zeros_(made.head.weight)
    made.head.load_state_dict({"weight": torch.zeros(5, 3), "bias": torch.tensor([1.0, 0, 0, 0, 0])})
    return made


def without_val(data):
    bare = copy(data)
    bare.photos = {**data.photos, "val": []}
    return bare


def test_the_parrot_asks_for_one_fit_a_ceiling_and_five_shuffles(fakes):
    scene = fakes.scene("negative")
    found = Parrot(grey_hidden=True, ceiling=True, shuffled_labels=True, effort="default").measure(scene, NAME)
    own = [Asked("results", shuffle, True, 5, None, None, None, 3) for shuffle in (None, 0, 1, 2, 3, 4)]
    assert fakes.asked == [own[0], Asked("original", None, False, 5, None, None, None, 3), *own[1:]]
    assert found.metrics[f"{NAME}/accuracy"].value == found.metrics[f"{NAME}/ceiling"].value == 1
    assert found.details["fits"] == [{"freeze": "none", "val_accuracy": 1.0}]
    assert not found.warnings
    known = replace(scene, config={**scene.config, "recognition": {"checkpoint": "c.ckpt"}})
    assert Parrot().measure(known, NAME).warnings[0].startswith(f"{NAME}: the target came from a checkpoint")
    assert fakes.asked[-1] == Asked("results", None, False, 5, None, None, None, 1)


def test_pictures_of_the_attackers_own_come_from_a_seed_of_its_own(fakes):
    asked = []
    scene = replace(fakes.scene("negative"), seed=4)
    told = replace(scene, anonymize=lambda part, seed: asked.append((part, seed)) or scene.anonymize(part, seed))
    Parrot(seed=3).measure(told, NAME)
    assert asked == [("train", 7), ("val", 7)]
    assert Parrot().seed == WholeFrameNet().seed == ParrotOpen().seed == 1


def test_the_better_of_two_attempts_on_validation_photos_comes_first(fakes):
    scene = fakes.scene("negative")
    data = learnt(fakes, scene)
    frozen = replace(scene, recognizer=blind("trunk"))
    for worse, order in (("early", ["trunk", "early"]), (None, ["early", "trunk"])):
        fakes.answer = {worse: blind(worse or "trunk")}
        fakes.freeze = "trunk"
        tries = attempts(frozen, data, 2)
        assert [t.freeze for t in tries] == order
        assert [t.val_accuracy for t in tries] == [1.0, 0.2]
        assert [(a.freeze, a.times) for a in fakes.asked] == [(None, 2), ("early", 2)]
        fakes.asked.clear()
    fakes.answer = {None: blind("trunk"), "early": blind("early")}
    assert [t.freeze for t in attempts(frozen, data)] == ["trunk", "early"], "of equals the target's own way"
    assert [t.val_accuracy for t in attempts(frozen, without_val(data))] == [None], "nothing could choose"
    assert len(attempts(scene, data)) == 1, "a trunk that is not frozen has nothing to open"
    assert attempt(scene, data, "early", 5).val_accuracy == 0.2
    assert fakes.asked[-1].times == 5


def test_fits_are_counted_as_they_are_made(fakes):
    assert fits_of_attempts(fakes.data, True, 3) == (Fits(3), Fits(3, "early"))
    assert fits_of_attempts(fakes.data, False, 3) == fits_of_attempts(without_val(fakes.data), True, 3) == (Fits(3),)
    assert fits_of_attempts(fakes.data, False) == (Fits(1),)
    whole = Parrot(ceiling=True, shuffled_labels=True, effort="default", seed=2).cost(fakes.data, True, 5)
    assert whole.fits == (Fits(3), Fits(3, "early"), Fits(3), Fits(3, "early"), Fits(15))
    assert whole.pictures == {("train", 7), ("val", 7)}
    assert Parrot().cost(fakes.data, False, 0).fits == (Fits(1),)
    assert ParrotOpen(effort="strong", seed=2).cost(fakes.data, True, 5).fits == (Fits(10), Fits(10, "early"))
    assert ParrotOpen(seed=2).cost(fakes.data, False, 5).pictures == {("train", 7), ("val", 7)}
    net = WholeFrameNet(max_epochs=7, ceiling=True, shuffled_labels=True, seed=2)
    (fits,) = net.cost(fakes.data, True, 5).fits
    assert (fits.count, fits.freeze, fits.net, fits.recipe.max_epochs) == (7, None, net.net, 7)
    assert net.cost(fakes.data, True, 5).pictures == {("train", 7), ("val", 7)}
    assert [WholeFrameNet(**k).cost(fakes.data, False, 0).fits[0].count for k in ({}, {"ceiling": True})] == [1, 2]


def test_the_network_of_whole_frames_is_its_own(fakes):
    scene = fakes.scene("negative")
    found = WholeFrameNet(32, 4, ceiling=True, shuffled_labels=True).measure(scene, NAME)
    assert [(a.kind, a.shuffle, a.grey) for a in fakes.asked] == [
        ("results", None, False),
        ("original", None, False),
        *[("results", shuffle, False) for shuffle in range(5)],
    ]
    assert {(a.freeze, a.net, a.epochs, a.times) for a in fakes.asked} == {(None, "FrameNet", 4, 1)}
    assert set(found.metrics) == {f"{NAME}/{f}" for f in ("accuracy", "recovered_share", "ceiling", "shuffled_labels")}
    fakes.asked.clear()
    assert set(WholeFrameNet().measure(scene, NAME).metrics) == {f"{NAME}/accuracy", f"{NAME}/recovered_share"}
    assert [(a.kind, a.epochs) for a in fakes.asked] == [("results", 30)]
    assert WholeFrameNet().net.arguments["image_size"] == 48
    elsewhere = WholeFrameNet().measure(replace(scene, anonymize=None), NAME).metrics[f"{NAME}/accuracy"]
    assert elsewhere.reason == "a folder of finished pictures cannot anonymise other photos to learn from"
    assert elsewhere.n == 5


def test_names_stand_in_the_order_of_the_table(fakes):
    scene = fakes.scene("nothing")
    data = learnt(fakes, scene)
    table = scene.table.iloc[::-1].reset_index(drop=True)
    table.loc[1, "label"] = (table.loc[1, "label"] + 1) % 5
    assert names_right(fakes.recognizer, data, table).tolist() == [True, False, *[True] * 3]
    broken = blind()
    for value in (np.nan, np.inf):
        nn.init.constant_(broken.head.bias, value)
        with pytest.raises(UserError, match=rf"NaN or infinite logits, first among \['{table['image_id'].min()}'"):
            names_right(broken, data, table)


def test_an_outcome_is_beside_what_the_target_knows(fakes):
    scene = fakes.scene("nothing")
    right = np.arange(5) < 2
    seen = named(scene, NAME, right)
    assert (seen.name, seen.chance, seen.excluded, seen.anonymized.tolist()) == (NAME, 0.2, None, [1.0] * 2 + [0] * 3)
    assert seen.clean.tolist() == [1.0] * 5
    assert seen.identity.tolist() == scene.table["identity"].tolist()
    table = scene.table.assign(pred=[0] * 2 + scene.table["label"].tolist()[2:])  # one of five is wrong
    at_gate = replace(scene, table=table)
    assert named(at_gate, NAME, right).clean.mean() == 0.8
    assert named(at_gate, NAME, right).excluded is None, "the gate itself is enough"
    below = replace(at_gate, config={"evaluation": {"gate": 0.81}})
    assert named(below, NAME, right).excluded == "below_gate"
    found = findings(below, NAME, right)
    assert set(found.metrics) == {f"{NAME}/accuracy", f"{NAME}/recovered_share"}
    assert found.metrics[f"{NAME}/accuracy"].reason == "below_gate"
    assert found.metrics[f"{NAME}/accuracy"].value == 0.4
    assert found.metrics[f"{NAME}/recovered_share"].value == pytest.approx((0.4 - 0.2) / (0.8 - 0.2))
    assert [o.name for o in found.outcomes] == [NAME]
    known = Metric(0.5, 0.4, 0.6, 10, "few")
    assert flagged(known, found.outcomes[0]) == known, "its own reason stays"
    assert flagged(replace(known, reason=None), found.outcomes[0]) == replace(known, reason="below_gate")
    add_ceiling(below, NAME, found, np.arange(5) < 4)
    ceiling = found.metrics[f"{NAME}/ceiling"]
    assert (ceiling.value, ceiling.n, ceiling.reason) == (0.8, 5, None)


def test_shuffled_labels_are_pooled_and_warned_of_where_they_teach(fakes):
    scene = fakes.scene("nothing")
    at_chance = np.arange(5) == 0
    asked = []
    found = Findings(outcomes=[named(scene, NAME, at_chance)])
    add_shuffled(scene, NAME, found, lambda shuffle: asked.append(shuffle) or at_chance)
    assert asked == [0, 1, 2, 3, 4]
    metric, report = found.metrics[f"{NAME}/shuffled_labels"], found.details["shuffled_labels"]
    assert (metric.value, metric.n) == (0.2, 25)
    assert report["within"]
    assert (report["chance"], report["shuffles"], found.warnings) == (0.2, 5, [])
    everything = findings(replace(scene, config={"evaluation": {"gate": 1.1}}), NAME, at_chance)
    add_shuffled(scene, NAME, everything, lambda shuffle: np.ones(5, dtype=bool))
    assert everything.metrics[f"{NAME}/shuffled_labels"].reason == "below_gate"
    assert everything.warnings == [
        f"{NAME}: fits to shuffled labels name 1.000 of the people right, more than 3 standard errors from chance "
        "(0.200): something leaks."
    ]


def test_three_standard_errors_are_within_and_no_more():
    """20 hits of 100 are chance; one photo a person, so that the error is sqrt(0.2 · 0.8 / 99)."""
    labels = np.arange(100)
    for hits, within in ((32, True), (33, False), (8, True), (7, False)):
        metric, report = closed_set.chance_metric(np.arange(100) < hits, labels, 0.2)
        assert metric.value == hits / 100
        assert report["standard_error"] == pytest.approx((0.2 * 0.8 / 99) ** 0.5)
        assert report["within"] is within, hits


def test_three_quarters_are_enrolled(fakes):
    photos = [replace(fakes.data.photos["train"][0], id=f"{k}") for k in range(8)]
    known, asked = enrol(photos, 1)
    assert (len(known), len(asked)) == (6, 2)
    pairs = [replace(photo, group=f"g{k // 4}") for k, photo in enumerate(photos)]
    known, asked = enrol(pairs, 1)
    assert {len({p.group for p in side}) for side in (known, asked)} == {1}
    assert enrol(photos[:1], 1) == (photos[:1], [])


def test_the_open_parrot_splits_people_and_finds_the_unseen(fakes):
    scene = fakes.scene("negative")
    found = ParrotOpen(seed=2, effort="default").measure(scene, NAME)
    assert [(a.kind, a.people, a.times) for a in fakes.asked] == [("results", 2, 3), ("original", 2, 3)][::-1]
    # three unseen people with five photos each: of 3.75 the nearest, 4, enrolled, one a probe
    assert {k: found.details[k] for k in ("learnt", "enrolled", "probes")} == {"learnt": 2, "enrolled": 12, "probes": 3}
    assert found.details["chance"] == 1 / 3
    assert found.metrics[f"{NAME}/rank_1"].value == 1
    (seen,) = found.outcomes
    assert len(np.unique(seen.identity)) == 3
    assert ParrotOpen().times == 1
