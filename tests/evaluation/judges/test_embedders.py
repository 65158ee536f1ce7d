"""What judges are made of and what they look at, with networks that a test chooses."""

import inspect
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from privacy_exp.cache.keys import file_digest
from privacy_exp.cache.store import Store
from privacy_exp.data.base import FaceData
from privacy_exp.data.photo import Photo
from privacy_exp.data.points import celeba_template
from privacy_exp.evaluation.judges import embedder, facenet, named
from privacy_exp.evaluation.judges.embedder import Embedded, Embedder, embed_batches, frame_templates, grey_pictures
from privacy_exp.evaluation.judges.facenet import FaceNetEmbedder
from privacy_exp.evaluation.judges.independent import IndependentEmbedder, _description
from privacy_exp.evaluation.judges.viewer import Viewer, _as_saved
from privacy_exp.evaluation.measure import Scene
from privacy_exp.recognition.alignment import align
from privacy_exp.recognition.detection import Detections
from privacy_exp.recognition.facenet import WEIGHTS
from privacy_exp.recognition.onnx import IMAGENET_MEAN, IMAGENET_STD
from privacy_exp.recognition.recipe import TRAINER, FitRecipe
from privacy_exp.recognition.resnet import SmallResNet
from privacy_exp.runs.folder import RunFolder, read_rgb
from privacy_exp.study.pairs import NoRecognizer
from privacy_exp.types import Faces, UserError
from tests.recognition.small import Colours, Small

POINTS = torch.tensor([[2.0, 2], [6, 2], [4, 4], [2, 6], [6, 6]])


class Flat(Embedder):
    """The pixels themselves; `shown` are the points it was given."""

    def __init__(self):
        self.shown = []

    def fields(self):
        return {}

    def prepare(self, images, landmarks):
        self.shown.append(landmarks)
        return images

    def features(self, crops):
        return crops.flatten(1)


class Known(FaceData):
    """As much of a data set as a judge asks for."""

    image_size = (8, 8)

    def __init__(self, **parts):
        self.images = parts
        self.people = {part: ["q", "p", "q"][: len(images)] for part, images in parts.items()}
        self.photos = {part: [Photo(f"{part}{i}", who) for i, who in enumerate(p)] for part, p in self.people.items()}

    identities = ("p", "q")

    def index(self):
        raise AssertionError("nobody asks")

    read = index

    def template(self):
        return POINTS

    def digest(self):
        return "d"

    def batches(self, part, batch_size=None):
        return [Faces([str(i)], one[None]) for i, one in enumerate(self.images[part])]


def folder_of(path, size=(8, 8)):
    folder = RunFolder(path / "run", "png")
    folder.save("original", ["a"], torch.tensor([0]), torch.rand(1, 3, *size))
    return folder


def scene_of(path, size=(8, 8), **keys):
    table = pd.DataFrame({"image_id": ["a"], "identity": ["p"], "label": [0]})
    return Scene(folder_of(path, size), table, ["p"], NoRecognizer(), Store(path / "store"), **keys)


