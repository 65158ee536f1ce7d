"""Any ONNX model as a utility measure: counted by hand on pictures of which the answer is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, save

from privacy_exp import OnnxUtility, UserError
from privacy_exp.cache.store import Store
from privacy_exp.evaluation.measure import Scene
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.pairs import NoRecognizer
from tests.recognition.test_onnx import graph

PLAIN = {"image_size": 8, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def channel_means(path, last=False, flat=True, classes=3):
    """Tells the mean of each channel; with 1 class, of red alone."""
    shape = ("batch", 8, 8, 3) if last else ("batch", 3, 8, 8)
    nodes = [helper.make_node("Transpose", ["in"], ["turned"], perm=[0, 3, 1, 2])] if last else []
    nodes.append(helper.make_node("GlobalAveragePool", ["turned" if last else "in"], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    nodes.append(helper.make_node("MatMul", ["flat", "first"], ["out"]))
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32)[:, :classes], "first")
    inputs = [helper.make_tensor_value_info("in", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    made = helper.make_model(
        helper.make_graph(nodes, "means", inputs, outputs, [weights]), opset_imports=[helper.make_opsetid("", 13)]
    )
    made.ir_version = 8
    save(made, path)
    return str(path)


COLOURS = {  # original, result: the strongest channel stays in two of four
    "a": ((200, 10, 10), (90, 20, 20)),
    "b": ((200, 10, 10), (20, 90, 20)),
    "c": ((10, 200, 10), (20, 60, 50)),
    "d": ((10, 10, 200), (70, 60, 50)),
}


@pytest.fixture
def scene(tmp_path):
    folder = RunFolder(tmp_path / "run", "png")
    for kind, row in (("original", 0), ("results", 1)):
        images = torch.tensor([pair[row] for pair in COLOURS.values()])[:, :, None, None].expand(4, 3, 8, 8) / 255
        folder.save(kind, list(COLOURS), torch.tensor([0, 0, 1, 1]), images)
    table = pd.DataFrame({"image_id": list(COLOURS), "identity": ["x", "x", "y", "y"], "label": [0, 0, 1, 1]})
    return Scene(folder, table, ["x", "y"], NoRecognizer(), Store(tmp_path / "store"))


@pytest.mark.parametrize("last", [False, True])
def test_agreement_is_the_share_whose_class_stays(scene, tmp_path, last):
    model = channel_means(tmp_path / "means.onnx", last)
    found = OnnxUtility(model, licence="MIT", batch_size=3, **PLAIN).measure(scene, "utility/onnx")
    assert found.metrics["utility/onnx/agreement"].value == 0.5
    assert found.columns["utility/onnx/same"].tolist() == [True, False, True, False]
    assert found.details["licence"] == "MIT"
    bgr = OnnxUtility(model, channels="bgr", **PLAIN).measure(scene, "utility/onnx")
    assert bgr.metrics["utility/onnx/agreement"].value == 0.5


@pytest.mark.parametrize(("classes", "expected"), [(1, [110, 180, 10, 60]), (3, [130 / 3, 270 / 3, 190 / 3, 260 / 3])])
def test_an_error_is_the_mean_change_of_its_numbers(scene, tmp_path, classes, expected):
    model = channel_means(tmp_path / "means.onnx", classes=classes)
    keys = {**PLAIN, "mean": (0.1, 0.1, 0.1), "std": (1 / 255,) * 3}  # a shift changes nothing, the unit is a level
    found = OnnxUtility(model, task="regression", **keys).measure(scene, "utility/onnx")
    np.testing.assert_allclose(found.columns["utility/onnx/error"], expected, rtol=1e-4)
    assert found.metrics["utility/onnx/error"].value == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("make", "keys", "words"),
    [
        (lambda p: None, {}, "`utility.onnx.model` must be an ONNX file"),
        (channel_means, {"task": "look"}, "`task` must be one of classification, regression"),
        (lambda p: channel_means(p, classes=1), {}, "a number for each of two or more classes. Set task=regression"),
        (channel_means, {"output": "age"}, "`output` must be one of the outputs .* out of .* but got 'age'"),
        (channel_means, {"image_size": 16}, "`image_size` must be the graph's own 8 x 8, but got 16"),
        (channel_means, {"channels": "grey"}, "`channels` must be rgb or bgr"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, make, keys, words):
    make(tmp_path / "some.onnx")
    with pytest.raises((UserError, FileNotFoundError), match=words):
        OnnxUtility(tmp_path / "some.onnx", **PLAIN | keys)


def test_numbers_that_are_none_are_refused(scene, tmp_path):
    odd = {**PLAIN, "image_size": 16, "std": (0.0, 1.0, 1.0)}
    with pytest.raises(UserError, match="gives NaN or infinite numbers: check `mean` and `std`"):
        OnnxUtility(graph(tmp_path / "tiny.onnx"), **odd).measure(scene, "utility/onnx")
