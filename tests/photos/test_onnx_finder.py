"""ONNX detectors: CenterFace's outputs decoded by hand, photos of any size, and graphs of other kinds."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from privacy_exp.photos.onnx_finder import OnnxFinder
from privacy_exp.types import UserError

TALL, WIDE, DOWN, RIGHT = 32.0, 24.0, 0.25, 0.5
POINTS = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
"""Shares of the box, x and y; the graph gives y first."""


def graph(outputs):
    """A graph of CenterFace's kind for 32 × 32 pixels: how red a 4 × 4 cell is its heat, and all else is the same."""
    red = np.zeros((1, 3, 4, 4), np.float32)
    red[:, 0] = 1 / (16 * 255)
    biases = ([0.0], np.log([TALL / 4, WIDE / 4]), [DOWN, RIGHT], [v for x, y in POINTS for v in (y, x)])
    nodes, weights = [], []
    for name, bias in list(zip(("heat", "size", "offset", "points"), biases, strict=True))[:outputs]:
        kernel = red if name == "heat" else np.zeros((len(bias), 3, 4, 4), np.float32)
        weights += [numpy_helper.from_array(kernel, f"{name}_w")]
        weights += [numpy_helper.from_array(np.array(bias, np.float32), f"{name}_b")]
        nodes.append(helper.make_node("Conv", ["input", f"{name}_w", f"{name}_b"], [name], strides=[4, 4]))
    given = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 32, 32])]
    made = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [1, None, 8, 8]) for node in nodes]
    model = helper.make_model(helper.make_graph(nodes, "made", given, made, weights))
    model.opset_import[0].version, model.ir_version = 17, 8
    return model


@pytest.fixture
def centerface(tmp_path):
    onnx.save(graph(4), str(tmp_path / "center.onnx"))
    return str(tmp_path / "center.onnx")


def test_centerface_is_decoded_as_by_hand(centerface):
    pixels = np.zeros((90, 130, 3), np.uint8)
    pixels[20:24, 36:40, 0] = 255  # the cell in row 5, column 9
    (face,) = OnnxFinder(centerface, min_size=20).find(pixels)
    # cells begin at 4 · column; pixel centres lie at whole numbers, so an edge at 28 is at 27.5
    middle = (4 * (9 + RIGHT + 0.5) - 0.5, 4 * (5 + DOWN + 0.5) - 0.5)
    left, top = middle[0] - WIDE / 2, middle[1] - TALL / 2
    assert face.box == pytest.approx((left, top, left + WIDE, top + TALL), abs=1e-4)
    assert face.score == pytest.approx(1)
    assert face.landmarks == pytest.approx(np.array(POINTS) * (WIDE, TALL) + (left, top), abs=1e-4)


def test_neighbouring_cells_are_one_face_and_faint_ones_none(centerface):
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[20:24, 36:40, 0] = 255
    pixels[20:24, 40:44, 0] = 230
    pixels[40:44, 80:84, 0] = 140
    found = OnnxFinder(centerface, min_size=20, doubt=0.6).find(pixels)
    assert [round(face.score, 2) for face in found] == [1.0]
    assert len(OnnxFinder(centerface, min_size=20, doubt=0.5).find(pixels)) == 2


def test_large_faces_are_found_in_a_smaller_picture_and_come_back_in_the_photos_own_pixels(centerface):
    finder, seen = OnnxFinder(centerface, min_size=40), []

    def kind(pixels):
        seen.append(pixels.shape[:2])
        row = [10, 20, 100, 120, 0.95, *np.linspace(20, 90, 10)]
        return np.array([row] if len(seen) == 2 else np.zeros((0, 15)), np.float64).reshape(-1, 15)

    finder.kind = kind
    (face,) = finder.find(np.zeros((1600, 3200, 3), np.uint8))
    assert seen == [(800, 1600), (200, 400)]  # 40 pixels become 20, then a quarter
    assert face.box == pytest.approx((83.5, 163.5, 883.5, 1123.5))  # eight times as large, from corner to corner
    assert not face.doubtful


def test_graphs_of_other_kinds_are_refused(tmp_path):
    onnx.save(graph(3), str(tmp_path / "three.onnx"))
    with pytest.raises(UserError, match="3 outputs"):
        OnnxFinder(str(tmp_path / "three.onnx"))
    other = graph(4)
    other.graph.output[1].name = "offset2"
    other.graph.node[1].output[0] = "offset2"
    del other.graph.output[:]
    other.graph.output.extend(helper.make_tensor_value_info("heat", TensorProto.FLOAT, None) for _ in range(4))
    onnx.save(other, str(tmp_path / "four.onnx"))
    with pytest.raises(UserError, match=r"outputs are|can't be run"):
        OnnxFinder(str(tmp_path / "four.onnx")).find(np.zeros((64, 64, 3), np.uint8))
