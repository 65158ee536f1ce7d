"""A judge whose every figure is known: it sees the mean colour of a picture."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from privacy_exp.cache.keys import file_digest
from privacy_exp.cache.store import Store
from privacy_exp.data.base import FaceData
from privacy_exp.data.drawn.faces import DrawnFaces
from privacy_exp.data.photo import Photo
from privacy_exp.evaluation.judges import embedder
from privacy_exp.evaluation.judges.embedder import Embedded, Embedder, embed_batches
from privacy_exp.evaluation.judges.judge import Judge, Views, _intrusion
from privacy_exp.evaluation.measure import Scene, strongest_observer
from privacy_exp.evaluation.utility.frechet import frechet_distance
from privacy_exp.evaluation.utility.same_face import SameFace
from privacy_exp.evaluation.verification import Threshold
from privacy_exp.recognition import detection
from privacy_exp.recognition.detection import Detections
from privacy_exp.recognition.facenet import WEIGHTS
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.pairs import NoRecognizer
from privacy_exp.types import UserError

PEOPLE, PHOTOS = 16, 6


class Colour(Embedder):
    """The direction of the mean colour from grey; black pictures cannot be embedded where `refuses_black`."""

    aligns = False

    def __init__(self, refuses_black=False):
        self.refuses_black = refuses_black
        self.calls = 0

    def fields(self):
        return {"colour": 1}

    def prepare(self, images, landmarks):
        self.calls += 1
        return images

    def features(self, crops):
        mean = crops.mean((2, 3))
        black = (mean.sum(1) == 0) & self.refuses_black
        return torch.where(black[:, None], torch.nan, mean - 0.5)


def colours():
    """A colour a person, far apart, and a little noise a photo."""
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(PEOPLE, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.clip(127.5 + 110 * np.repeat(directions, PHOTOS, 0) + rng.normal(size=(PEOPLE * PHOTOS, 3)), 1, 254)


@pytest.fixture
def scene(tmp_path):
    """16 people × 6 photos; `results` is what `paint` makes of the colours."""

    def make(paint):
        levels = colours()
        rows = []
        for kind, word, values in (("original", "img", levels), ("results", "generated", paint(levels.copy()))):
            (tmp_path / "run" / kind).mkdir(parents=True)
            for i, value in enumerate(values):
                path = tmp_path / "run" / kind / f"p{i:03d}-{word}-label-{i // PHOTOS}.png"
                Image.fromarray(np.broadcast_to(value.round(), (8, 8, 3)).astype(np.uint8)).save(path)
        for i in range(len(levels)):
            rows.append({"image_id": f"p{i:03d}", "identity": f"person{i // PHOTOS}", "label": i // PHOTOS})
        names = [f"person{i}" for i in range(PEOPLE)]
        return Scene(RunFolder(tmp_path / "run"), pd.DataFrame(rows), names, NoRecognizer(), Store(tmp_path / "store"))

    return make


def values(found):
    return {name.removeprefix("judge/colour/"): metric.value for name, metric in found.metrics.items()}


def test_pictures_that_were_left_alone_are_known_as_before(scene):
    found = Judge(Colour(), fars=[0.01, 0.05]).measure(scene(lambda x: x), "judge/colour")
    figures = values(found)
    for far in ("1e-2", "5e-2"):
        assert figures[f"tar_cross_{far}"] == figures[f"clean_tar_{far}"] > 0.9
        assert figures[f"same_photo_{far}"] == 1
    assert figures["rank_1"] == figures["clean_rank_1"] > 0.9
    assert figures["intrusion"] == 0
    assert figures["utility/frechet_colour"] == pytest.approx(0, abs=1e-6)
    assert found.details["impostor_pairs"] == (96 * 95 - 96 * 5) // 2
    assert found.details["anonymized"] == {"aligned_by_detection": 0, "aligned_by_template": 96, "not_embedded": 0}
    assert strongest_observer(found.outcomes)[0].value == 1


def test_what_stands_beside_the_figures(scene):
    found = Judge(Colour(), gate=0.7, fars=[0.05, 0.001]).measure(scene(lambda x: x), "judge/colour")
    details = dict(found.details)
    known = details.pop("thresholds")
    assert list(known) == ["1e-2", "5e-2", "1e-3"]
    assert known["1e-3"] is None
    assert -1 < known["5e-2"] < known["1e-2"] < 1
    behind = details.pop("impostor_pairs_of_people")
    assert behind["1e-3"] is None
    assert 1 <= behind["1e-2"] <= behind["5e-2"]
    by_template = {"aligned_by_detection": 0, "aligned_by_template": 96, "not_embedded": 0}
    assert details == {
        "gate": 0.7,
        "gallery_identities": PEOPLE,
        "original": by_template,
        "anonymized": by_template,
        "impostor_pairs": 4320,
        "impostor_photos": 96,
        "clean_equal_error_rate": pytest.approx(details["clean_equal_error_rate"]),
    }
    assert 0 <= details["clean_equal_error_rate"] < 0.01
    few = found.metrics["judge/colour/same_photo_1e-3"]
    assert (few.value, few.n, few.reason) == (None, 96, "4320 impostor pairs, 30000 needed")
    for name in ("detected", "detected_anonymized"):
        metric = found.metrics[f"judge/colour/{name}"]
        assert (metric.value, metric.n, metric.reason) == (None, 96, "this judge does not detect")
    assert set(found.columns) == {
        f"judge/colour/{name}" for name in ("tar_cross_5e-2", "tar_cross_1e-3", "similarity_same_photo", "rank_1")
    }
    assert np.isnan(found.columns["judge/colour/tar_cross_1e-3"]).all()
    np.testing.assert_allclose(found.columns["judge/colour/similarity_same_photo"], 1, atol=1e-6)
    (seen,) = found.outcomes
    assert (seen.name, seen.chance, seen.rows.tolist()) == ("judge/colour", 1 / PEOPLE, list(range(96)))
    assert seen.identity.tolist() == [f"person{i // PHOTOS}" for i in range(96)]
    assert found.warnings == [
        f"judge/colour: {count:.1f} pairs of people decide its threshold at a false accept rate of {far} "
        "(30 needed): other people would put it elsewhere."
        for far, count in behind.items()
        if count is not None and count < 30
    ]


def test_a_judge_that_detects_says_how_often_it_did(scene, monkeypatch):
    """A third of the originals has a face that is found, and none of the results, which are dark."""

    class Aligned(Colour):
        aligns = True

    def detect(images, device):
        found = (torch.arange(len(images)) % 3 == 0) & (images.mean((1, 2, 3)) > 0)
        return Detections(found, torch.zeros(len(images), 5, 2), torch.zeros(len(images), 4))

    for module in (embedder, detection):
        monkeypatch.setattr(module, "detect_faces", detect)
    found = Judge(Aligned(), fars=[0.01], batch_size=96).measure(scene(lambda x: 0 * x), "judge/colour")
    assert values(found)["detected"] == pytest.approx(1 / 3)
    assert values(found)["detected_anonymized"] == 0
    assert not found.columns["judge/colour/detected_anonymized"].any()
    assert found.details["original"] == {"aligned_by_detection": 32, "aligned_by_template": 64, "not_embedded": 0}
    assert found.metrics["judge/colour/detected"].n == 96


def test_without_a_known_gate_the_judge_takes_no_part(scene, monkeypatch):
    monkeypatch.setattr("privacy_exp.evaluation.verification.PAIRS_NEEDED", 1000)
    found = Judge(Colour(), fars=[0.5]).measure(scene(lambda x: x), "judge/colour")
    assert found.outcomes[0].excluded == "no_gate: 4320 impostor pairs, 100000 needed"
    assert "its TAR at FAR 1 % on originals is not known (4320 impostor pairs, 100000 needed)" in found.warnings[0]
    flagged = {name for name, metric in values_with_reasons(found).items() if metric == found.outcomes[0].excluded}
    assert {"rank_1", "intrusion", "tar_cross_5e-1", "same_photo_5e-1"} <= flagged
    assert not {"clean_rank_1", "clean_tar_5e-1", "utility/frechet_colour", "detected"} & flagged


def values_with_reasons(found):
    return {name.removeprefix("judge/colour/"): metric.reason for name, metric in found.metrics.items()}


def test_black_pictures_leave_a_judge_at_chance(scene):
    found = Judge(Colour(), fars=[0.01]).measure(scene(lambda x: 0 * x), "judge/colour")
    figures = values(found)
    assert figures["rank_1"] == pytest.approx(1 / PEOPLE)
    assert figures["rank_1_normalised"] == pytest.approx(0, abs=1e-9)
    assert strongest_observer(found.outcomes)[0].value == pytest.approx(0, abs=1e-9)


def test_somebody_elses_face_is_an_intrusion(scene):
    found = Judge(Colour(), fars=[0.01]).measure(scene(lambda x: np.roll(x, PHOTOS, axis=0)), "judge/colour")
    figures = values(found)
    assert figures["rank_1"] == 0
    assert figures["intrusion"] > 0.8


def test_a_picture_that_cannot_be_embedded_is_hidden_and_counted(scene):
    def blacken(levels):
        levels[:12] = 0
        return levels

    found = Judge(Colour(refuses_black=True), fars=[0.01]).measure(scene(blacken), "judge/colour")
    left_alone = values(found)["clean_tar_1e-2"]
    assert found.details["anonymized"]["not_embedded"] == 12
    assert values(found)["same_photo_1e-2"] == pytest.approx(84 / 96)
    assert values(found)["tar_cross_1e-2"] < left_alone
    assert found.metrics["judge/colour/rank_1"].n == 96, "never dropped"
    assert "could not embed 12" in found.warnings[0]


def test_a_judge_that_steered_the_masks_is_named(scene, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"weights")
    place = dataclasses.replace(scene(lambda x: x), config={"recognition": {"net": {"model": f"{tmp_path}/net.onnx"}}})
    embedder = Colour()
    embedder.fields = lambda: {"onnx": file_digest(tmp_path / "net.onnx")}
    assert "is no held-out judge" in Judge(embedder, fars=[0.01]).measure(place, "judge/colour").warnings[0]
    started = dataclasses.replace(place, config={"recognition": {"net": {"pretrained": "vggface2"}}})
    for fields, steered in (({"facenet": WEIGHTS["vggface2"]}, True), ({"facenet": "another"}, False)):
        embedder.fields = lambda fields=fields: fields
        warnings = Judge(embedder, fars=[0.01]).measure(started, "judge/colour").warnings
        assert any("held-out" in line for line in warnings) == steered
    embedder.fields = lambda: {"onnx": "another", "facenet": None}
    assert not any("held-out" in line for line in Judge(embedder, fars=[0.01]).measure(place, "judge/colour").warnings)
    embedder.fields = lambda: {"onnx": file_digest(tmp_path / "net.onnx")}
    blind = dataclasses.replace(place, asks_target=False)  # masking=center with a painter that asks nobody
    found = Judge(embedder, fars=[0.01]).measure(blind, "judge/colour")
    assert not any("held-out" in line for line in found.warnings)
    assert found.outcomes[0].excluded is None


@pytest.mark.parametrize("models", [["net.onnx"], ["target"], []], ids=str)
def test_a_judge_that_pushed_faces_away_is_left_out(scene, tmp_path, models):
    (tmp_path / "net.onnx").write_bytes(b"weights")
    net = {"recognition": {"net": {"model": f"{tmp_path}/net.onnx"}}}
    names = [str(tmp_path / name) if name.endswith("onnx") else name for name in models]
    place = dataclasses.replace(scene(lambda x: x), config={**net, "inpainting": {"repel": 2, "repel_model": names}})
    embedder = Colour()
    embedder.fields = lambda: {"onnx": file_digest(tmp_path / "net.onnx")}
    found = Judge(embedder, fars=[0.01]).measure(place, "judge/colour")
    assert found.warnings[0].startswith("judge/colour takes no part in strongest_observer: inpainting.repel pushed")
    assert found.metrics["judge/colour/tar_cross_1e-2"].reason == "steered"
    assert found.metrics["judge/colour/clean_tar_1e-2"].reason is None
    metric, who = strongest_observer(found.outcomes)
    assert (metric.value, metric.reason, who) == (None, "steered: no observer is left", [])
    other = Judge(Colour(), fars=[0.01]).measure(place, "judge/colour")
    assert strongest_observer([*found.outcomes, dataclasses.replace(other.outcomes[0], name="b")])[1] == ["b"]
    plain = {**net, "inpainting": {"repel": None, "repel_model": names}}
    off = Judge(embedder, fars=[0.01]).measure(dataclasses.replace(place, config=plain), "judge/colour")
    assert off.outcomes[0].excluded is None
    assert "is no held-out judge" in off.warnings[0]


def test_below_the_gate_figures_are_flagged_and_the_judge_takes_no_part(scene):
    shuffled = np.random.default_rng(0).permutation(PEOPLE * PHOTOS)
    place = scene(lambda x: x)
    place = dataclasses.replace(place, table=place.table.assign(label=place.table["label"].to_numpy()[shuffled]))
    found = Judge(Colour(), fars=[0.01]).measure(place, "judge/colour")
    assert found.metrics["judge/colour/tar_cross_1e-2"].reason == "below_gate"
    assert found.metrics["judge/colour/tar_cross_1e-2"].value is not None
    assert found.metrics["judge/colour/clean_tar_1e-2"].reason is None
    assert strongest_observer(found.outcomes)[0].value is None
    assert "below its gate of 0.9" in found.warnings[0]


def test_which_face_comes_back_to_a_judge(scene):
    judge = Judge(Colour())
    place = dataclasses.replace(scene(lambda x: x), judges={"judge/colour": judge})
    found = SameFace().measure(place, "utility/same_face").metrics
    alike = (lambda v: v @ v.T)(judge.viewer.originals(place).vectors)  # results are the originals
    people = np.arange(PEOPLE * PHOTOS) // PHOTOS
    same, own = people[:, None] == people, np.eye(len(people), dtype=bool)
    for kind, pairs in (("same_person", same & ~own), ("other_people", ~same)):
        assert found[f"utility/{kind}_similarity_colour"].value == pytest.approx(alike[pairs].mean(), abs=1e-5)
    assert found["utility/same_person_similarity_colour"].low > found["utility/other_people_similarity_colour"].high


def test_at_the_gate_is_enough(scene):
    found = Judge(Colour(), gate=1.0, fars=[0.01]).measure(scene(lambda x: x), "judge/colour")
    assert values(found)["clean_tar_1e-2"] == 1
    assert found.outcomes[0].excluded is None


def test_an_intrusion_is_at_the_smallest_known_rate():
    nobody = Embedded(np.eye(4), np.zeros(4, bool))
    known = [Threshold(0.01, 0.9, 9), Threshold(0.05, 0.5, 9), Threshold(0.001, None, 9, "few")]
    views = Views(nobody, nobody, np.arange(4), np.arange(4).astype(str), known)
    clean, seen = np.array([0.95, 0.1, 0.1, 0.1]), np.array([0.95, 0.9, 0.6, np.nan])
    assert _intrusion(clean, seen, views).value == 1 / 4, "0.9 is at the threshold; 0.6 passes the loose one alone"


def test_the_anonymised_picture_is_the_probe(scene):
    def blacken(levels):
        levels[0] = 0
        return levels

    found = Judge(Colour(refuses_black=True), fars=[0.05]).measure(scene(blacken), "judge/colour")
    shares = found.columns["judge/colour/tar_cross_5e-2"]
    assert shares[0] == 0
    assert shares[1:PHOTOS].min() > 0.9, "its original still serves as a reference"


def test_a_found_face_is_aligned_by_its_own_points(monkeypatch):
    found = torch.tensor([True, False])
    points = torch.arange(20.0).reshape(2, 5, 2)
    seen = Detections(found, points, torch.zeros(2, 4))
    monkeypatch.setattr(embedder, "detect_faces", lambda images, device: seen)
    aligned = []

    class Aligning(Colour):
        aligns = True

        def prepare(self, images, landmarks):
            aligned.append(landmarks.clone())
            return images

    judge = Aligning()
    judge.face_points = {(8, 8): torch.full((5, 2), 3.0)}
    seen = embed_batches(judge, [torch.rand(2, 3, 8, 8)])
    assert seen.detected.tolist() == found.tolist()
    assert aligned[0][0].equal(points[0])
    assert (aligned[0][1] == 3).all(), "where none was found, the template"


def test_too_few_impostor_pairs_are_a_null_with_the_reason(scene):
    place = scene(lambda x: x)
    found = Judge(Colour(), fars=[0.001]).measure(place, "judge/colour")
    metric = found.metrics["judge/colour/tar_cross_1e-3"]
    assert (metric.value, metric.reason) == (None, "4320 impostor pairs, 30000 needed")
    assert found.metrics["judge/colour/intrusion"].value is not None, "the gate's threshold is known"


def test_originals_that_cannot_be_embedded_are_an_error(scene):
    class Broken(Colour):
        def features(self, crops):
            return torch.full((len(crops), 3), torch.nan)

    with pytest.raises(ValueError, match=r"judge/colour gives NaN, infinite or zero embeddings for 96 originals"):
        Judge(Broken()).measure(scene(lambda x: x), "judge/colour")


def test_originals_are_embedded_once(scene):
    place, embedder = scene(lambda x: x), Colour()
    Judge(embedder, batch_size=96).measure(place, "judge/colour")
    Judge(embedder, batch_size=96).measure(place, "judge/colour")
    assert embedder.calls == 3, "originals once, results each time"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"gate": 1.5}, r"`gate` must lie in \[0, 1\], but got 1.5"),
        ({"fars": []}, "`fars` must be rates"),
        ({"fars": [0.0]}, "`fars` must be rates"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
    ],
)
def test_keys_outside_their_range(keys, words):
    with pytest.raises(ValueError, match=words):
        Judge(Colour(), **keys)


def test_an_embedder_that_has_not_been_fitted():
    with pytest.raises(RuntimeError, match="`fit` comes before"):
        embed_batches(Colour(), [torch.zeros(1, 3, 4, 4)])


def test_frechet_distance_in_closed_form():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4000, 3))
    a = (a - a.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(a.T))).T  # exactly white
    b = 2 * a + np.array([1.0, 0.0, 2.0])
    assert frechet_distance(a, b) == pytest.approx(5 + 3 * (2 - 1) ** 2)
    few = rng.normal(size=(5, 40))
    assert frechet_distance(few, few[::-1]) == pytest.approx(0, abs=1e-9), "fewer pictures than features"


def test_who_looks_through_a_judge_aligns_as_it_does(scene, monkeypatch):
    class Aligned(Colour):
        aligns = True

    def never(*_):
        raise AssertionError("`detect=false` looks for no face")

    monkeypatch.setattr("privacy_exp.evaluation.judges.embedder.detect_faces", never)
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    blind, looking = Judge(Aligned(), detect=False), Judge(Aligned())
    run = scene(lambda levels: levels)
    for judge in (blind, looking):
        judge.fit(run)
    torch.testing.assert_close(blind.embed(images).norm(dim=1), torch.ones(3))
    with pytest.raises(AssertionError, match="looks for no face"):
        looking.embed(images)


class Collapsed(Colour):
    """Every face is the same unit vector."""

    def features(self, crops):
        return torch.full((len(crops), 4), 0.5)


def test_an_embedder_that_has_collapsed_recognises_nobody(scene):
    found = Judge(Collapsed(), fars=[0.01]).measure(scene(lambda x: x), "judge/colour")
    figures = values(found)
    assert figures["clean_tar_1e-2"] == figures["tar_cross_1e-2"] == figures["same_photo_1e-2"] == 0
    assert figures["intrusion"] == 0
    assert figures["rank_1"] == pytest.approx(1 / PEOPLE)


class Grouped(FaceData):
    """Data that knows which photos are of one shoot, and nothing else that a judge asks for."""

    image_size = (8, 8)

    def __init__(self, groups):
        photos = [Photo(f"p{i:03d}", f"person{i // PHOTOS}", group) for i, group in enumerate(groups)]
        self.photos = {"train": [], "val": [], "test": photos}

    def index(self):
        raise AssertionError("a judge reads the run's pictures")

    read = index

    def template(self):
        return torch.zeros(5, 2)


def test_a_probes_whole_group_leaves_the_gallery_and_the_pairs(scene):
    """Photos come in near-duplicates of two, coloured alike; people themselves cannot be told apart by colour."""

    def duplicates(levels):
        rng = np.random.default_rng(1)
        return np.clip(np.repeat(rng.uniform(20, 230, (len(levels) // 2, 3)), 2, axis=0), 1, 254)

    alone = scene(duplicates)
    for i, path in enumerate(sorted((alone.folder.path / "results").iterdir())):  # the originals are the same pictures
        original = alone.folder.path / "original" / path.name.replace("generated", "img")
        original.write_bytes(path.read_bytes())
        assert f"p{i:03d}" in original.name
    found = values(Judge(Colour(), fars=[0.01]).measure(alone, "judge/colour"))
    assert found["rank_1"] > 0.9, "by its near-duplicate"
    known = dataclasses.replace(alone, data=Grouped([f"shoot{i // 2}" for i in range(PEOPLE * PHOTOS)]))
    apart = values(Judge(Colour(), fars=[0.01]).measure(known, "judge/colour"))
    assert apart["rank_1"] < 0.3
    assert apart["tar_cross_1e-2"] < 0.1 < found["tar_cross_1e-2"]


class Maps(Colour):
    """Forgets to flatten."""

    def features(self, crops):
        return crops


class Norms(Colour):
    """One number that is not finite."""

    def features(self, crops):
        return torch.full((len(crops), 1), torch.inf)


class Learns(Maps):
    """Knows nothing before its fit."""

    def fit(self, scene):
        super().fit(scene)


def test_every_judge_is_asked_once_before_anything_is_painted():
    data = DrawnFaces(identities=3, photos_per_identity=5)
    for wrong, words in ((Maps(), r"`Maps.features` must .* a tensor of \(2, 3, 128, 128\)"), (Norms(), "finite")):
        with pytest.raises(UserError, match=words):
            Judge(wrong).check(data)
    right = Colour()
    Judge(right).check(data)
    assert right.calls == 1
    learns = Learns()
    Judge(learns).check(data)
    assert learns.calls == 0
