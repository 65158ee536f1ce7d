"""The ONNX judge: its file, its statistics, and real faces against an independent calculation."""

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.metrics import roc_curve

from privacy_exp.data.celeba import CelebA
from privacy_exp.evaluation.judges.embedder import embed_batches
from privacy_exp.evaluation.judges.onnx import OnnxEmbedder
from privacy_exp.evaluation.verification import accept_rate, equal_error_rate, genuine_pairs, thresholds
from privacy_exp.recognition.alignment import arcface_points
from tests.recognition.test_onnx import graph


def embed(path, images, points=None, **keys):
    embedder = OnnxEmbedder(path, image_size=16, **keys)
    points = arcface_points(16) if points is None else points
    return embedder.features(embedder.prepare(images, points.expand(len(images), 5, 2)))


def test_it_computes_what_onnxruntime_computes(tmp_path):
    path = graph(tmp_path / "tiny.onnx")
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = embed(path, images, mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])  # the template's own place: no warp
    session = onnxruntime.InferenceSession(str(path))
    expected = session.run(None, {"in": (images * 2 - 1).numpy()})[0]
    np.testing.assert_allclose(plain.numpy(), expected, rtol=1e-4, atol=1e-5)
    turned = embed(path, images.flip(1), mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5], channels="bgr")
    torch.testing.assert_close(turned, plain)


def test_a_graph_of_one_face_at_a_time_takes_any_batch(tmp_path):
    one, many = (graph(tmp_path / f"{name}.onnx", shape) for name, shape in (
        ("one", (1, 3, 16, 16)), ("many", ("batch", 3, 16, 16))))  # fmt: skip
    images = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(embed(one, images), embed(many, images))


@pytest.mark.parametrize(
    ("make", "keys", "words"),
    [
        (lambda p: None, {}, r"`judge.onnx.embedder.model` must be an ONNX file.*FACE_ONNX"),
        (lambda p: p.write_bytes(b"<html>"), {}, "not an ONNX model"),
        (lambda p: graph(p, ("batch", 1, 16, 16)), {}, "batch x 3 x height x width"),
        (graph, {"image_size": 32}, "`image_size` must be the graph's own 16 x 16, but got 32"),
        (graph, {"channels": "grey"}, "`channels` must be rgb or bgr"),
        (graph, {"provider": "tpu"}, "`provider` must be one of cpu"),
        (graph, {"template": [[1.0, 2.0]]}, "`template` must be five points"),
    ],
)
def test_what_cannot_be_a_judge_is_refused(tmp_path, make, keys, words):
    path = tmp_path / "some.onnx"
    make(path)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        OnnxEmbedder(path, **{"image_size": 16, **keys})


def test_fields_follow_the_bytes_not_the_path(tmp_path):
    one, two = graph(tmp_path / "one.onnx"), graph(tmp_path / "two.onnx")
    assert OnnxEmbedder(one, 16).fields() == OnnxEmbedder(two, 16).fields()
    assert OnnxEmbedder(one, 16).fields() != OnnxEmbedder(one, 16, channels="bgr").fields()


def test_real_faces_are_verified_as_scikit_learn_says(celeba_dev, face_onnx):
    data = CelebA(root=str(celeba_dev), split=[0, 0, 1], min_images_per_identity=1, max_identities=20)
    data.setup()
    embedder = OnnxEmbedder(face_onnx)
    embedder.face_points = {data.image_size: data.template()}
    seen = embed_batches(embedder, (faces.images for faces in data.batches("test", 32)), detect=False)
    who = np.array([data.identities.index(photo.identity) for photo in data.photos["test"]])
    i, j = np.triu_indices(len(who), 1)
    similarity, same = (seen.vectors[i] * seen.vectors[j]).sum(1), who[i] == who[j]
    far, tar, _ = roc_curve(same, similarity, drop_intermediate=False)
    threshold = thresholds(seen.vectors, who, [0.01])[0]
    measured = accept_rate(genuine_pairs(seen.vectors, seen.vectors, who), threshold, who).value
    assert measured == pytest.approx(np.interp(0.01, far, tar), abs=0.01)
    closest = np.argmin(np.abs(far - (1 - tar)))
    assert equal_error_rate(seen.vectors, who) == pytest.approx((far[closest] + 1 - tar[closest]) / 2, abs=0.01)
    assert measured > 0.9, "a judge that knows people"
