"""Attackers on protections whose strength is known: a negative hides nothing from who adapts, black hides all."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from privacy_exp.evaluation.attackers.anonymized_faces import AnonymizedFaces
from privacy_exp.evaluation.attackers.closed_set import attempts, chance_metric
from privacy_exp.evaluation.attackers.embedding import search
from privacy_exp.evaluation.attackers.frame_pixels import SHRINKAGES, SIDES, Pixels, fit_classifier, pixels_of
from privacy_exp.evaluation.attackers.gallery import Gallery
from privacy_exp.evaluation.attackers.linkage import Linkage
from privacy_exp.evaluation.attackers.parrot import Parrot
from privacy_exp.evaluation.attackers.parrot_open import ParrotOpen, enrol
from privacy_exp.evaluation.attackers.purification import Purification, best_rate
from privacy_exp.evaluation.attackers.several_photos import SeveralPhotos, mean_of_rows, together
from privacy_exp.evaluation.attackers.whole_frame import WholeFrame
from privacy_exp.evaluation.attackers.whole_frame_net import WholeFrameNet
from privacy_exp.evaluation.judges.embedder import Embedder
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.evaluation.measure import Cost, strongest_observer
from privacy_exp.recognition.fit import clean_accuracy
from privacy_exp.types import UserError
from tests.recognition.small import Colours, same, state

ALL = {
    "attacker/gallery": Gallery(),
    "attacker/parrot": Parrot(),
    "attacker/mask_aware": Parrot(grey_hidden=True),
    "attacker/parrot_open": ParrotOpen(),
    "attacker/several_photos": SeveralPhotos((1, 2)),
    "attacker/purification": Purification(),
    "attacker/whole_frame": WholeFrame(),
    "attacker/whole_frame_plain": WholeFrame("originals"),
    "attacker/whole_frame_net": WholeFrameNet(image_size=16, max_epochs=10),
    "attacker/linkage": Linkage((1, 2)),
}


@pytest.fixture(scope="module")
def negative(world):
    return world.scene("negative")


@pytest.fixture(scope="module")
def black(world):
    return world.scene("black")


def test_c_knows_the_originals_and_is_fooled_by_the_negative(negative):
    right = negative.table["pred"] == negative.table["label"]
    assert right.mean() == 1
    assert (negative.table["pred_anonymized"] == negative.table["label"]).mean() < 0.5


def test_the_parrot_learns_the_negative(negative):
    found = Parrot().measure(negative, "attacker/parrot")
    lost = 0.2 if torch.cuda.is_available() else 0  # the CPU of a machine with a GPU was seen to end a fit at 0.8
    assert found.metrics["attacker/parrot/accuracy"].value >= 1 - lost - 1e-9
    assert found.metrics["attacker/parrot/recovered_share"].value == pytest.approx(1, abs=0.25 if lost else 1e-6)
    assert found.outcomes[0].anonymized.mean() >= 1 - lost - 1e-9
    (seen,) = found.outcomes
    assert (seen.name, seen.chance, seen.excluded) == ("attacker/parrot", 1 / 5, None)


@pytest.mark.parametrize("name", ALL)
def test_nobody_sees_anything_in_black_pictures(black, name):
    found = ALL[name].measure(black, name)
    assert found.outcomes
    for seen in found.outcomes:
        noisy = (
            name == "attacker/purification"
        )  # c may take noise for whom it likes, yet never for the right one more often
        assert np.mean(seen.anonymized) == pytest.approx(seen.chance, abs=0.2 if noisy else 1e-9), seen.name
        assert np.mean(seen.clean) > 0.9
    metric, _ = strongest_observer(found.outcomes)
    assert metric.value == pytest.approx(0, abs=0.25 if name == "attacker/purification" else 1e-9)


@pytest.mark.parametrize("name", ALL)
def test_everybody_sees_all_where_nothing_was_done(world, name):
    found = ALL[name].measure(world.scene("nothing"), name)
    metric, observers = strongest_observer(found.outcomes)
    assert metric.value >= 0.9
    assert all(observer.startswith(name) for observer in observers)


def test_ceiling_is_c_itself_and_shuffled_labels_stay_near_chance(world, negative):
    found = Parrot(ceiling=True, shuffled_labels=True).measure(negative, "attacker/parrot")
    ceiling, accuracy = found.metrics["attacker/parrot/ceiling"], negative.table["pred"] == negative.table["label"]
    assert ceiling.low <= accuracy.mean() <= ceiling.high
    shuffled = found.metrics["attacker/parrot/shuffled_labels"]
    assert shuffled.n == 5 * len(negative.table)
    assert found.details["shuffled_labels"]["within"]
    assert not found.warnings


def test_a_parrot_of_originals_gets_the_weights_of_c(world, negative):
    """Same budget, same initial weights, same order: the pictures are all that differs."""
    folders = {part: negative.anonymize(part, 1) for part in ("train", "val")} | {"test": negative.folder}
    originals = AnonymizedFaces(world.data, folders, kind="original")
    originals.setup()
    assert same(state(world.fit(originals)), state(world.recognizer))
    negatives = AnonymizedFaces(world.data, folders)
    negatives.setup()
    assert not same(state(world.fit(negatives)), state(world.recognizer))


def test_the_attackers_data_differ_from_the_source_in_pixels_alone(world, negative):
    folders = {part: negative.anonymize(part, 1) for part in ("train", "val")} | {"test": negative.folder}
    data = AnonymizedFaces(world.data, folders, grey_hidden=True)
    data.setup()
    for part in ("train", "val", "test"):
        own, source = (next(d.batches(part, 100)) for d in (data, world.data))
        assert own.ids == source.ids
        assert own.labels.equal(source.labels)
        half = source.images.shape[2] // 2
        assert (own.images[:, :, :half] == 128 / 255).all()
        assert own.images[:, :, half:].allclose(1 - source.images[:, :, half:], atol=1 / 255)
    plain = AnonymizedFaces(world.data, folders)
    plain.setup()
    assert plain.digest() != data.digest(), "greyed pictures are other pictures: a fit on them must not be reused"


def test_shuffled_labels_are_the_same_labels_in_another_order(world, negative):
    folders = {part: negative.anonymize(part, 1) for part in ("train", "val")} | {"test": negative.folder}
    seen = []
    for shuffle in (None, 0, 1):
        data = AnonymizedFaces(world.data, folders, shuffle=shuffle)
        data.setup()
        seen.append({part: next(data.batches(part, 100)).labels.tolist() for part in ("train", "val", "test")})
    for labels in seen[1:]:
        assert labels["test"] == seen[0]["test"]
        assert labels["train"] != seen[0]["train"]
        assert sorted(labels["train"]) == sorted(seen[0]["train"])
    assert seen[1]["train"] != seen[2]["train"]


def test_a_frozen_trunk_is_also_tried_with_its_last_stage_open(world, negative):
    folders = {part: negative.anonymize(part, 1) for part in ("train", "val")} | {"test": negative.folder}
    data = AnonymizedFaces(world.data, folders)
    data.setup()
    frozen = replace(world, freeze="trunk", fits=[])
    tries = attempts(replace(negative, recognizer=frozen.fit(world.data), fit=frozen.fit), data)
    assert frozen.fits[1:] == [("AnonymizedFaces", None), ("AnonymizedFaces", "early")]
    assert sorted(t.freeze for t in tries) == ["early", "trunk"]
    assert tries[0].val_accuracy >= tries[1].val_accuracy
    assert tries[0].val_accuracy == clean_accuracy(tries[0].recognizer, data.batches("val"))


def test_effort_stretches_the_targets_own_recipe(world, negative):
    before = len(world.recipes)
    Parrot(effort="default", seed=3).measure(replace(negative, fit=world.fit), "attacker/parrot")
    assert [recipe.max_epochs for recipe in world.recipes[before:]] == [30]
    cost = Parrot(effort="strong").cost(world.data, False, 0), Parrot().cost(world.data, False, 0)
    assert [c.fits[0].count for c in cost] == [10, 1]
    with pytest.raises(ValueError, match="`effort` must be one of quick, default, strong"):
        ParrotOpen(effort="more")


def test_a_median_washes_dots_away(fakes):
    scene = fakes.scene("dots")
    found = Purification().measure(scene, "attacker/purification")
    accuracy = found.details["accuracy"]
    fooled = (scene.table["pred_anonymized"] == scene.table["label"]).mean()
    assert fooled < 0.9
    assert found.details["best"] == "median"
    assert found.metrics["attacker/purification/accuracy"].value == accuracy["median"] > fooled
    assert len(found.outcomes) == len(accuracy) == 4


def test_the_best_of_several_rates_has_the_interval_of_the_maximum():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), 3)
    hits = [rng.random(120) < 0.5 for _ in range(8)]
    best, alone = best_rate(hits, clusters), best_rate([max(hits, key=np.mean)], clusters)
    assert best.value == alone.value == max(h.mean() for h in hits)
    assert best.low < alone.low, "the best was chosen by looking"
    assert best.high >= alone.high


def test_hits_of_shuffled_labels_count_by_hand():
    labels = np.repeat(np.arange(10), 10)
    hits = np.zeros(100, dtype=bool)
    hits[::10] = True  # one right answer each: 10 %, no clustering
    metric, report = chance_metric(hits, labels, chance=0.1)
    assert metric.value == pytest.approx(0.1)
    assert report["standard_error"] == pytest.approx(0.03)
    assert report["within"]
    hits[:] = np.arange(100) < 50  # five people always, the others never: deff is 10 · 10 / 9
    _, report = chance_metric(hits, labels, chance=0.1)
    assert report["standard_error"] == pytest.approx((100 / 9 * 0.09 / 100) ** 0.5)
    assert not report["within"]


def test_several_photos_are_each_used_alike():
    ids, people = [f"i{k}" for k in range(7)], np.array(list("aaabbbb"))
    rows = together(ids, people, 2, seed=0)
    assert rows.shape == (7, 2)
    assert (people[rows[:, 0]] == people[rows[:, 1]]).all()
    assert (rows[:, 0] != rows[:, 1]).all()
    assert (np.bincount(rows.ravel()) == 2).all()
    assert set(people[together(ids, people, 4, seed=0)[:, 0]]) == {"b"}
    assert together(ids, people, 5, seed=0).shape == (0, 5)


def test_a_mean_embedding_is_of_unit_length():
    embeddings = np.array([[1, 0], [0, 1], [np.nan, np.nan]], dtype=np.float32)
    means = mean_of_rows(embeddings, np.array([[0, 1], [0, 0], [2, 1], [2, 2]]))
    np.testing.assert_allclose(means, [[0.5**0.5, 0.5**0.5], [1, 0], [0, 1], [0, 0]], rtol=1e-6)


def test_more_photos_than_anybody_has_give_null_with_the_reason(world):
    found = SeveralPhotos((1, 50)).measure(world.scene("nothing"), "attacker/several_photos")
    metric = found.metrics["attacker/several_photos/n_50/recovered_share"]
    assert (metric.value, metric.n, metric.reason) == (None, 0, "nobody has 50 test photos")
    assert {s.name for s in found.outcomes} == {"attacker/several_photos/n_1"}


def test_enrolment_keeps_groups_together_and_three_quarters(world):
    photos = [photo for part in ("train", "val") for photo in world.data.photos[part] if photo.identity == "person0"]
    known, asked = enrol(photos, seed=1)
    assert len(known) == round(0.75 * len(photos))
    assert {p.id for p in known} | {p.id for p in asked} == {p.id for p in photos}
    pairs = [replace(photo, group=f"g{i // 3}") for i, photo in enumerate(photos)]
    known, asked = enrol(pairs, seed=1)
    assert known
    assert asked
    assert not {p.group for p in known} & {p.group for p in asked}
    assert enrol([replace(photo, group="one") for photo in photos], seed=1)[1] == []


class MeanColour(Embedder):
    """Knows people by their colour; does not see what is black."""

    aligns = False

    def fields(self):
        return {}

    def prepare(self, images, landmarks):
        return images

    def features(self, crops):
        means = crops.mean((2, 3))
        return torch.where(means.sum(1, keepdim=True) > 0, means - 0.5, 0.0)


def test_a_judge_lends_its_eyes(negative, black):
    judge = Judge(MeanColour(), detect=False)
    same_veil = Gallery(judge).measure(negative, "attacker/gallery").metrics["attacker/gallery/rank_1"]
    assert same_veil.value == 1, "negatives are as far apart as originals"
    found = SeveralPhotos((1,), judge).measure(negative, "attacker/several_photos")
    assert found.metrics["attacker/several_photos/n_1/rank_1"].value < 0.5, "but lie opposite to them"
    assert found.details["n_1"]["rank_1_clean"] == 1
    unseen = SeveralPhotos((1,), judge).measure(black, "attacker/several_photos").outcomes[0]
    assert unseen.anonymized.tolist() == [pytest.approx(1 / 5)] * 10, "what cannot be embedded ties with everybody"


def test_photos_that_cannot_be_embedded_leave_the_gallery():
    gallery = np.array([[1, 0], [np.nan, np.nan], [0, 1]], dtype=np.float32)
    found = search(gallery[:1], np.array(["a"]), gallery, np.array(["a", "b", "b"]))
    assert found.num_identities == 2
    assert found.rank_1.tolist() == [1]


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Parrot(seed=0), "`seed` of an attacker .* at least 1, but got 0"),
        (lambda: Gallery(seed=-1), "at least 1, but got -1"),
        (lambda: SeveralPhotos([]), "`counts` .* at least 1"),
        (lambda: SeveralPhotos([2, 0]), r"`counts` .* got \[2, 0\]"),
        (lambda: Purification(jpeg=0), r"`jpeg` is a quality in \[1, 95\], but got 0"),
        (lambda: Purification(blur=2.0), "`blur` .* but got 2.0"),
        (lambda: Purification(noise=0.0), "`noise` .* above 0"),
        (lambda: Purification(median=4), "`median` is an odd side"),
        (lambda: Purification(batch_size=0), "`batch_size` must be at least 1"),
        (lambda: WholeFrame("results"), "`learns_from` must be one of anonymized, originals, but got 'results'"),
        (lambda: WholeFrameNet(max_epochs=0), "`max_epochs` must be at least 1"),
    ],
)
def test_arguments_out_of_range_are_named(build, says):
    with pytest.raises(ValueError, match=says):
        build()


@pytest.mark.parametrize("name", [name for name in ALL if name != "attacker/whole_frame_plain"])
def test_people_with_one_photo_are_refused_before_anything_starts(name):
    alone = Colours(people=5, photos_each=1, split=[0, 0, 1], min_images_per_identity=1)
    alone.setup()
    with pytest.raises(
        ValueError, match=r"at least 2 images of each identity.*5 of 5 identities.*leave the attacker out"
    ):
        ALL[name].check(alone)


def test_an_open_set_needs_four_people():
    few = Colours(people=3)
    few.setup()
    with pytest.raises(ValueError, match=r"at least 4 identities.*has 3"):
        ParrotOpen().check(few)


@pytest.mark.parametrize("name", [name for name in ALL if name != "attacker/purification"])
def test_a_folder_made_elsewhere_has_no_anonymiser_to_ask(negative, name):
    elsewhere = replace(negative, data=None, anonymize=None, fit=None)
    if "whole_frame" in name:  # part of every run's observers: null, with the reason
        figures = ALL[name].measure(elsewhere, name).metrics
        assert {metric.value for metric in figures.values()} == {None}
        assert all("finished pictures has no other photos" in metric.reason for metric in figures.values())
        return
    with pytest.raises(ValueError, match=f"{name} (anonymises|learns from) further photos.*finished pictures has no"):
        ALL[name].measure(elsewhere, name)


def test_costs_are_counted_in_fits_and_pictures(world):
    costs = {name: attacker.cost(world.data, recognizer_frozen=False, seed=3) for name, attacker in ALL.items()}
    assert {name: [f.count for f in cost.fits] for name, cost in costs.items() if cost.fits} == {
        "attacker/parrot": [1],
        "attacker/mask_aware": [1],
        "attacker/parrot_open": [1],
        "attacker/whole_frame_net": [1],
    }
    assert costs["attacker/parrot"].pictures == costs["attacker/gallery"].pictures == {("train", 4), ("val", 4)}
    assert costs["attacker/several_photos"].pictures == costs["attacker/purification"].pictures == frozenset()
    assert costs["attacker/whole_frame"].pictures == {("train", 4), ("val", 4)}
    assert costs["attacker/whole_frame_plain"] == Cost()
    fits = Parrot(ceiling=True, shuffled_labels=True).cost(world.data, recognizer_frozen=True, seed=0).fits
    assert [(f.count, f.freeze) for f in fits] == [(1, None), (1, "early"), (1, None), (1, "early"), (5, None)]


def test_a_classifier_of_pixels_is_chosen_by_validation():
    pixels = np.eye(4, dtype=np.float32).repeat(3, axis=0)
    sized = dict.fromkeys(SIDES, pixels)
    labels = np.arange(4).repeat(3)
    part = Pixels([str(i) for i in range(12)], labels, sized, sized)
    assert fit_classifier(part, None).names(part).tolist() == labels.tolist()
    chosen = fit_classifier(part, part)
    assert chosen.val_accuracy == 1
    assert (chosen.side, chosen.shrinkage) == (SIDES[0], SHRINKAGES[0]), "of equals the first"
    blank = Pixels(part.ids, labels, *[dict.fromkeys(SIDES, np.ones((12, 4), np.float32))] * 2)
    assert fit_classifier(blank, blank).names(part).tolist() == [0] * 12, "one picture for all: it can only guess"


def test_thumbnails_hold_the_whole_frame(world, negative):
    data = AnonymizedFaces(world.data, {"test": negative.folder}, kind="original")
    data.setup()
    found = pixels_of(data, "test")
    assert pixels_of(data, "train") is None
    images = next(data.batches("test", 100)).images
    assert found.sized[48].shape == (len(images), 3 * 20 * 18), "a small frame keeps its pixels"
    assert found.sized[12].shape == (len(images), 3 * 12 * 11)
    np.testing.assert_allclose(found.sized[12].mean(), images.mean(), atol=1e-3)
    np.testing.assert_array_equal(found.mirrored[48][0], images[0].flip(2).flatten())


def test_pixels_have_a_ceiling_and_a_floor(negative):
    found = WholeFrame(ceiling=True, shuffled_labels=True).measure(negative, "attacker/a")
    assert found.metrics["attacker/a/ceiling"].value == found.metrics["attacker/a/accuracy"].value == 1
    assert found.metrics["attacker/a/shuffled_labels"].n == 5 * len(negative.table)
    assert found.details["shuffled_labels"]["within"]


def test_a_network_of_whole_frames_has_a_ceiling_and_a_floor(world, negative):
    asked = []

    def fit(data, freeze, net, recipe):
        asked.append((data.kind, data.shuffle, freeze, type(net).__name__, recipe.max_epochs))
        return world.recognizer  # knows the originals alone

    attacker = WholeFrameNet(16, 3, ceiling=True, shuffled_labels=True)
    found = attacker.measure(replace(negative, fit=fit), "attacker/a")
    assert found.metrics["attacker/a/ceiling"].value == 1 > found.metrics["attacker/a/accuracy"].value
    kinds = [("results", None), ("original", None), *[("results", shuffle) for shuffle in range(5)]]
    assert asked == [(*kind, None, "FrameNet", 3) for kind in kinds]


def test_a_plain_observer_without_training_photos_says_why(world):
    bare = copy(world.data)
    bare.photos = {**world.data.photos, "train": []}
    found = WholeFrame("originals").measure(replace(world.scene("nothing"), data=bare), "attacker/whole_frame_plain")
    assert not found.outcomes
    metric = found.metrics["attacker/whole_frame_plain/accuracy"]
    assert (metric.value, metric.reason) == (None, "0 people have training photos to learn from, 2 needed")


LEARNING = [name for name in ALL if name != "attacker/purification"]


@pytest.mark.parametrize("name", LEARNING)
def test_a_planted_leak_is_refused(world, name):
    """The canary: one tested picture lies among those that are learnt from, under another id."""
    scene = world.scene("nothing")
    test, train = world.data.photos["test"], world.data.photos["train"]
    leaking = copy(world.data)
    leaking.read = lambda photo: world.data.read(test[0] if photo.id == train[3].id else photo)
    canary = replace(world, root=world.root / f"leak-{name.rpartition('/')[2]}", data=leaking).scene("nothing")
    with pytest.raises(UserError, match=f"{name} would learn .*: 1 of {len(test)} test photos .* {test[0].id} .there"):
        ALL[name].measure(replace(canary, table=scene.table), name)
