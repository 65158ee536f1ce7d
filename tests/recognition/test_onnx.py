import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from privacy_exp.recognition.checkpoint import load_checkpoint, save_checkpoint
from privacy_exp.recognition.onnx import BGROnnxRecognizer, OnnxRecognizer

POINTS = torch.tensor([[69.5, 111.0], [108.0, 111.0], [88.5, 134.5], [72.5, 152.5], [105.5, 152.5]])


def graph(path, shape=("batch", 3, 16, 16), operator="Relu", flat=True, batch=None):
    """Two convolutions, a mean over the map, a vector of 8: 16 px, 8×8, then 4×4."""
    random = np.random.default_rng(0)
    weights = [random.normal(size=s).astype(np.float32) for s in ((4, shape[1] or 3, 3, 3), (8, 4, 3, 3))]
    nodes = [
        helper.make_node("Conv", ["in", "w0"], ["a"], "first", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node(operator, ["a"], ["b"], "act"),
        helper.make_node("Conv", ["b", "w1"], ["c"], "second", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], "mean"),
    ]
    if batch:
        nodes.append(helper.make_node("Reshape", ["d", "shape"], ["out"], "flat"))
    else:
        nodes.append(helper.make_node("Flatten" if flat else "Identity", ["d"], ["out"], "flat"))
    initial = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    initial.append(numpy_helper.from_array(np.array([batch or 1, -1]), "shape"))
    inputs = [helper.make_tensor_value_info("in", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, outputs, initial), opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    onnx.save(model, path)
    return path


@pytest.fixture
def tiny(tmp_path):
    return graph(tmp_path / "tiny.onnx")


def build(path, **keys):
    template = keys.pop("template", None)
    return OnnxRecognizer(str(path), **{"image_size": 16, "align": False, **keys}).for_people(3, template)


def test_it_computes_what_onnxruntime_computes(tiny):
    net, images = build(tiny).eval(), torch.rand(3, 3, 20, 18)
    session = onnxruntime.InferenceSession(str(tiny))
    expected = session.run(None, {"in": net.prepare(images).numpy()})[0]
    np.testing.assert_allclose(net.features(images).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net.embed(images).norm(dim=1), torch.ones(3))


def test_statistics(tiny):
    net = build(tiny, mean=[0.5, 0.5, 0.25], std=[0.5, 0.25, 0.25])
    prepared = net.prepare(torch.ones(1, 3, 16, 16))
    torch.testing.assert_close(prepared[0, :, 0, 0], torch.tensor([1.0, 2.0, 3.0]))


def test_an_embedder_that_takes_blue_first(tiny, tmp_path):
    keys = {"image_size": 16, "align": False, "mean": [0.5, 0.5, 0.25], "std": [0.5, 0.25, 0.25]}
    net = BGROnnxRecognizer(str(tiny), **keys).for_people(3)
    torch.testing.assert_close(net.prepare(torch.ones(1, 3, 16, 16))[0, :, 0, 0], torch.tensor([3.0, 2.0, 1.0]))
    save_checkpoint(tmp_path / "net.ckpt", net, ["a", "b", "c"])
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(load_checkpoint(tmp_path / "net.ckpt").features(images), net.eval().features(images))


def test_logits_are_scaled_cosines(tiny):
    net, images = build(tiny, scale=7.0), torch.rand(2, 3, 16, 16)
    features, weight = net.features(images).detach().numpy(), net.head.weight.detach().numpy()
    cosine = features @ weight.T / np.linalg.norm(features, axis=1)[:, None] / np.linalg.norm(weight, axis=1)
    np.testing.assert_allclose(net(images).detach().numpy(), 7 * cosine, rtol=1e-4, atol=1e-5)


def test_auto_target_layer_and_gradients_of_a_frozen_graph(tiny):
    net = build(tiny).train()
    assert net.target_layer is net.trunk.get_submodule("act")  # 8×8; the second convolution has 4×4
    inputs = torch.rand(2, 3, 16, 16, requires_grad=True)
    net(inputs).sum().backward()
    assert inputs.grad.abs().sum() > 0
    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["head.weight"]


def test_alignment_needs_a_template_and_uses_it(tiny):
    with pytest.raises(ValueError, match=r"`template`"):
        build(tiny, align=True)
    net = build(tiny, align=True, template=POINTS)
    images = torch.zeros(1, 3, 218, 178)
    images[:, :, 130:140, 84:94] = 1  # the nose: (88.5, 134.5)
    y, x = divmod(int(net.prepare(images)[0, 0].argmax()), 16)
    assert abs(x - 56.0 / 7) <= 1
    assert abs(y - 71.7 / 7) <= 1
    found = net.locate(net.prepare(images)[:, :1] * net.std[0] + net.mean[0], 218, 178)
    y, x = divmod(int(found.argmax()), 178)
    assert abs(x - 88.5) <= 8
    assert abs(y - 134.5) <= 8


def test_what_is_no_face_embedder_is_refused(tmp_path):
    path = tmp_path / "bad.onnx"
    with pytest.raises(FileNotFoundError, match=r"`recognition.net.model`.*FACE_ONNX"):
        build(path)
    path.write_bytes(b"<html>quota exceeded</html>")
    with pytest.raises(ValueError, match=r"bad.onnx: not an ONNX model"):
        build(path)
    with pytest.raises(ValueError, match=r"batch x 3 x height x width, but got in: \[0, 3, 16\]"):
        build(graph(path, ("batch", 3, 16)))
    with pytest.raises(ValueError, match=r"batch x 3 x height x width, but got in: \[0, 1, 16, 16\]"):
        build(graph(path, ("batch", 1, 16, 16)))
    with pytest.raises(ValueError, match=r"`image_size` must be the graph's own 16 x 16, but got 32"):
        build(graph(path), image_size=32)
    with pytest.raises(ValueError, match=r"one vector an image"):
        build(graph(path, flat=False))
    with pytest.raises(ValueError, match=r"fixed at 1"):
        build(graph(path, batch=1))
    with pytest.raises(ValueError, match=r"can't convert an operator.*Det"):
        build(graph(path, operator="Det"))


def test_a_real_embedder_is_onnxruntimes(face_onnx):
    net = OnnxRecognizer(str(face_onnx)).for_people(3, POINTS).eval()
    images = torch.rand(2, 3, 218, 178, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(face_onnx))
    expected = session.run(None, {session.get_inputs()[0].name: net.prepare(images).numpy()})[0]
    np.testing.assert_allclose(net.features(images).detach().numpy(), expected, atol=2e-5)
    output = {}
    net.target_layer.register_forward_hook(lambda m, i, o: output.update(shape=o.shape))
    net(images)
    assert output["shape"][2:] == (7, 7)
