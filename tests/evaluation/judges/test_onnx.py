"""The ONNX judge: its file, its statistics, and real faces against an independent calculation."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import roc_curve

from privacy_exp.data.celeba import CelebA
from privacy_exp.evaluation.judges.embedder import embed_batches
from privacy_exp.evaluation.judges.onnx import OnnxEmbedder
from privacy_exp.evaluation.verification import accept_rate, equal_error_rate, genuine_pairs, thresholds
from privacy_exp.recognition.alignment import arcface_points
from privacy_exp.recognition.onnx import OnnxRecognizer
from privacy_exp.types import UserError
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


def other_kind(path, dtype=TensorProto.FLOAT, last=False, outputs=("vector",), numbers=16):
    """A convolution, a mean over the map, a vector: of any type, channels last, with its norm beside it."""
    inside = TensorProto.FLOAT16 if dtype == TensorProto.FLOAT16 else TensorProto.FLOAT
    weight = np.random.default_rng(0).normal(size=(numbers, 3, 3, 3)).astype(helper.tensor_dtype_to_np_dtype(inside))
    nodes = [
        helper.make_node("Cast", ["in"], ["cast"], to=inside),
        helper.make_node("Transpose", ["cast"], ["turned"], perm=[0, 3, 1, 2] if last else [0, 1, 2, 3]),
        helper.make_node("Conv", ["turned", "w"], ["map"], strides=[4, 4]),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["vector"]),
        helper.make_node("ReduceL2", ["vector"], ["norm"], axes=[1]),
    ]
    shape = ("n", 16, 16, 3) if last else ("n", 3, 16, 16)
    given = [helper.make_tensor_value_info("in", dtype, shape)]
    made = [helper.make_tensor_value_info(name, inside, None) for name in outputs]
    whole = helper.make_graph(nodes, "other", given, made, [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(whole, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


BYTES = {"mean": [0, 0, 0], "std": [1 / 255] * 3}


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ({"dtype": TensorProto.FLOAT16}, {}),
        ({"dtype": TensorProto.DOUBLE}, {}),
        ({"last": True}, {}),
        ({"dtype": TensorProto.UINT8}, BYTES),
        ({"outputs": ("norm", "vector")}, {"output": "vector"}),
    ],
    ids=["half", "double", "channels last", "bytes", "two outputs"],
)
def test_graphs_of_other_kinds_are_fed_as_they_want(tmp_path, kind, keys):
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = {name: value for name, value in keys.items() if name != "output"}
    expected = embed(other_kind(tmp_path / "plain.onnx"), images, **plain)
    found = embed(other_kind(tmp_path / "other.onnx", **kind), images, **keys)
    torch.testing.assert_close(found, expected, atol=0.02 * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize(
    ("kind", "keys", "words"),
    [
        ({"dtype": TensorProto.UINT8}, {}, r"whole numbers of 0 to 255 .*set `mean` to \[0, 0, 0\] and `std`"),
        ({"outputs": ("norm", "vector")}, {}, r"norm of \(2, 1\), vector of \(2, 16\).*embedder.output=vector"),
        ({"outputs": ("norm", "vector")}, {"output": "map"}, r"`output` must be one of .*but got 'map'"),
        ({"outputs": ("norm",)}, {}, r"gives norm of \(2, 1\) for 2 grey pictures: .* at least 8 numbers"),
        ({"numbers": 7}, {}, "at least 8 numbers"),
        ({"dtype": TensorProto.FLOAT16}, {"std": [1e-9] * 3}, "NaN or infinite numbers for grey pictures"),
        ({"dtype": TensorProto.INT32}, {}, r"takes tensor\(int32\); a graph may take tensor\(float\), "),
    ],
)
def test_a_graph_that_cannot_be_fed_is_refused_when_it_is_built(tmp_path, kind, keys, words):
    path = tmp_path / "other.onnx"
    other_kind(path, **kind)
    with pytest.raises(UserError, match=words):
        OnnxEmbedder(path, **{"image_size": 16, **keys})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ({"dtype": TensorProto.FLOAT16}, "the graph takes float16, but gradients need one that takes float"),
        ({"dtype": TensorProto.UINT8}, "the graph takes uint8"),
        ({"last": True}, r"batch x 3 x height x width, but got in: \[0, 16, 16, 3\]"),
        ({"outputs": ("norm", "vector")}, r"the graph gives norm, vector: which of them is the embedding\?"),
    ],
)
def test_a_recogniser_says_what_it_cannot_be_fed_with(tmp_path, kind, words):
    path = other_kind(tmp_path / "other.onnx", **kind)
    with pytest.raises(UserError, match=words):
        OnnxRecognizer(str(path), image_size=16, align=False).for_people(3)


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