@pytest.mark.parametrize(
    ("judge", "inside", "own", "defaults"),
    [
        (
            "OnnxJudge",
            "OnnxEmbedder",
            {"model": "m.onnx", "image_size": 96, "mean": (0.1,) * 3, "std": (0.2,) * 3, "channels": "bgr"},
            {"image_size": 112, "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "channels": "rgb"},
        ),
        ("DlibJudge", "DlibEmbedder", {"model": "w.dat"}, {"model": None}),
        ("FaceNetJudge", "FaceNetEmbedder", {"pretrained": "casia-webface"}, {"pretrained": "vggface2"}),
    ],
)
def test_a_named_judge_hands_its_arguments_on(monkeypatch, judge, inside, own, defaults):
    made = []
    monkeypatch.setattr(named, inside, lambda *given: (made.append(given), Flat())[1])
    found = getattr(named, judge)(**own, detect=False, gate=0.5, fars=(0.1,))
    assert made == [tuple(own.values())]
    assert (found.viewer.detect, found.gate, found.fars) == (False, 0.5, (0.1,))
    signature = inspect.signature(getattr(named, judge)).parameters
    known = {n: p.default for n, p in signature.items() if p.default is not p.empty}
    assert known == {**defaults, "detect": True, "gate": 0.9, "fars": (0.01, 0.001)}


def test_the_independent_judge_does_not_detect():
    judge = named.IndependentJudge()
    assert (judge.viewer.embedder.seed, judge.viewer.detect, judge.gate, judge.fars) == (
        1000,
        False,
        0.9,
        (0.01, 0.001),
    )
    other = named.IndependentJudge(3, 0.5, (0.1,))
    assert (other.viewer.embedder.seed, other.viewer.detect, other.gate, other.fars) == (3, False, 0.5, (0.1,))


def test_facenet_aligns_and_takes_the_trunk(monkeypatch, tmp_path):
    asked = []

    class Net(nn.Module):
        def for_people(self, count):
            asked.append(count)
            return self.train()

        def prepare(self, images):
            return images * 2 - 1

        def trunk(self, crops):
            assert torch.is_inference_mode_enabled()
            return crops.mean((2, 3))[:, :1].expand(-1, 512)

    class Release:
        @staticmethod
        def from_pretrained(name, image_size):
            asked.append((name, image_size))
            return Net()

    monkeypatch.setattr(facenet, "FaceNet", Release)
    made = FaceNetEmbedder()
    assert asked == [("vggface2", 160), 2]
    assert not made.net.training
    assert made.comes_trained
    assert made.fields() == {"facenet": WEIGHTS["vggface2"], "image_size": 160}
    small = FaceNetEmbedder("casia-webface", 16)
    assert asked[2:] == [("casia-webface", 16), 2]
    assert small.fields() == {"facenet": WEIGHTS["casia-webface"], "image_size": 16}
    images = torch.rand(2, 3, 8, 8)
    points = POINTS.expand(2, 5, 2)
    crops = small.prepare(images, points)
    torch.testing.assert_close(crops, align(images, points, 16) * 2 - 1)
    assert small.features(crops).shape == (2, 512)
    moved = []
    small.net.to = moved.append
    small.fit(scene_of(tmp_path, device=torch.device("meta")))
    assert moved == [torch.device("meta")]
    assert small.device == torch.device("meta")
    assert list(small.face_points) == [(8, 8)]


@pytest.fixture(scope="module")
def trainer():
    return partial(Trainer, **{**TRAINER, "enable_progress_bar": False})


def test_the_independent_net_is_fitted_once_without_the_validation_photos(trainer, tmp_path):
    data = Colours(people=3, photos_each=10, batch_size=8)
    data.setup()
    scene = scene_of(tmp_path, (20, 18), data=data)
    made = IndependentEmbedder(Small(), FitRecipe(max_epochs=2, lr=0.03), trainer, seed=4)
    with pytest.raises(RuntimeError, match="`fit` comes before"):
        made.features(torch.zeros(1, 3, 16, 16))
    made.fit(scene)
    again = IndependentEmbedder(Small(), FitRecipe(max_epochs=2, lr=0.03), trainer, seed=4)
    again.fit(scene)
    entries = [path for path in (tmp_path / "store" / "recognizer").iterdir() if path.is_dir()]
    assert len(entries) == 1, "the second time from the store"
    images = torch.rand(2, 3, 20, 18)
    both = [one.features(one.prepare(images, POINTS.expand(2, 5, 2))) for one in (made, again)]
    torch.testing.assert_close(*both)
    assert made.fields() == again.fields() != IndependentEmbedder(Small(), seed=5).fields()
    assert not made.recognizer.training
    assert made.recognizer.num_classes == 3
    assert made.face_points is not None
    assert data.photos["val"], "the data itself keeps them"
    assert (made.parts_seen, made.aligns) == (("train",), False)
    for place in (scene_of(tmp_path / "b"), scene_of(tmp_path / "c", data=Known(train=torch.zeros(0, 3, 8, 8)))):
        with pytest.raises(UserError, match="fitted to the run's training photos"):
            made.fit(place)


def test_the_independent_judges_own_net():
    made = IndependentEmbedder()
    expected = SmallResNet(image_size=64, blocks=(1, 1, 1, 1), scale=8.0)
    assert made.net.arguments == expected.arguments
    assert (made.module, made.seed) == (SmallResNet.recipe, 1000)
    assert made.trainer.keywords == TRAINER
    given = Small()
    assert IndependentEmbedder(given).net is given


def test_every_picture_has_the_template_of_its_own_size():
    flat = Flat()
    flat.face_points = {(8, 6): POINTS, (4, 6): POINTS * 2}
    seen = embed_batches(flat, [torch.rand(2, 3, 8, 6)], detect=False)
    assert flat.shown[0].equal(POINTS.expand(2, 5, 2))
    assert not seen.detected.any()
    assert np.allclose(np.linalg.norm(seen.vectors, axis=1), 1)
    embed_batches(flat, [torch.rand(1, 3, 4, 6)], detect=False)
    assert flat.shown[1].equal(POINTS[None] * 2)
    with pytest.raises(UserError, match="`batches` must hold pictures to embed, but holds none"):
        embed_batches(flat, [])


def test_pictures_of_no_length_or_number_are_failed():
    flat = Flat()
    flat.face_points = {(2, 2): POINTS}
    images = torch.rand(4, 3, 2, 2)
    images[1], images[2, 0, 0, 0] = 0, torch.inf
    seen = embed_batches(flat, [images[:2], images[2:]], detect=False)
    assert seen.failed.tolist() == [False, True, True, False]
    assert np.isnan(seen.vectors[1:3]).all()


def test_the_detector_runs_where_the_embedder_does(monkeypatch):
    asked = []

    def detect(images, device):
        asked.append(device)
        return Detections(torch.zeros(1, dtype=torch.bool), torch.zeros(1, 5, 2), torch.zeros(1, 4))

    monkeypatch.setattr(embedder, "detect_faces", detect)
    flat = Flat()
    flat.face_points = {(2, 2): POINTS}
    embed_batches(flat, [torch.rand(1, 3, 2, 2)])
    assert asked == [torch.device("cpu")]
    flat.__class__ = type("Blind", (Flat,), {"aligns": False})
    embed_batches(flat, [torch.rand(1, 3, 2, 2)])
    assert len(asked) == 1


def test_where_faces_lie_on_frames(tmp_path):
    data = Known()
    cut = torch.ones(5, 2)
    assert {k: v.tolist() for k, v in frame_templates(scene_of(tmp_path / "a", data=data)).items()} == {
        (8, 8): POINTS.tolist()
    }
    found = frame_templates(scene_of(tmp_path / "b", (6, 4), data=data, template=cut))
    assert {k: v.tolist() for k, v in found.items()} == {(8, 8): POINTS.tolist(), (6, 4): cut.tolist()}
    found = frame_templates(scene_of(tmp_path / "c", (6, 4)))
    assert {k: v.tolist() for k, v in found.items()} == {(6, 4): celeba_template(6, 4).tolist()}
    with pytest.raises(UserError, match=r"the run saved frames of \(6, 4\) .* photos of \(8, 8\)"):
        frame_templates(scene_of(tmp_path / "d", (6, 4), data=data))


def test_grey_pictures_differ_and_are_not_flat():
    pictures = grey_pictures(5)
    assert pictures[0, 1, 2].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7])
    assert pictures[1].equal(pictures[0].transpose(1, 2))


