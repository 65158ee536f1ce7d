"""Embeddings and the impostors behind thresholds are stored by all that decides them, field by field."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_exp.cache import sources as code
from privacy_exp.cache.keys import content_key
from privacy_exp.cache.store import Store
from privacy_exp.evaluation.judges.embedder import Embedded, Embedder
from privacy_exp.evaluation.judges.viewer import Viewer
from privacy_exp.evaluation.measure import Scene
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.pairs import NoRecognizer
from privacy_exp.types import Faces
from tests.dropping import idle


class Eye(Embedder):
    """Sees nothing; only its key matters here."""

    parts_seen = ()

    def __init__(self, weights: str = "a") -> None:
        self.weights = weights

    def fields(self):
        return {"weights": self.weights}

    def prepare(self, images, landmarks):
        return images

    def features(self, crops):
        return crops.flatten(1)


class OtherEye(Eye):
    """The same key, other code."""


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """The keys under which a viewer looks for the originals, and for the train and validation photos."""

    def keys_of(eye=None, detect=True, pixel=0, image_format="png", digest="d", template=None, parts=("train", "val")):
        folder = RunFolder(tmp_path / f"run{pixel}", "png")
        image = torch.zeros(1, 3, 8, 8)
        image[0, 0, 0, 0] = pixel / 255
        folder.save("original", ["p0"], torch.tensor([0]), image)
        asked: dict[str, str] = {}
        keys_of.fields = {}

        def fetch(kind, fields, compute):
            asked[fields.get("part", "test")] = content_key({"kind": kind, **fields})
            keys_of.fields[fields.get("part", "test")] = fields
            np.savez(tmp_path / "embeddings.npz", vectors=np.ones((1, 4), np.float32), detected=np.ones(1, bool))
            return tmp_path, True

        store = Store(tmp_path / "store")
        monkeypatch.setattr(store, "fetch", fetch)
        monkeypatch.setattr(
            "privacy_exp.evaluation.judges.viewer.frame_templates",
            lambda scene: {(8, 8): torch.zeros(5, 2) if template is None else template},
        )
        table = pd.DataFrame({"image_id": ["p0"], "identity": ["a"], "label": [0]})
        scene = Scene(folder, table, ["a"], NoRecognizer(), store, config={"image_format": image_format})
        data = SimpleNamespace(
            digest=lambda: digest,
            photos={part: [SimpleNamespace(identity="a")] for part in parts},
            batches=lambda part, size: iter([Faces(["p"], image)]),
            identities=["a"],
        )
        monkeypatch.setattr(Scene, "data", data)
        scene = dataclasses.replace(scene)
        object.__setattr__(scene, "data", data)
        viewer = Viewer(eye or Eye(), detect)
        clean = viewer.originals(scene)
        assert isinstance(clean, Embedded)
        viewer.impostors(scene, clean, np.zeros(1, int))
        return asked

    yield keys_of
    code._digest.cache_clear()


ALL = {
    "the embedder": {"eye": Eye("b")},
    "its code": {"eye": OtherEye()},
    "detection": {"detect": False},
    "where faces lie": {"template": torch.ones(5, 2)},
}


@pytest.mark.parametrize("changes", ALL.values(), ids=ALL)
def test_every_embedding_moves_with(keys, changes):
    before, after = keys(), keys(**changes)
    assert set(before) == set(after) == {"test", "train", "val"}
    assert all(before[part] != after[part] for part in before)


def test_each_field_dropped_makes_two_embeddings_collide(keys):
    seen = []
    for changes in ({}, *ALL.values(), {"pixel": 200}, {"image_format": "jpg"}, {"digest": "others"}):
        keys(**changes)
        seen.append(keys.fields)
    originals = [one["test"] for one in seen]
    assert idle(originals[0], [one for one in originals[1:] if one != originals[0]]) == set()
    train = [*(one["train"] for one in seen), seen[0]["val"]]
    assert idle(train[0], [one for one in train[1:] if one != train[0]]) == {"reader"}, "one data set alone here"


def test_the_originals_move_with_their_pixels(keys):
    assert keys()["test"] != keys(pixel=200)["test"]


@pytest.mark.parametrize("changes", [{"image_format": "jpg"}, {"digest": "others"}], ids=["format", "photos"])
def test_impostors_move_with(keys, changes):
    before, after = keys(), keys(**changes)
    assert all(before[part] != after[part] for part in ("train", "val"))
    assert before["test"] == after["test"], "the saved pictures tell themselves"


def test_the_parts_are_told_apart(keys):
    found = keys()
    assert len(set(found.values())) == 3


def test_photos_that_the_judge_was_trained_on_are_no_impostors(keys, monkeypatch):
    monkeypatch.setattr(Eye, "parts_seen", ("train",))
    assert set(keys()) == {"test", "val"}


def test_impostors_move_with_the_code_that_looks(keys, monkeypatch):
    before, known = keys(), code._code
    path = code._file("privacy_exp.evaluation.judges.embedder")
    monkeypatch.setattr(code, "_code", lambda p: "edited" if p == path else known(p))
    code._digest.cache_clear()
    assert all(before[part] != after for part, after in keys().items())
