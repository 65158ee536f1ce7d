"""Photos that look unaligned are told from those that do not: at every edge, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from privacy_exp.data.base import FaceData
from privacy_exp.data.photo import Photo
from privacy_exp.evaluation import aligned
from privacy_exp.evaluation.aligned import PHOTOS, SPREAD, spread, unaligned

FACE = np.array([[0.0, 0], [10, 0], [5, 5], [2, 9], [8, 9]])


class Data(FaceData):
    """Test photos with these landmarks, None where a photo has none; each is as bright as its number."""

    def __init__(self, points):
        known = [None if p is None else tuple((float(x), float(y)) for x, y in p) for p in points]
        photos = [Photo(str(i), f"p{i}", landmarks=p) for i, p in enumerate(known)]
        self.photos = {"train": [], "val": [], "test": photos}

    def index(self):
        raise AssertionError("nobody asks")

    def read(self, photo):
        return np.full((4, 6, 3), int(photo.id), np.uint8)


def test_how_far_faces_lie_apart():
    for shift, words in ((7.9, None), (8.1, "faces lie 0.4 inter-ocular distances apart from photo to photo")):
        said = unaligned(
            Data([FACE, FACE + np.array([shift, 0])])
        )  # each is half of it from the mean face, eyes 10 apart
        assert said is None if words is None else words in said
    assert unaligned(Data([FACE, FACE + np.array([0, 30])])).count("1.5") == 1
    assert unaligned(Data([FACE])) is unaligned(Data([])) is None, "one photo says nothing"
    assert (SPREAD, PHOTOS) == (0.4, 24)
    assert spread(np.stack([FACE * 0, FACE * 0])) == 0, "no distance between the eyes"


def test_as_many_photos_are_looked_at_as_stated_and_all_along(monkeypatch):
    looked = []
    real = aligned._points
    monkeypatch.setattr(
        aligned, "_points", lambda data, some: (looked.append([p.id for p in some]), real(data, some))[1]
    )
    unaligned(Data([FACE] * 231))
    unaligned(Data([FACE] * 3))
    assert looked == [[str(10 * i) for i in range(24)], ["0", "1", "2"]]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([True, True, False, False], None),
        ([True, False, False, False], "no face was found in 3 of 4 photos"),
        ([False] * 4, "no face was found in 4 of 4 photos"),
    ],
)
def test_photos_without_landmarks_are_looked_at(monkeypatch, found, words):
    seen = []

    def detect(images):
        seen.append(images)
        points = torch.from_numpy(np.stack([FACE] * 4)).float()
        return SimpleNamespace(found=torch.tensor(found), landmarks=points)

    monkeypatch.setattr(aligned, "detect_faces", detect)
    said = unaligned(Data([FACE, None, FACE, FACE]))
    assert said is None if words is None else words in said
    (images,) = seen
    assert images.shape == (4, 3, 4, 6)
    assert torch.allclose(images[:, 0, 0, 0] * 255, torch.arange(4.0))
