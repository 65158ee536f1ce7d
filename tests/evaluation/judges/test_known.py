"""What an embedder saw of a photo is known wherever the photo turns up again: in another cell, fold or study."""

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_exp.cache.store import Store
from privacy_exp.evaluation.judges import embedder as embedders
from privacy_exp.evaluation.judges.embedder import Embedder, embed_batches
from privacy_exp.evaluation.judges.known import KnownFaces
from privacy_exp.evaluation.judges.viewer import Viewer
from privacy_exp.evaluation.measure import Scene
from privacy_exp.evaluation.utility import detection as measure
from privacy_exp.evaluation.utility.detection import Detection
from privacy_exp.recognition import detection
from privacy_exp.recognition.detection import Detections
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.pairs import NoRecognizer

SIZE = (8, 8)


class Counting(Embedder):
    """Sees each pixel, and where the face lies; counts the pictures that it is asked about."""

    parts_seen = ()

    def __init__(self, template: float = 0.0, weights: str = "a") -> None:
        self.face_points = {SIZE: torch.full((5, 2), template)}
        self.weights, self.seen = weights, 0

    def fit(self, scene):
        pass

    def fields(self):
        return {"weights": self.weights}

    def prepare(self, images, landmarks):
        return torch.cat([images.flatten(1), landmarks.flatten(1), torch.ones(len(images), 1)], dim=1)

    def features(self, crops):
        self.seen += len(crops)
        return crops


@pytest.fixture
def looked(monkeypatch):
    """Stands in for MTCNN: a face in every bright picture. How many pictures it was shown."""
    shown = []

    def detect(images, device="cpu", batch_size=32):
        shown.append(len(images))
        found = images.mean((1, 2, 3)) > 0.5
        points = torch.where(found[:, None, None], torch.full((len(images), 5, 2), 3.0), torch.tensor(0.0))
        return Detections(found, points, torch.zeros(len(images), 4))

    for module in (detection, embedders, measure):
        monkeypatch.setattr(module, "detect_faces", detect)
    return shown


def pictures(count=6):
    images = torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(0)) / 3
    images[::2] += 2 / 3
    return [f"{i:064x}" for i in range(count)], images


def test_each_photo_is_embedded_once_in_whatever_company(tmp_path, looked):
    names, images = pictures()
    first = Counting()
    whole = KnownFaces(Store(tmp_path), first, detect=True)(names, images)
    plain = embed_batches(Counting(), [images])
    assert np.array_equal(whole.vectors, plain.vectors)
    assert whole.detected.tolist() == plain.detected.tolist() == [True, False] * 3
    looked.clear()
    again = Counting()
    some = KnownFaces(Store(tmp_path), again, detect=True)([names[4], names[1]], images[[4, 1]])
    assert np.array_equal(some.vectors, whole.vectors[[4, 1]])
    assert some.detected.tolist() == [True, False]
    assert (first.seen, again.seen, looked) == (6, 0, [])


def test_other_peoples_template_moves_those_alone_in_which_no_face_was_found(tmp_path, looked):
    names, images = pictures()
    before = KnownFaces(Store(tmp_path), Counting(), detect=True)(names, images)
    other = Counting(template=1.0)
    found = KnownFaces(Store(tmp_path), other, detect=True)
    assert np.array_equal(found(names[::2], images[::2]).vectors, before.vectors[::2])
    assert other.seen == 0
    assert not np.isclose(found(names[1::2], images[1::2]).vectors, before.vectors[1::2]).all(1).any()
    assert other.seen == 3


@pytest.mark.parametrize("changes", [{"detect": False}, {"embedder": Counting(weights="b")}], ids=["detect", "weights"])
def test_what_else_decides_an_embedding_is_not_mixed_up(tmp_path, looked, changes):
    names, images = pictures()
    KnownFaces(Store(tmp_path), Counting(), detect=True)(names, images)
    asked = {"embedder": Counting(), "detect": True, **changes}
    seen = KnownFaces(Store(tmp_path), **asked)(names[:1], images[:1])
    assert asked["embedder"].seen == 1
    assert seen.detected.tolist() == [asked["detect"]]


def scene(tmp_path, name, ids, rows):
    _, images = pictures()
    folder = RunFolder(tmp_path / name, "png")
    for kind in ("original", "results"):
        folder.save(kind, ids, torch.zeros(len(ids), dtype=torch.long), images[rows])
    table = pd.DataFrame({"image_id": ids, "identity": "a", "label": 0})
    return Scene(folder, table, ["a"], NoRecognizer(), Store(tmp_path / "store"))


def test_two_studies_that_share_photos_share_what_a_judge_saw(tmp_path, looked, monkeypatch):
    monkeypatch.setattr("privacy_exp.evaluation.judges.viewer.frame_templates", lambda scene: {SIZE: torch.zeros(5, 2)})
    one, other = Counting(), Counting()
    all_of_them = Viewer(one).originals(scene(tmp_path, "one", list("abcdef"), slice(0, 6)))
    some = Viewer(other).originals(scene(tmp_path, "other", list("xyz"), [5, 0, 3]))
    assert (one.seen, other.seen) == (6, 0)
    assert np.array_equal(some.vectors, all_of_them.vectors[[5, 0, 3]])


def test_a_face_is_looked_for_once_on_an_original_and_in_each_result(tmp_path, looked):
    figures = [
        Detection(batch_size=4).measure(scene(tmp_path, n, list("abcdef"), slice(0, 6)), "utility/d") for n in "12"
    ]
    assert looked == [4, 4, 2, 2, 4, 2], "original and result of each batch, then the results alone"
    assert figures[0].metrics == figures[1].metrics
    assert figures[0].metrics["utility/detection_rate_original"].value == 0.5
