"""dlib's embedder, where the extra is installed."""

import importlib.util

import numpy as np
import pytest
import torch

from privacy_exp.data.celeba import CelebA
from privacy_exp.evaluation.judges import dlib
from privacy_exp.evaluation.judges.dlib import TEMPLATE, DlibEmbedder

needs_dlib = pytest.mark.skipif(
    importlib.util.find_spec("dlib") is None or importlib.util.find_spec("face_recognition_models") is None,
    reason="needs the extra dlib",
)


@needs_dlib
def test_it_is_dlibs_own_descriptor_and_knows_people(celeba_dev):
    import dlib as library

    data = CelebA(root=str(celeba_dev), split=[0, 0, 1], min_images_per_identity=1, max_identities=3, max_test_images=9)
    data.setup()
    faces = data.faces(data.photos["test"])
    embedder = DlibEmbedder()
    chips = embedder.prepare(faces.images, faces.landmarks)
    vectors = embedder.features(chips).numpy()
    own = library.face_recognition_model_v1(str(embedder.path)).compute_face_descriptor(chips[0].numpy())
    np.testing.assert_allclose(vectors[0], np.array(own), atol=1e-6)
    distance = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    same = faces.labels[:, None] == faces.labels[None]
    assert distance[same.numpy()].mean() < 0.6 < distance[~same.numpy()].mean(), "dlib's own threshold is 0.6"


@needs_dlib
def test_the_template_is_dlibs_mean_face(celeba_dev):
    """Chips cut by our five points lie where dlib's own landmarks put them, to within a few of 150 pixels."""
    import dlib as library

    embedder = DlibEmbedder()
    data = CelebA(root=str(celeba_dev), split=[0, 0, 1], min_images_per_identity=1, max_identities=3, max_test_images=9)
    data.setup()
    faces = data.faces(data.photos["test"])
    predictor = library.shape_predictor(str(embedder.path.parent / "shape_predictor_68_face_landmarks.dat"))
    pixels = (faces.images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    offsets = []
    for picture, chip in zip(pixels, embedder.prepare(faces.images, faces.landmarks).numpy(), strict=True):
        shape = predictor(picture, library.rectangle(30, 70, 150, 190))
        own = library.get_face_chip(picture, shape, size=150, padding=0.25)
        ours = predictor(chip, library.rectangle(15, 15, 135, 135))
        theirs = predictor(own, library.rectangle(15, 15, 135, 135))
        offsets.append([[ours.part(k).x - theirs.part(k).x, ours.part(k).y - theirs.part(k).y] for k in range(17, 68)])
    assert np.abs(np.mean(offsets, axis=(0, 1))).max() < 5, np.mean(offsets, axis=(0, 1))


def test_without_the_extra_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(dlib.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(ValueError, match=r"install the extra, `pip install privacy-exp\[dlib\]`"):
        DlibEmbedder()


@needs_dlib
def test_no_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`judge.dlib.embedder.model`.*nowhere"):
        DlibEmbedder(str(tmp_path / "nowhere.dat"))


def test_the_template_stands_in_the_chip():
    assert (torch.tensor(TEMPLATE) > 0).all()
    assert (torch.tensor(TEMPLATE) < 150).all()
