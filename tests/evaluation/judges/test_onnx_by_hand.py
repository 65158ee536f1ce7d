"""An ONNX judge around its session, which is written by hand: shapes, types, batches and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from privacy_exp.evaluation.judges import onnx_graph
from privacy_exp.evaluation.judges.embedder import grey_pictures
from privacy_exp.evaluation.judges.onnx import OnnxEmbedder
from privacy_exp.recognition.alignment import arcface_points, similarity, warp
from privacy_exp.types import UserError


class Session(onnx_graph.onnxruntime.InferenceSession):
    """One input, and outputs by name: each a function of what is fed."""

    def __init__(self, shape=(None, 3, 16, 16), kind="tensor(float)", **outputs):
        self.inputs = [SimpleNamespace(name="data", shape=list(shape), type=kind)]
        self.outputs = outputs or {"out": lambda fed: fed.reshape(len(fed), -1)[:, :12]}
        self.fed, self.asked = [], []

    def get_inputs(self):
        return self.inputs

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in self.outputs]

    def run(self, names, fed):
        self.fed.append(fed["data"])
        self.asked.append(names)
        return [self.outputs[name](fed["data"]) for name in names or self.outputs]


@pytest.fixture
def judge(monkeypatch, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"graph")

    def make(session, **keys):
        monkeypatch.setattr(onnx_graph, "_session", lambda path, provider, key: session)
        return OnnxEmbedder(tmp_path / "m.onnx", **{"image_size": 16, "mean": [0] * 3, "std": [1] * 3, **keys})

    return make


def says(words):
    return pytest.raises(UserError, match=words)


def test_two_grey_pictures_are_normalised_and_shown_at_once(judge):
    session = Session()
    own = judge(session, mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 2])
    expected = (grey_pictures(16) - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.25, 2]).view(
        3, 1, 1
    )
    np.testing.assert_allclose(session.fed[0], expected, rtol=1e-5)
    assert session.asked == [None]
    assert (own.output, own.asked, own.graph.input) == ("out", None, ("data", None, torch.float32, False))
    assert "output" not in own.fields()
    assert own.fields().keys() == {"onnx", "image_size", "mean", "std", "channels", "template"}
    assert own.template.equal(arcface_points(16))
    one = Session(shape=(1, 3, 16, 16))
    judge(one)
    assert one.fed[0].shape == (1, 3, 16, 16)


def test_crops_are_warped_normalised_and_turned(judge):
    images = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    points = (arcface_points(16) + torch.tensor([2.0, 3.0])).expand(2, 5, 2)
    own = judge(Session(), mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 2])
    pixels = warp(images, similarity(points, arcface_points(16).expand(2, 5, 2)), (16, 16))
    expected = (pixels - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.25, 2]).view(3, 1, 1)
    torch.testing.assert_close(own.prepare(images, points), expected)
    bgr = judge(Session(), mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 2], channels="bgr")
    torch.testing.assert_close(bgr.prepare(images, points), expected.flip(1))
    template = (arcface_points(16) * 0.9).tolist()
    assert judge(Session(), template=template).fields()["template"] == pytest.approx(np.array(template))
    with says("`channels` must be rgb or bgr, but got 'gbr'"):
        judge(Session(), channels="gbr")
    with says(r"`template` must be five points \(x, y\), but got \(4, 2\) numbers"):
        judge(Session(), template=template[:4])


def test_a_fixed_batch_is_filled_up(judge):
    session = Session(shape=(2, 3, 16, 16))
    own = judge(session)
    session.fed.clear()
    crops = torch.rand(3, 3, 16, 16)
    found = own.features(crops)
    torch.testing.assert_close(found, crops.flatten(1)[:, :12])
    assert [len(fed) for fed in session.fed] == [2, 2]
    assert not session.fed[1][1].any()
    assert session.asked[1:] == [["out"], ["out"]]
    free = Session()
    own = judge(free)
    own.features(crops)
    assert [len(fed) for fed in free.fed] == [2, 3]
    for out in (lambda fed: fed[:2].reshape(2, -1), lambda fed: fed.reshape(len(fed), 3, -1)):
        free.outputs = {"out": out}
        with says(r"m\.onnx gives \(.*\) for 3 faces, not a (row|vector) for each"):
            own.features(crops)


def test_types_and_the_place_of_channels(judge):
    session = Session(shape=("n", 16, 16, 3), kind="tensor(float16)")
    own = judge(session)
    assert own.graph.input == ("data", None, torch.float16, True)
    crops = torch.rand(2, 3, 16, 16)
    found = own.features(crops)
    assert session.fed[-1].dtype == np.float16
    np.testing.assert_allclose(session.fed[-1], crops.permute(0, 2, 3, 1), atol=1e-3)
    assert found.dtype == torch.float32
    assert judge(Session(kind="tensor(double)")).graph.input.dtype == torch.float64
    whole = Session(kind="tensor(uint8)")
    own = judge(whole, std=[1 / 255] * 3)
    own.features(torch.tensor([-3.0, 0.4, 0.6, 300]).repeat(192).view(1, 3, 16, 16))
    assert whole.fed[-1].ravel()[:4].tolist() == [0, 0, 1, 255]
    assert whole.fed[-1].dtype == np.uint8
    for wrong in ({"std": [1 / 255] * 3, "mean": [0, 0, 0.1]}, {"std": [1 / 255, 1 / 255, 1 / 250]}, {"std": [1] * 3}):
        with says(r"takes whole numbers of 0 to 255 \(uint8\) and scales them itself"):
            judge(Session(kind="tensor(uint8)"), **wrong)
    with says(r"takes tensor\(int64\); a graph may take tensor\(float\)"):
        judge(Session(kind="tensor(int64)"))


@pytest.mark.parametrize(
    ("shape", "last"),
    [((None, 3, 16, 16), False), ((4, "c", "h", "w"), False), ((4, 16, 16, 3), True), ((1, "h", "w", 3), True)],
)
def test_shapes_that_are_taken(judge, shape, last):
    assert judge(Session(shape=shape)).graph.input[1:] == (
        shape[0] if isinstance(shape[0], int) else None,
        torch.float32,
        last,
    )


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((None, 3, 16), "must take one input of shape batch x 3 x height x width, but takes"),
        ((None, 1, 16, 16), "must take one input of shape"),
        ((None, 16, 16, 4), "must take one input of shape"),
        ((None, 3, 32, 32), "`image_size` must be the graph's own 32 x 32, but got 16"),
        ((None, 3, 16, 17), "`image_size` must be the graph's own 16 x 17, but got 16"),
        ((None, 32, 16, 3), "`image_size` must be the graph's own 32 x 16, but got 16"),
    ],
)
def test_shapes_that_are_refused(judge, shape, words):
    with says(words):
        judge(Session(shape=shape))


def test_two_inputs_are_refused(judge):
    session = Session()
    session.inputs *= 2
    with says("must take one input"):
        judge(session)


def rows(count, value=1.0):
    return lambda fed: np.full((len(fed), count), value, np.float32)


def test_one_of_several_outputs_is_named(judge):
    both = {"norm": rows(1), "vector": rows(8)}
    with says(r"several outputs.*norm of \(2, 1\), vector of \(2, 8\).*judge\.onnx\.embedder\.output=vector\."):
        judge(Session(**both))
    own = judge(Session(**both), output="vector")
    assert (own.output, own.fields()["output"]) == ("vector", "vector")
    assert judge(Session(vector=rows(8)), output="vector").output == "vector"
    with says(r"`output` must be one of the outputs of .*norm of \(2, 1\), vector of \(2, 8\), but got 'x'"):
        judge(Session(**both), output="x")


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (rows(7), r"gives out of \(2, 7\) for 2 grey pictures: a face embedder gives one vector of at least 8 numbers"),
        (lambda fed: np.ones((1, 8), np.float32), r"gives out of \(1, 8\) for 2 grey pictures"),
        (lambda fed: np.ones((2, 8, 1), np.float32), r"gives out of \(2, 8, 1\) for 2 grey pictures"),
        (rows(8, np.nan), "gives NaN or infinite numbers for grey pictures"),
        (rows(8, np.inf), "gives NaN or infinite numbers for grey pictures"),
        (lambda fed: 1 / 0, "cannot be asked about two grey pictures: division by zero"),
    ],
)
def test_what_is_no_embedding_is_refused(judge, out, words):
    with says(words):
        judge(Session(out=out))


def test_a_provider_is_one_that_is_there(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_graph.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    made, session = [], Session()
    monkeypatch.setattr(onnx_graph.onnxruntime, "InferenceSession", lambda *a, **k: made.append((a, k)) or session)
    with pytest.raises(
        FileNotFoundError, match=r"`judge\.onnx\.embedder\.model` must be an ONNX file, but '.*x' is none"
    ):
        onnx_graph._session(tmp_path / "x", "cpu", "judge.onnx.embedder")
    path = tmp_path / "m"
    path.touch()
    onnx_graph._session(path, "cpu", "judge.onnx.embedder")
    (where, options), keys = made[0]
    assert where == str(path)
    assert keys == {"providers": ["CPUExecutionProvider"]}
    assert (options.intra_op_num_threads, options.log_severity_level) == (torch.get_num_threads(), 3)
    for other in ("cuda", "tpu"):
        with says(f"`provider` must be one of cpu with this onnxruntime, but got '{other}'"):
            onnx_graph._session(path, other, "judge.onnx.embedder")
