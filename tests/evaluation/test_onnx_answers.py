"""A model's answers before and after, counted by hand; the graph itself is written out."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_exp.cache.store import Store
from privacy_exp.evaluation.judges import onnx_graph
from privacy_exp.evaluation.measure import Scene
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.evaluation.utility.onnx import OnnxUtility
from privacy_exp.evaluation.utility.pictures import mean_of_present
from privacy_exp.recognition.base import cover
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import UserError
from tests.evaluation.attackers.fakes import ByColour

PEOPLE = np.array(["p", "p", "q"])


class Session(onnx_graph.onnxruntime.InferenceSession):
    """The means of the three channels, or a row of them times ten."""

    def __init__(self, **outputs):
        self.outputs, self.fed = outputs or {"out": lambda fed: fed.mean((2, 3))}, []

    def get_inputs(self):
        return [SimpleNamespace(name="data", shape=[None, 3, 8, 8], type="tensor(float)")]

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in self.outputs]

    def run(self, names, fed):
        self.fed.append(fed["data"])
        return [self.outputs[name](fed["data"]) for name in names or self.outputs]


@pytest.fixture
def make(monkeypatch, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"graph")

    def made(session=None, **keys):
        monkeypatch.setattr(onnx_graph, "_session", lambda path, provider, key: session or Session())
        plain = {"image_size": 8, "mean": [0] * 3, "std": [1] * 3}
        return OnnxUtility(tmp_path / "m.onnx", **{**plain, **keys})

    return made


@pytest.fixture
def scene(tmp_path):
    """Three pictures: red stays red, green turns blue, and grey turns a little brighter."""
    folder = RunFolder(tmp_path / "run", "png")
    before = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.4, 0.2, 0.2]])
    after = torch.tensor([[0.6, 0, 0], [0, 0, 1], [0.6, 0.4, 0.4]])
    for kind, colours in (("original", before), ("results", after)):
        folder.save(kind, list("abc"), torch.tensor([0, 0, 1]), colours[:, :, None, None].expand(3, 3, 12, 10))
    table = pd.DataFrame({"image_id": list("abc"), "identity": PEOPLE})
    return Scene(folder, table, ["p", "q"], ByColour(2), Store(tmp_path / "store"))


def test_classes_agree_or_do_not(make, scene):
    found = make(licence="MIT", batch_size=2).measure(scene, "utility/age")
    same = np.array([True, False, True])
    assert found.metrics == {"utility/age/agreement": clustered_rate(same, PEOPLE)}
    assert {name: column.tolist() for name, column in found.columns.items()} == {"utility/age/same": same.tolist()}
    assert {key: found.details[key] for key in ("task", "output", "licence")} == {
        "task": "classification",
        "output": "out",
        "licence": "MIT",
    }
    assert {"onnx", "image_size", "mean", "std", "channels"} <= found.details.keys()


def test_numbers_differ_by_so_much(make, scene):
    found = make(task="regression").measure(scene, "utility/age")
    error = np.array([0.4 / 3, 2 / 3, 0.2])
    np.testing.assert_allclose(found.columns["utility/age/error"], error, atol=1e-6)
    assert found.metrics == {"utility/age/error": mean_of_present(found.columns["utility/age/error"], PEOPLE, "")}
    assert found.details["licence"] is None
    flat = Session(out=lambda fed: fed.mean((1, 2, 3)))
    single = make(flat, task="regression").measure(scene, "utility/age")
    np.testing.assert_allclose(single.columns["utility/age/error"], [0.4 / 3, 0, 0.2], atol=1e-6)


def test_a_model_sees_the_frame_covered_and_normalised(make, scene):
    session = Session()
    own = make(session, mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 2], channels="bgr", batch_size=3)
    own.measure(scene, "utility/age")
    images = cover(scene.folder.read([path for path, _ in scene.folder.list("original").values()]), 8)
    expected = (images - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.25, 2]).view(3, 1, 1)
    np.testing.assert_allclose(session.fed[1], expected.flip(1), rtol=1e-5, atol=1e-6)
    assert [len(fed) for fed in session.fed] == [2, 3, 3]


def test_what_is_no_answer_is_refused(make, scene):
    assert make().batch_size == 32
    assert not OnnxUtility.needs_data
    with pytest.raises(UserError, match="`task` must be one of classification, regression, but got 'x'"):
        make(task="x")
    for out in (lambda fed: fed.mean((1, 2, 3)), lambda fed: fed.mean((1, 2, 3))[:, None], lambda fed: fed):
        with pytest.raises(UserError, match=r"m\.onnx gives \(2.*\) for two grey pictures, but a classifier gives"):
            make(Session(out=out))
    two = make(Session(out=lambda fed: fed.mean((2, 3))[:, :2]))
    assert two.output == "out"
    both = {"a": lambda fed: fed.mean((2, 3)), "b": lambda fed: fed}
    with pytest.raises(UserError, match=r"one is the answer: .*utility\.onnx\.output=b"):
        make(Session(**both))
    assert make(Session(**both), output="a").output == "a"
    nothing = make(task="regression")
    nothing.graph.session.outputs["out"] = lambda fed: fed.mean((2, 3)) * np.nan
    with pytest.raises(UserError, match=r"m\.onnx gives NaN or infinite numbers: check `mean` and `std`"):
        nothing.measure(scene, "utility/age")
