"""Observers that compare or wash pictures, on faces made of one colour: every figure is counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from privacy_exp.data.seeds import generator
from privacy_exp.evaluation.attackers import embedding, frame_pixels, purification
from privacy_exp.evaluation.attackers.embedding import embed_files, embedder_for, rank_findings, search
from privacy_exp.evaluation.attackers.filters import add_noise, median_filter, recompress
from privacy_exp.evaluation.attackers.frame_pixels import Basis, Pixels, fit_classifier, pixels_of
from privacy_exp.evaluation.attackers.gallery import Gallery
from privacy_exp.evaluation.attackers.purification import Purification, best_rate
from privacy_exp.evaluation.attackers.several_photos import SeveralPhotos, mean_of_rows, together
from privacy_exp.evaluation.attackers.whole_frame import WholeFrame
from privacy_exp.evaluation.identification import RANKS, Identification
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.evaluation.statistics.intervals import interval_of_maximum, resampled_sums
from privacy_exp.inpainting.controls import gaussian_blur
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import UserError
from tests.evaluation.attackers.test_attackers import MeanColour

NAME, CPU = "attacker/a", torch.device("cpu")


class Red:
    """Embeds a picture as its mean red and green; what is black cannot be embedded."""

    def __init__(self):
        self.sizes = []

    def embed(self, images):
        self.sizes.append(len(images))
        seen = torch.nn.functional.normalize(images.mean((2, 3))[:, :2], dim=1)
        return torch.where(images.sum((1, 2, 3))[:, None] > 0, seen, torch.nan)


def found_ranks(*first):
    """What a search over four people says, hits at rank 1 as given."""
    hits = np.stack([np.array(first, float)] + [np.ones(len(first))] * 2, axis=1)
    return Identification(hits, np.ones(len(first), dtype=bool), np.zeros(len(first)), RANKS, 4)


def test_files_are_embedded_in_their_order_by_batches(tmp_path, monkeypatch):
    folder, levels = RunFolder(tmp_path, "png"), torch.arange(5.0) / 4
    images = torch.stack([levels, levels.flip(0), 0 * levels], 1)[:, :, None, None].expand(5, 3, 2, 2)
    images = torch.cat([images, torch.zeros(1, 3, 2, 2)])
    folder.save("original", list("abcdef"), torch.arange(6), images)
    listing = folder.list("original")
    monkeypatch.setattr(embedding, "BATCH", 4)
    judge = Red()
    rows = embed_files(judge, [listing[i][0] for i in "fabcde"], CPU)
    assert judge.sizes == [4, 2]
    assert np.isnan(rows[0]).all()
    theirs = np.stack([levels, levels.flip(0)], 1)
    np.testing.assert_allclose(rows[1:], theirs / np.linalg.norm(theirs, axis=1, keepdims=True), atol=0.01)


def test_a_judge_is_made_ready_and_nobody_else(fakes):
    scene = fakes.scene("nothing")
    assert embedder_for(None, scene) is scene.recognizer
    plain = Red()
    assert embedder_for(plain, scene) is plain
    judge, asked = Judge(MeanColour(), detect=False), []
    judge.fit = asked.append
    assert embedder_for(judge, scene) is judge
    assert asked == [scene]


def test_what_cannot_be_embedded_leaves_the_gallery_and_ties_as_a_probe():
    gallery = np.array([[1, 0], [np.nan, 0], [0, 1], [0, 1]], dtype=np.float32)
    probes = np.array([[1, 0], [np.nan, np.nan], [0, 1]], dtype=np.float32)
    found = search(probes, np.array(["a", "a", "b"]), gallery, np.array(["a", "b", "b", "c"]))
    assert found.num_identities == 3
    np.testing.assert_allclose(found.rank_1, [1, 1 / 3, 1 / 2])


def test_ranks_become_figures_with_the_gate_on_originals(fakes):
    scene = fakes.scene("nothing")  # gate 0.8
    people = np.array(list("abcde"))
    found = rank_findings(scene, NAME, people, found_ranks(1, 1, 1, 1, 0), found_ranks(1, 0, 1, 0, 0))
    assert found.details == {"rank_1_clean": 0.8, "identities": 4, "chance": 0.25}
    assert found.metrics[f"{NAME}/rank_1"].value == 0.4
    assert found.metrics[f"{NAME}/rank_1"].reason is None
    assert found.metrics[f"{NAME}/recovered_share"].value == pytest.approx((0.4 - 0.25) / (0.8 - 0.25))
    (seen,) = found.outcomes
    assert (seen.name, seen.chance, seen.excluded, seen.clean.mean()) == (NAME, 0.25, None, 0.8)
    below = rank_findings(scene, NAME, people, found_ranks(1, 1, 1, 0, 0), found_ranks(1, 0, 1, 0, 0))
    assert below.outcomes[0].excluded == "below_gate"
    assert below.metrics[f"{NAME}/rank_1"].reason == "below_gate"
    assert below.metrics[f"{NAME}/rank_5_normalised"].reason == "as many ranks as identities: a guess is always right"
    assert set(below.metrics) == {f"{NAME}/rank_{k}{s}" for k in RANKS for s in ("", "_normalised")} | {
        f"{NAME}/recovered_share"
    }


def test_a_gallery_is_looked_through_in_all_parts_that_there_are(fakes):
    scene, seen = fakes.scene("negative"), []
    told = replace(scene, seed=2, anonymize=lambda part, seed: seen.append((part, seed)) or scene.anonymize(part, seed))
    found = Gallery(seed=3).measure(told, NAME)
    assert seen == [("train", 5), ("val", 5)]
    assert found.metrics[f"{NAME}/rank_1"].value == found.details["rank_1_clean"] == 1
    assert found.outcomes[0].identity.tolist() == scene.table["identity"].tolist()
    assert Gallery(seed=3).cost(fakes.data, False, 2).pictures == {("train", 5), ("val", 5)}
    judge = Red()
    Gallery(judge).measure(scene, NAME)
    assert judge.sizes == [20, 5, 20, 5], "originals, then results: 15 and 5 photos, and 5 probes"
    assert Gallery().seed == 1
    folders = {"train": scene.anonymize("train", 1), "test": scene.folder}
    assert Gallery(judge)._search(scene, folders, "results").num_identities == 5
    assert judge.sizes[-2:] == [15, 5]


def test_several_photos_are_put_together_as_asked(fakes):
    scene = fakes.scene("nothing")  # one test photo of each person
    found = SeveralPhotos((1, 2)).measure(scene, NAME)
    assert found.details["n_1"] == {"rank_1_clean": 1, "identities": 5, "chance": 0.2, "people": 5, "probes": 5}
    assert found.metrics[f"{NAME}/n_1/rank_1"].value == 1
    names = {f"{NAME}/n_2/rank_{k}{s}" for k in RANKS for s in ("", "_normalised")} | {f"{NAME}/n_2/recovered_share"}
    nobody = {name: m for name, m in found.metrics.items() if "/n_2/" in name}
    assert nobody.keys() == names
    assert {(m.value, m.low, m.high, m.n, m.reason) for m in nobody.values()} == {
        (None, None, None, 0, "nobody has 2 test photos")
    }
    assert [o.name for o in found.outcomes] == [f"{NAME}/n_1"]
    assert list(SeveralPhotos((2, 1)).measure(scene, NAME).details) == ["n_1"], "a count that nobody has ends nothing"
    assert SeveralPhotos().counts == (1, 2, 5, 10)
    assert SeveralPhotos([1]).counts == (1,)
    seen = SeveralPhotos((1,)).measure(fakes.scene("negative"), NAME).outcomes[0]
    assert seen.clean.tolist() == [1] * 5
    assert seen.anonymized.mean() < 1, "negatives among originals"


def test_each_photo_starts_one_probe_and_the_next_ones_follow(monkeypatch):
    monkeypatch.setattr(
        "privacy_exp.evaluation.attackers.several_photos.seeded_order", lambda ids, seed, why: ids[::-1]
    )
    people = np.array(["b", "a", "b", "a", "b"])
    assert together(list("vwxyz"), people, 2, 0).tolist() == [[0, 4], [1, 3], [2, 0], [3, 1], [4, 2]]
    assert together(list("vwxyz"), people, 3, 0).tolist() == [[0, 4, 2], [2, 0, 4], [4, 2, 0]]
    assert together(list("vwxyz"), people, 4, 0).shape == (0, 4)


def test_means_of_photos_far_apart_are_of_unit_length_too():
    found = mean_of_rows(np.array([[1.0, 0], [-0.8, 0.6]]), np.array([[0, 1]]))
    np.testing.assert_allclose(found, np.array([[0.2, 0.6]]) / 0.4**0.5)


def test_one_jpeg_is_one_jpeg():
    step = torch.zeros(1, 3, 16, 16)
    step[..., 8:] = 1  # the edge of a block: all but nothing is lost
    assert (recompress(step, 95) - step).abs().max() < 0.02
    red = torch.zeros(1, 3, 16, 16)
    red[:, 0, :, ::2] = 1  # single columns: half of the resolution of colour mixes them
    assert (recompress(red, 95) - red).abs().mean() > 0.1
    assert recompress(red, 95).dtype == torch.float32
    assert recompress(torch.cat([step, red]), 5)[0].equal(recompress(step, 5)[0])
    assert not recompress(red, 5).equal(recompress(red, 95))


def test_noise_is_cut_and_scaled():
    ends = torch.tensor([0.0, 1.0]).repeat(32).view(1, 1, 8, 8).expand(1, 3, 8, 8)
    noisy = add_noise(["a"], ends, 0.5, 0)
    assert noisy.min() == 0
    assert noisy.max() == 1
    own = torch.randn((3, 8, 8), generator=generator(7, "a", "purification"))
    torch.testing.assert_close(add_noise(["a"], torch.full((1, 3, 8, 8), 0.5), 0.01, 7)[0], 0.5 + 0.01 * own)
    fine, coarse = (add_noise(["a"], torch.full((1, 3, 8, 8), 0.5), deviation, 0) - 0.5 for deviation in (0.01, 0.02))
    torch.testing.assert_close(2 * fine, coarse)


def test_a_median_takes_the_middle_of_each_channel():
    image = torch.zeros(1, 3, 5, 5)
    image[0, 1, 2, :] = 0.6  # a line of one pixel goes, a band of three stays; the frame's edge goes on
    image[0, 2, 1:4, :] = 0.2
    expected = torch.zeros(1, 3, 5, 5)
    expected[0, 2, 1:4, :] = 51 / 255
    torch.testing.assert_close(median_filter(image, 3), expected)
    assert not median_filter(image, 5)[0, 1].any()


def test_washes_are_these_filters_with_these_numbers(fakes):
    images = torch.rand(2, 3, 20, 12, generator=torch.Generator().manual_seed(0))
    own = Purification(jpeg=30, blur=0.1, noise=0.2, median=5).washes(seed=4)
    expected = {
        "jpeg": recompress(images, 30),
        "blur": gaussian_blur(images, 1.2),
        "noise": add_noise(["a", "b"], images, 0.2, 4),
        "median": median_filter(images, 5),
    }
    assert list(own) == list(expected)
    for name, wash in own.items():
        torch.testing.assert_close(wash(["a", "b"], images), expected[name])
    plain = Purification()
    assert (plain.jpeg, plain.blur, plain.noise, plain.median, plain.batch_size) == (50, 0.015, 0.05, 3, 32)
    for most in ({"jpeg": 95}, {"jpeg": 1}, {"blur": 1.0}, {"batch_size": 1}):
        Purification(**most)
    for bad in ({"jpeg": 96}, {"blur": 0.0}, {"blur": 1.01}, {"median": 1}, {"median": 2}, {"noise": 0}):
        with pytest.raises(UserError):
            Purification(**bad)


def test_the_best_wash_is_the_one_that_names_most(fakes, monkeypatch):
    """Three washes: as it is, the negative turned back, and black; batches of two."""
    scene, sizes, names = fakes.scene("negative"), [], []

    def back(ids, images):
        sizes.append(len(images))
        names.extend(ids)
        return 1 - images

    washes = {"none": lambda ids, images: images, "back": back, "black": lambda ids, images: images * 0 - 1}
    monkeypatch.setattr(Purification, "washes", lambda self, seed: washes)
    found = Purification(batch_size=2).measure(scene, NAME)
    plain = float((scene.table["pred_anonymized"] == scene.table["label"]).mean())
    assert sizes == [2, 2, 1]
    assert names == scene.table["image_id"].tolist()
    assert found.details == {"best": "back", "accuracy": {"none": plain, "back": 1.0, "black": 0.2}}
    assert [o.name for o in found.outcomes] == [f"{NAME}/none", f"{NAME}/back", f"{NAME}/black"]
    assert found.metrics[f"{NAME}/accuracy"].value == found.metrics[f"{NAME}/recovered_share"].value == 1
    washes["wild"] = lambda ids, images: images * 9 - 4
    looked = []
    hook = scene.recognizer.register_forward_pre_hook(lambda module, given: looked.append(given[0].aminmax()))
    Purification()._right(scene, washes["wild"])
    hook.remove()
    assert {(float(low), float(high)) for low, high in looked} == {(0, 1)}, "cut to what a picture holds"
    below = Purification().measure(replace(scene, config={"evaluation": {"gate": 1.1}}), NAME)
    assert {m.reason for m in below.metrics.values()} == {"below_gate"}


def test_the_interval_of_the_best_is_that_of_the_maximum():
    people = np.repeat(np.arange(6), [1, 2, 3, 1, 2, 3])
    hits = [np.arange(12) % 2 == 0, np.arange(12) % 3 == 0]
    found = best_rate(hits, people, draws=300, seed=5)
    drawn = resampled_sums(people, [*(h.astype(float) for h in hits), np.ones(12)], 300, 5)
    assert (found.low, found.high) == interval_of_maximum(np.stack(drawn[:2]) / drawn[2])
    assert (found.value, found.n, found.reason) == (0.5, 12, None)
    assert best_rate(hits, people) == best_rate(hits, people, 2000, 0)
    always = best_rate([np.ones(4, dtype=bool)], np.arange(4))
    assert (always.low, always.value, always.high) == (1, 1, 1)
    assert purification.best_rate([np.zeros(4, dtype=bool)], np.arange(4)).high == 0


def test_thumbnails_are_means_of_areas(fakes, monkeypatch):
    monkeypatch.setattr(frame_pixels, "SIDES", (2, 100))
    found = pixels_of(fakes.data, "val")
    photos = fakes.data.photos["val"]
    assert found.ids == [photo.id for photo in photos]
    assert found.labels.tolist() == [0, 1, 2, 3, 4]
    pixels = fakes.data.read(photos[1]).transpose(2, 0, 1) / 255  # 20 × 18: 2 × round(1.8) = 2 × 2 areas of 10 × 9
    means = pixels.reshape(3, 2, 10, 2, 9).mean((2, 4))
    np.testing.assert_allclose(found.sized[2][1], means.ravel(), rtol=1e-5)
    np.testing.assert_allclose(found.mirrored[2][1], means[:, :, ::-1].ravel(), rtol=1e-5)
    np.testing.assert_allclose(found.sized[100][1], pixels.ravel(), rtol=1e-5)
    np.testing.assert_array_equal(found.both(2), np.concatenate([found.sized[2], found.mirrored[2]]))
    wide = frame_pixels._thumbnails(torch.rand(1, 3, 10, 1), 2)
    assert wide.shape == (1, 6), "at least one pixel wide"


def test_components_are_of_what_changes_standardised(monkeypatch):
    random = np.random.default_rng(0)
    pixels = random.normal(size=(40, 5)).astype(np.float32) * [1, 10, 0, 100, 1000] + 3
    basis = Basis(pixels)
    assert not basis.empty
    scaled = np.delete((pixels - pixels.mean(0)) / np.maximum(pixels.std(0), 1e-9), 2, axis=1)
    found = basis(pixels)
    assert found.shape == (40, 4)
    np.testing.assert_allclose(found @ found.T, scaled @ scaled.T, atol=1e-3)  # turned, nothing else
    assert basis(pixels[:3]).shape == (3, 4)
    assert Basis(np.ones((4, 3), np.float32)).empty
    assert basis._pca.random_state == 0, "large sets are looked through at random"
    assert Basis(pixels[:3])(pixels).shape == (40, 2), "one component fewer than pictures"
    monkeypatch.setattr(frame_pixels, "BASIS", 2)
    two = Basis(pixels)  # the first and the last picture
    np.testing.assert_allclose(two._mean, pixels[[0, -1]].mean(0)[two._kept], rtol=1e-6)
    monkeypatch.setattr(frame_pixels, "COMPONENTS", 1)
    assert Basis(pixels)(pixels).shape == (40, 1)


def part_of(labels, sized):
    rows = {side: np.asarray(values, np.float32) for side, values in sized.items()}
    return Pixels([str(i) for i in range(len(labels))], np.array(labels), rows, rows)


def test_size_and_shrinkage_are_chosen_on_validation_pictures(monkeypatch):
    """The first size shows nothing of who it is, the second everything, the third as much: the second is taken."""
    random = np.random.default_rng(0)
    labels = np.arange(3).repeat(8)
    noise, telling = random.normal(size=(24, 4)), np.eye(3)[labels] + 0.05 * random.normal(size=(24, 3))
    train, val = (part_of(labels[k::2], {24: noise[k::2], 12: telling[k::2], 48: telling[k::2]}) for k in (0, 1))
    chosen = fit_classifier(train, val)
    assert (chosen.side, chosen.shrinkage, chosen.val_accuracy) == (12, 0.3, 1.0)
    assert chosen.names(val).tolist() == val.labels.tolist()
    alone = fit_classifier(train, None)
    assert (alone.side, alone.shrinkage, alone.val_accuracy) == (24, 0.3, None)
    assert alone.discriminant.shrinkage == 0.3
    assert chosen.discriminant.solver == "lsqr"
    blank = part_of(labels[::2], dict.fromkeys(frame_pixels.SIDES, np.ones((12, 4))))
    guess = fit_classifier(blank, None)
    assert (guess.side, guess.shrinkage, guess.val_accuracy, guess.basis, guess.discriminant) == (24, 0.3, *[None] * 3)
    assert guess.names(val).tolist() == [0] * 12


def test_validation_pictures_are_learnt_from_once_something_is_chosen():
    """Person 2 stands in the validation pictures alone: after the choice he is known."""
    rows = np.eye(3, dtype=np.float32).repeat(4, axis=0)
    some = dict.fromkeys(frame_pixels.SIDES, rows[:8])
    train, val = part_of([0] * 4 + [1] * 4, some), part_of([2] * 4, dict.fromkeys(frame_pixels.SIDES, rows[8:]))
    found = fit_classifier(train, val)
    assert found.val_accuracy == 0
    assert found.discriminant.classes_.tolist() == [0, 1, 2]
    assert found.discriminant.priors_.tolist() == pytest.approx([1 / 3] * 3)


def test_one_picture_many_times_still_teaches():
    """A person whose pictures are all one has no spread: the noise stands in for it."""
    pixels = np.repeat([[0.0, 0], [1, 1]], 3, axis=0)
    found = frame_pixels._discriminant(pixels, np.arange(2).repeat(3), 0.1)
    noisy = pixels + 1e-3 * np.random.default_rng(0).standard_normal((6, 2))
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(noisy, np.arange(2).repeat(3))
    np.testing.assert_allclose(found.coef_, theirs.coef_)
    assert found.predict([[0.1, 0.1], [0.9, 0.9]]).tolist() == [0, 1]


def test_whole_frames_are_learnt_from_as_asked(fakes, monkeypatch):
    monkeypatch.setattr(frame_pixels, "SIDES", (6,))
    monkeypatch.setattr(frame_pixels, "SHRINKAGES", (0.3,))
    scene = fakes.scene("negative")
    plain, own = WholeFrame("originals").measure(scene, NAME), WholeFrame().measure(scene, NAME)
    assert own.details["learns_from"] == "anonymized"
    assert plain.details["learns_from"] == "originals"
    assert own.metrics[f"{NAME}/accuracy"].value == 1 > plain.metrics[f"{NAME}/accuracy"].value
    assert own.details.keys() == {"learns_from", "side", "shrinkage", "val_accuracy"}
    both = WholeFrame("originals", ceiling=True, shuffled_labels=True).measure(scene, NAME)
    assert both.metrics[f"{NAME}/ceiling"].value == 1
    assert both.metrics[f"{NAME}/shuffled_labels"].n == 25
    assert WholeFrame(seed=3).cost(fakes.data, True, 2).pictures == {("train", 5), ("val", 5)}
    assert not WholeFrame("originals", seed=3).cost(fakes.data, True, 2).pictures
    assert WholeFrame().seed == 1
    asked = []
    told = replace(scene, anonymize=lambda part, seed: asked.append((part, seed)) or scene.anonymize(part, seed))
    WholeFrame(seed=3).measure(told, NAME)
    assert asked == [("train", 3), ("val", 3)]