def test_an_embedder_is_tried_out_with_the_template_of_its_pictures():
    flat = Flat()
    flat.try_out()
    assert flat.shown[0].equal(celeba_template(128, 128).expand(2, 5, 2))


@pytest.mark.parametrize("image_format", ["jpg", "png"])
def test_photos_are_seen_as_a_run_would_have_saved_them(tmp_path, image_format):
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    batches = [Faces(["a", "b"], images[:2]), Faces(["c"], images[2:])]
    names, seen = zip(*_as_saved(batches, image_format), strict=True)
    assert [len(batch) for batch in seen] == [2, 1]
    folder = RunFolder(tmp_path, image_format)
    folder.save("original", ["a", "b", "c"], None, images)
    paths = [path for path, _ in folder.list("original").values()]
    saved = [read_rgb(path) for path in paths]
    assert [name for batch in names for name in batch] == [file_digest(path) for path in paths]
    assert torch.cat(seen).equal(torch.from_numpy(np.stack(saved)).permute(0, 3, 1, 2).float() / 255)


def test_impostors_are_all_originals_that_can_be_embedded(tmp_path):
    """By hand: the test photo, then the train photos, then validation's; people by the data's own numbers."""
    images = {"train": torch.rand(2, 3, 8, 8), "val": torch.rand(1, 3, 8, 8)}
    images["train"][1] = 0  # of no length: no impostor
    scene = scene_of(tmp_path, config={"image_format": "png"}, data=Known(**images))
    flat = Flat()
    flat.fit(scene)
    viewer = Viewer(flat, detect=False)
    assert Viewer(flat) == Viewer(flat, True, 32)
    clean = viewer.originals(scene)
    assert isinstance(clean, Embedded)
    vectors, labels = viewer.impostors(scene, clean, np.array([0]))
    assert labels.tolist() == [0, 1, 1]
    assert labels.dtype == np.array([0]).dtype
    expected = [next(_as_saved([Faces(["x"], images[part][:1])], "png"))[1].flatten() for part in images]
    for row, one in zip(vectors[1:], expected, strict=True):
        np.testing.assert_allclose(row, one / one.norm(), atol=1e-6)
    np.testing.assert_array_equal(vectors[0], clean.vectors[0])
    alone, _ = viewer.impostors(scene_of(tmp_path / "b"), clean, np.array([0]))
    np.testing.assert_array_equal(alone, clean.vectors)


def test_a_trainer_is_described_by_what_is_called_and_with_what():
    assert _description(partial(dict, devices=1)) == {"_target_": "builtins.dict", "devices": 1}
