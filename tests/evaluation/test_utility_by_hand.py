"""Utility measures piece by piece: what is counted, which reason is given, what reaches a network that is not there."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from privacy_exp.evaluation.statistics.intervals import bootstrap_mean, clustered_rate
from privacy_exp.evaluation.utility import attributes, detection
from privacy_exp.evaluation.utility.attributes import Attributes, balanced_accuracy
from privacy_exp.evaluation.utility.detection import Detection
from privacy_exp.evaluation.utility.frechet import frechet_distance, frechet_metric
from privacy_exp.evaluation.utility.inception import FID, KID
from privacy_exp.evaluation.utility.lpips import LPIPS
from privacy_exp.evaluation.utility.pictures import mean_of_present, pictures
from privacy_exp.evaluation.utility.pixels import Pixels, pixel_scores, psnr
from privacy_exp.evaluation.utility.sanity import Sanity
from privacy_exp.inpainting.training.classifier import SmallClassifier
from privacy_exp.recognition.detection import Detections
from privacy_exp.types import UserError
from tests.evaluation.five_photos import IDS, PEOPLE, five_photos, read
from tests.recognition.small import Colours


@pytest.fixture
def scene(tmp_path):
    return five_photos(tmp_path)


def test_pictures_come_in_batches_and_in_the_order_of_their_ids(scene):
    found = list(pictures(scene.folder, 2))
    assert [len(batch.originals) for batch in found] == [2, 2, 1]
    assert torch.cat([batch.originals for batch in found]).equal(read(scene, "original"))
    assert torch.cat([batch.results for batch in found]).equal(read(scene, "results"))
    assert all(batch.masks[:, :, :6].all() and not batch.masks[:, :, 6:].any() for batch in found)
    for path, _ in scene.folder.list("masks").values():
        path.unlink()
    (scene.folder.path / "masks").rmdir()
    assert all(
        batch.masks.all() and batch.masks.dtype == torch.bool and batch.masks.shape[1:] == (1, 12, 12)
        for batch in pictures(scene.folder, 3)
    )


def test_means_are_of_those_that_are_there():
    values = np.array([1.0, np.nan, 0.5, np.inf, 0])
    there = np.array([0, 2, 4])
    assert mean_of_present(values, PEOPLE, "none") == bootstrap_mean(values[there], PEOPLE[there])
    assert mean_of_present(values * np.nan, PEOPLE, "none of them").reason == "none of them"


def test_ratios_in_decibel():
    found = psnr(np.array([0.01, 0.001, 0.0, 0.1, np.nan]), PEOPLE)
    error = mean_of_present(np.array([0.01, 0.001, 0.0, 0.1, np.nan]), PEOPLE, "")
    assert found.value == pytest.approx(-10 * np.log10(0.111 / 4))
    assert (found.low, found.high) == tuple(pytest.approx(-10 * np.log10(e)) for e in (error.high, error.low))
    assert found.n == 4
    none = psnr(np.array([np.nan]), np.array(["p"]), "nothing there")
    assert (none.value, none.reason) == (None, "nothing there")
    equal = psnr(np.zeros(2), np.array(["p", "q"]))
    assert (equal.value, equal.low, equal.high, equal.n) == (None, None, None, 2)
    assert equal.reason == "equal to the originals: infinite"
    assert psnr(np.array([0.0, 0.1]), np.array(["p", "q"])).high is None, "some draws are equal: no upper end"


def test_scores_are_means_over_their_own_pixels():
    originals, results = torch.full((2, 3, 12, 12), 0.1), torch.full((2, 3, 12, 12), 0.1)
    masks = torch.zeros(2, 1, 12, 12, dtype=torch.bool)
    masks[0, :, :3] = True
    results[0, 0, :3] += 0.6  # one channel of three: 0.12 in a quarter of the frame
    results[0, :, 11] += 0.3  # 0.09 in one of nine rows that are kept
    found = pixel_scores(originals, results, masks)
    assert found["mse_inside"].tolist()[0] == pytest.approx(0.12)
    assert found["mse_outside"].tolist() == [pytest.approx(0.01), 0]
    assert found["mse_inside"][1].isnan()
    assert found["ssim_inside"][1].isnan()
    assert found["ssim_outside"][1] == 1
    whole = structural_similarity_index_measure(results, originals, data_range=1.0, return_full_image=True)[1]
    assert found["ssim_inside"][0] == pytest.approx(whole[0, :, :3].mean())
    assert found["ssim_outside"][0] == pytest.approx(whole[0, :, 3:].mean())


def test_pixels_have_a_figure_and_a_column_each(scene):
    found = Pixels(batch_size=2).measure(scene, "utility/pixels")
    columns = pixel_scores(read(scene, "original"), read(scene, "results"), next(pictures(scene.folder, 5)).masks)
    assert set(found.columns) == {f"utility/{k}_{p}" for k in ("ssim", "mse") for p in ("inside", "outside")}
    for name, values in columns.items():
        np.testing.assert_allclose(found.columns[f"utility/{name}"], values, rtol=1e-4)
    assert set(found.metrics) == {f"utility/{k}_{p}" for k in ("ssim", "psnr") for p in ("inside", "outside")}
    for place in ("inside", "outside"):
        own = {k: found.columns[f"utility/{k}_{place}"].astype(np.float64) for k in ("ssim", "mse")}
        assert found.metrics[f"utility/ssim_{place}"] == mean_of_present(own["ssim"], PEOPLE, "")
        assert found.metrics[f"utility/psnr_{place}"] == psnr(own["mse"], PEOPLE, "")
    assert Pixels().batch_size == Sanity().batch_size == Detection().batch_size == 32
    assert not any(kind.needs_data for kind in (Pixels, Sanity, Detection, LPIPS, KID, FID))


def test_black_and_flat_results_are_columns_too(scene, tmp_path):
    results = read(scene, "original")
    results[1, :, :6], results[3, :, :6], results[4, :, :6] = 0, 0.5, 0.5
    scene.folder.image_format = "png"
    scene.folder.save("results", IDS, torch.tensor([0, 0, 1, 1, 2]), results)
    found = Sanity(batch_size=2).measure(scene, "utility/sanity")
    assert {k: v.tolist() for k, v in found.columns.items()} == {
        "utility/black": [False, True, False, False, False],
        "utility/flat": [False, False, False, True, True],
    }
    assert found.metrics == {f"{k}_share": clustered_rate(v, PEOPLE) for k, v in found.columns.items()}


def test_faces_found_before_and_after(scene, monkeypatch):
    """Faces: a, b, c and e before; a, c and d after. Points move by 3, of 6 between the eyes."""
    seen, points = {}, torch.zeros(5, 5, 2)
    points[:, 1, 0] = 6

    def known(store):
        def look(names, images, device):
            rows = [len(seen) + k for k in range(len(names))]
            seen.update(zip(names, rows, strict=True))
            found = torch.tensor([[True, True, True, False, True][row] for row in rows])
            return Detections(found, points[rows], torch.zeros(len(rows), 4))

        assert store is scene.store
        return look

    def detect(images, device):
        rows = [int(np.argmin([(image - r).abs().sum() for r in read(scene, "results")])) for image in images]
        found = torch.tensor([[True, False, True, True, False][row] for row in rows])
        return Detections(found, points[rows] + torch.tensor([0.0, 3.0]), torch.zeros(len(rows), 4))

    monkeypatch.setattr(detection, "StoredDetections", known)
    monkeypatch.setattr(detection, "detect_faces", detect)
    found = Detection(batch_size=2).measure(scene, "utility/detection")
    assert list(seen) == [detection.picture_digest(path) for path, _ in scene.folder.list("original").values()]
    after = np.array([True, False, True, True, False])
    assert found.columns["utility/detected"].tolist() == after.tolist()
    np.testing.assert_array_equal(found.columns["utility/landmark_error"], [0.5, np.nan, 0.5, np.nan, np.nan])
    assert found.metrics["utility/detection_rate"] == clustered_rate(after, PEOPLE)
    assert found.metrics["utility/detection_rate_original"].value == 0.8
    assert (found.metrics["utility/landmark_error"].value, found.metrics["utility/landmark_error"].n) == (0.5, 2)
    monkeypatch.setattr(
        detection,
        "detect_faces",
        lambda images, device: Detections(
            torch.zeros(len(images)) > 0, points[: len(images)], torch.zeros(len(images), 4)
        ),
    )
    seen.clear()
    none = Detection().measure(scene, "utility/detection").metrics["utility/landmark_error"]
    assert none.reason == "no photo with a face found in both original and result"


def test_a_face_without_width_has_no_error():
    points = torch.zeros(2, 5, 2)
    points[1, 1, 0] = 2
    there = Detections(torch.ones(2) > 0, points, torch.zeros(2, 4))
    moved = replace(there, landmarks=points + 1)
    found = detection.landmark_error(there, moved)
    assert found[0].isnan()
    assert found[1] == pytest.approx(2**0.5 / 2)


def test_distances_of_gaussians_in_one_dimension():
    """(1 - 4)² + (σ_a - σ_b)²: of -1, 0, 4 and 2, 4, 6 the deviations are √7 and 2."""
    a, b = np.array([[-1.0], [0], [4]]), np.array([[2.0], [4], [6]])
    assert frechet_distance(a, b) == pytest.approx(9 + (7**0.5 - 2) ** 2)
    assert frechet_distance(a, a) == 0
    turned = np.array([[1.0, 0], [-1, 0], [5, 2]])
    assert frechet_distance(turned, turned[:, ::-1] + 7) == pytest.approx(
        np.square(turned.mean(0) - turned.mean(0)[::-1] - 7).sum()
        + frechet_distance(turned - turned.mean(0), (turned - turned.mean(0))[:, ::-1])
    )
    assert frechet_distance(a.astype(np.float32), b.astype(np.float32)) == pytest.approx(9 + (7**0.5 - 2) ** 2)


def test_a_jackknife_leaves_out_a_twentieth_of_the_people():
    random = np.random.default_rng(0)
    people = np.repeat([f"{k:02}" for k in range(42)], 2)
    a, b = random.normal(size=(84, 2)), random.normal(size=(84, 2)) + 1
    found = frechet_metric(a, b, people)
    group = np.repeat(np.arange(42) % 20, 2)
    out = np.array([frechet_distance(a[group != g], b[group != g]) for g in range(20)])
    error = (19 / 20 * ((out - out.mean()) ** 2).sum()) ** 0.5
    value = frechet_distance(a, b)
    assert (found.value, found.n) == (pytest.approx(value), 84)
    assert (found.low, found.high) == (pytest.approx(value - 1.96 * error), pytest.approx(value + 1.96 * error))
    two = frechet_metric(a[1:4], b[1:4], people[1:4])
    assert (two.value is None, two.low, two.high, two.n) == (False, None, None, 3), "without one of two, one is left"
    a[0] = np.nan
    b[1] = np.nan
    alone = frechet_metric(a[:4], b[:4], people[:4])
    assert (alone.value, alone.low, alone.high, alone.n) == (None, None, None, 2)
    assert alone.reason == "fewer than two people could be embedded"


@pytest.fixture
def attributed(scene):
    """Nine training photos of which four smile, one wears a hat and all are young; the tested ones as written."""
    data = Colours(people=3, photos_each=5, min_images_per_identity=1)
    data.setup()
    data = copy(data)
    rows = [{"Young": True, "Smiling": k < 4, "Hat": k == 0} for k in range(9)]
    photos = [replace(p, attributes=row) for p, row in zip(data.photos["train"], rows, strict=True)]
    data.photos = {**data.photos, "train": photos}
    smiling = [True, True, False, False, True]
    return replace(scene, data=data, table=scene.table.assign(**{"attribute/Smiling": smiling}))


def test_attributes_are_learnt_where_enough_photos_have_both_values(attributed):
    data = attributed.data
    assert Attributes(fewest_photos=4).learnable(data) == ["Smiling"]
    assert Attributes(fewest_photos=5).learnable(data) == []
    assert Attributes(fewest_photos=1).learnable(data) == ["Hat", "Smiling"]
    data.photos["train"][3] = replace(data.photos["train"][3], attributes=None)
    assert Attributes(fewest_photos=1).learnable(data) == []
    data.photos["train"] = []
    assert Attributes(fewest_photos=0).learnable(data) == []


def test_a_measure_of_attributes_counts_by_hand(attributed, monkeypatch):
    """It says yes to what is bright before (a, b, c), and to nothing after but b."""
    asked = []
    monkeypatch.setattr(
        Attributes, "classifier", lambda self, scene, names: asked.append(list(names)) or SmallClassifier(1, 16).eval()
    )
    said = iter([[True, True], [False, True], [True, False], [False, False], [False], [False]])
    monkeypatch.setattr(
        Attributes, "_ask", lambda self, net, *images: [np.array([next(said)]).reshape(-1, 1) for _ in images]
    )
    found = Attributes(fewest_photos=1, gate=0.5, batch_size=2).measure(attributed, "utility/attributes")
    assert asked == [["Smiling"]], "the tested photos say nothing of hats"
    before, after = np.array([1, 1, 1, 0, 0]) > 0, np.array([0, 1, 0, 0, 0]) > 0
    truth = np.array([1, 1, 0, 0, 1]) > 0
    assert found.metrics["utility/attribute/Smiling"] == clustered_rate(before == after, PEOPLE)
    assert found.details == {"balanced_accuracy": {"Smiling": (2 / 3 + 1 / 2) / 2}, "counted": ["Smiling"]}
    assert balanced_accuracy(before, truth) == (2 / 3 + 1 / 2) / 2
    assert found.metrics["utility/attribute_agreement"].value == 0.6
    assert found.metrics["utility/attribute_accuracy"].value == 0.6
    assert found.columns["utility/attribute_agreement"].tolist() == [0, 1, 0, 1, 1]
    assert found.metrics["utility/attribute_agreement"].n == 5


def test_attributes_count_from_the_gate_on():
    people, truth = np.array(["p", "q", "r", "s"]), np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]) > 0
    before = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [1, 0, 0]]) > 0  # 0.75, 0.75 and one value alone
    after = ~before
    after[0, 0] = True
    own = Attributes(gate=0.75)._findings("u", ["A", "B", "C"], before, after, truth, people)
    assert own.details == {"balanced_accuracy": {"A": 0.75, "B": 0.75, "C": None}, "counted": ["A", "B"]}
    assert own.metrics["u/attribute/C"].reason == "only one value among the test photos"
    assert own.metrics["u/attribute/A"].reason is None
    assert (own.metrics["u/attribute/A"].value, own.metrics["u/attribute/C"].value) == (0.25, 0)
    assert own.columns["u/attribute_agreement"].tolist() == [0.5, 0, 0, 0]
    assert own.metrics["u/attribute_accuracy"].value == (1 + 0.5 + 1 + 0.5) / 4
    none = Attributes(gate=0.8)._findings("u", ["A", "B", "C"], before, after, truth, people)
    assert none.metrics["u/attribute/A"].reason == "below_gate"
    assert none.metrics["u/attribute/A"].low is not None
    assert none.metrics["u/attribute_agreement"].reason == "no attribute is told with a balanced accuracy of 0.8"
    assert none.metrics["u/attribute_agreement"].n == 4
    assert none.metrics["u/attribute_accuracy"].value is None
    assert none.details["counted"] == []
    assert not none.columns


def test_a_classifier_is_trained_on_training_photos_and_kept(attributed, monkeypatch):
    trained, fetched = [], []

    def train(images, targets, outputs, epochs, seed):
        trained.append((images, targets, outputs, epochs, seed))
        return SmallClassifier(outputs, 16)

    store = attributed.store
    monkeypatch.setattr(store, "fetch", lambda *a, f=store.fetch: fetched.append(a[:2]) or f(*a))
    monkeypatch.setattr(attributes, "train_classifier", train)
    monkeypatch.setattr(attributes, "sources", lambda name: f"code of {name}")
    own = Attributes(epochs=3, image_size=16, max_photos=4, seed=8, batch_size=2)
    found = own.classifier(attributed, ["Smiling"])
    assert not found.training
    images, targets, outputs, epochs, seed = trained[0]
    photos = attributed.data.photos["train"][::3]  # nine by threes: at most four
    assert images.shape == (3, 3, 16, 16)
    expected = torch.nn.functional.interpolate(
        attributed.data.faces(photos).images, (16, 16), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(images, expected)
    assert targets.flatten().tolist() == [1, 1, 0]
    assert (outputs, epochs, seed) == (1, 3, 8)
    code = "code of " + train.__module__
    settings = {"epochs": 3, "image_size": 16, "max_photos": 4, "seed": 8}
    fields = {"data": attributed.data.digest(), "names": ["Smiling"], "code": code, **settings}
    assert fetched == [("attribute_classifier", fields)]
    again = own.classifier(attributed, ["Smiling"])
    assert len(trained) == 1
    assert all(a.equal(b) for a, b in zip(found.state_dict().values(), again.state_dict().values(), strict=True))
    net = SmallClassifier(1, 16).eval()
    said = own._ask(net, images, -images)
    assert [a.tolist() for a in said] == [(net(i) > 0).tolist() for i in (images, -images)]


def test_defaults_and_edges_of_settings():
    plain = Attributes()
    assert (plain.epochs, plain.image_size, plain.gate, plain.fewest_photos) == (30, 64, 0.7, 10)
    assert (plain.max_photos, plain.seed, plain.batch_size) == (10_000, 0, 32)
    assert Attributes(epochs=1, image_size=16, gate=0.5).gate == 0.5
    assert Attributes(gate=1).gate == 1
    assert (KID().subset_size, KID().subsets, KID().batch_size, KID().weights) == (1000, 100, 32, None)
    assert (KID(subset_size=2, subsets=1).subset_size, FID(fewest_images=2).fewest_images) == (2, 2)
    assert (FID().fewest_images, FID().batch_size, FID().weights) == (5000, 32, None)
    assert (LPIPS().net, LPIPS().weights, LPIPS().batch_size) == ("alex", None, 32)
    for make in (
        lambda: Attributes(image_size=0),
        lambda: Attributes(image_size=24),
        lambda: Attributes(gate=1.01),
        lambda: Attributes(gate=0.49),
        lambda: KID(subset_size=1),
        lambda: KID(subsets=0),
        lambda: FID(fewest_images=1),
    ):
        with pytest.raises(UserError):
            make()


def test_without_data_or_attributes_there_are_reasons(scene, attributed):
    names = {"utility/attribute_agreement", "utility/attribute_accuracy"}
    for own, why in (
        (scene, "a folder made elsewhere has no training photos"),
        (attributed, "the data has no attribute with enough training photos of both values"),
    ):
        found = Attributes().measure(own, "utility/attributes").metrics
        assert found.keys() == names
        assert {(m.value, m.low, m.high, m.n, m.reason) for m in found.values()} == {(None, None, None, 5, why)}
