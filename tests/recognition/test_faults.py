"""Weights that do not fit, frames that are not those of the fit, graphs that are converted otherwise."""

import logging
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from privacy_exp.data.celeba import CelebA
from privacy_exp.data.points import celeba_template, resized_points
from privacy_exp.recognition.checkpoint import load_checkpoint, load_trunk, save_checkpoint
from privacy_exp.recognition.detection import detect_faces, five_points
from privacy_exp.recognition.fit import fit_recognizer
from privacy_exp.recognition.onnx import OnnxRecognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.types import Faces, UserError

from .small import Colours, Small
from .test_onnx import POINTS, graph

NAMES = ["ann", "bob", "cyd"]


@pytest.fixture
def saved(tmp_path):
    recognizer = Small(3)
    save_checkpoint(tmp_path / "a.ckpt", recognizer, NAMES)

    def spoilt(**changes):
        content = torch.load(tmp_path / "a.ckpt", weights_only=True)
        content["state_dict"] |= {n: v for n, v in changes.items() if v is not None}
        content["state_dict"] = {
            n: v for n, v in content["state_dict"].items() if n not in changes or changes[n] is not None
        }
        torch.save(content, tmp_path / "b.ckpt")
        return tmp_path / "b.ckpt"

    return spoilt


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trunk.0.weight": None, "head.bias": None}, r"of 9 tensors 2 missing \(trunk.0.weight, head.bias\)"),
        ({"not.there": torch.ones(1)}, r"1 unexpected \(not.there\)"),
        ({"head.bias": torch.ones(4)}, r"1 of another shape \(head.bias \(4,\) in place of \(3,\)\)"),
        ({"head.bias": torch.tensor([0, float("nan"), 0])}, r"1 with NaN or infinite values \(head.bias\)"),
    ],
)
def test_weights_that_do_not_fit_are_counted_and_named(saved, changes, words):
    path = saved(**changes)
    with pytest.raises(UserError, match=rf"the weights of .*b.ckpt do not fit Small: .*{words}"):
        load_checkpoint(path)
    if "trunk.0.weight" in changes:
        with pytest.raises(UserError, match=r"`init_from`.*the trunk of Small: of 7 tensors 1 missing \(0.weight\)"):
            load_trunk(Small(2), path)


def test_a_checkpoint_imports_nothing_of_its_own_choosing(saved, tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text("raise SystemExit('code ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = saved()
    content = torch.load(path, weights_only=True)
    for name, words in (("evil_module.Net", "is not a part of privacy_exp"), ("os.system", "not a Recognizer")):
        torch.save({**content, "class": name}, path)
        with pytest.raises(UserError, match=words):
            load_checkpoint(path)
    (tmp_path / "own_nets.py").write_text("from tests.recognition.small import Small as Net")
    torch.save({**content, "class": "own_nets.Net"}, path)
    assert "own_nets" not in sys.modules
    assert isinstance(load_checkpoint(path, trust=["own_nets"]), Small)
    sys.modules.pop("own_nets")


def test_files_of_other_kinds_and_cut_ones_say_what_they_are(saved, tmp_path):
    with pytest.raises(UserError, match=r"is an ONNX model.*recognition=onnx recognition.net.model="):
        load_checkpoint(graph(tmp_path / "net.onnx"))
    path = saved()
    content = torch.load(path, weights_only=True)
    torch.save({name: value for name, value in content.items() if name != "config"}, path)
    with pytest.raises(UserError, match=r"b.ckpt lacks config"):
        load_checkpoint(path)
    torch.save(
        {
            **content,
            "config": {"colour": 1, "num_classes": 3, "nonsense": 2},
            "class": "privacy_exp.recognition.resnet.SmallResNet",
        },
        path,
    )
    with pytest.raises(UserError, match=r"another version of SmallResNet: .*colour"):
        load_checkpoint(path)


def test_an_embedder_without_its_file_is_asked_for():
    with pytest.raises(FileNotFoundError, match=r"`recognition.net.model` must be the path.*FACE_ONNX"):
        OnnxRecognizer()


def aligned(tmp_path, height=218, width=178):
    made = OnnxRecognizer(str(graph(tmp_path / "t.onnx")), image_size=16).for_people(3, POINTS).eval()
    made.fitted_on(height, width, POINTS)
    return made


def face(height, width):
    """A white square on the nose of CelebA's template."""
    images = torch.zeros(1, 3, height, width)
    x, y = resized_points(POINTS[2], width / 178, height / 218).tolist()
    r = height / 30
    images[:, :, round(y - r) : round(y + r), round(x - r) : round(x + r)] = 1
    return images


def test_frames_of_another_size_are_scaled_and_of_another_shape_refused(tmp_path):
    net = aligned(tmp_path)
    whole = net.prepare(face(218, 178))
    for size in ((109, 89), (436, 356)):
        assert (net.prepare(face(*size)) - whole).abs().mean() < 0.15
        found = net.locate(net.prepare(face(*size))[:, :1] * net.std[0] + net.mean[0], *size)
        y, x = divmod(int(found.argmax()), size[1])
        assert abs(x - 88.5 * size[1] / 178) <= 10 * size[1] / 178
        assert abs(y - 134.5 * size[0] / 218) <= 10 * size[0] / 218
    with pytest.raises(UserError, match=r"fitted on frames of 178x218.*but got 200x200"):
        net(torch.rand(1, 3, 200, 200))
    save_checkpoint(tmp_path / "n.ckpt", net, NAMES)
    again = load_checkpoint(tmp_path / "n.ckpt")
    torch.testing.assert_close(again(face(109, 89)), net(face(109, 89)))
    with pytest.raises(UserError, match="but got 200x200"):
        again(torch.rand(1, 3, 200, 200))


def test_photos_own_landmarks_win(tmp_path):
    net = aligned(tmp_path)
    expected = net.prepare(face(218, 178))
    before = net.fingerprint()
    net.meet_frames(218, 178, POINTS + 1)  # less than 2 % of the frame: as fitted
    assert torch.equal(net.template, POINTS)
    with pytest.raises(UserError, match="but got 300x300"):
        net.meet_frames(300, 300, None)
    moved = torch.zeros(1, 3, 300, 300)
    moved[:, :, 50:268, 90:268] = face(218, 178)
    net.meet_frames(300, 300, POINTS + torch.tensor([90.0, 50.0]))
    assert (net.prepare(moved) - expected).abs().mean() < 0.05
    assert net.fingerprint() != before
    save_checkpoint(tmp_path / "n.ckpt", net, NAMES)
    torch.testing.assert_close(load_checkpoint(tmp_path / "n.ckpt").prepare(moved), net.prepare(moved))


def test_another_crop_is_told_to_recognisers_that_do_not_align(caplog):
    net = Small(3)
    net.fitted_on(218, 178, POINTS)
    with caplog.at_level(logging.WARNING):
        net.meet_frames(109, 89, resized_points(POINTS, 0.5))
        assert not caplog.records
        net.meet_frames(218, 178, POINTS * 0.6)
    assert "faces lie elsewhere" in caplog.text


def test_the_fit_notes_its_frames_and_says_that_it_guesses(trainer, tmp_path, caplog):
    data = Colours()
    data.setup()
    net = OnnxRecognizer(str(graph(tmp_path / "t.onnx")), image_size=16)
    fitted = fit_recognizer(data, net, FitRecipe(max_epochs=1), trainer, 0, tmp_path).recognizer
    assert fitted.frame_size == (20, 18)
    torch.testing.assert_close(fitted.points, celeba_template(20, 18))
    assert "no landmarks: faces are taken to lie as in CelebA's frames" in caplog.text


def test_a_graph_that_is_converted_otherwise_is_refused(tmp_path):
    """Resize, linear and asymmetric: onnx2torch reads it as half_pixel."""
    random = np.random.default_rng(0)
    weight = random.normal(size=(4, 3, 7, 7)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["in", "w"], ["a"], strides=[4, 4]),
        helper.make_node("Resize", ["a", "", "s"], ["b"], mode="linear", coordinate_transformation_mode="asymmetric"),
        helper.make_node("Abs", ["b"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["out"]),
    ]
    initial = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s")]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, ("n", 3, 112, 112))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        initial,
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "r.onnx")
    with pytest.raises(UserError, match=r"r.onnx: the converted graph differs from onnxruntime by 14\.\d%"):
        OnnxRecognizer(str(tmp_path / "r.onnx"), align=False).for_people(3)


def test_weights_beside_the_file_are_taken_in(tmp_path):
    model = onnx.load(graph(tmp_path / "one.onnx"))
    onnx.save(model, tmp_path / "two.onnx", save_as_external_data=True, size_threshold=0, location="two.data")
    nets = []
    for name in ("one", "two"):
        torch.manual_seed(0)
        nets.append(OnnxRecognizer(str(tmp_path / f"{name}.onnx"), image_size=16, align=False).for_people(3).eval())
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(nets[0](images), nets[1](images))
    save_checkpoint(tmp_path / "n.ckpt", nets[1], NAMES)
    (tmp_path / "two.data").unlink()
    torch.testing.assert_close(load_checkpoint(tmp_path / "n.ckpt")(images), nets[0](images))
    with pytest.raises(UserError, match=r"keeps its weights in another file.*external_data=False"):
        OnnxRecognizer(str(tmp_path / "two.onnx"), image_size=16, align=False).for_people(3)
    assert onnxruntime.__version__


def test_points_are_found_where_the_data_has_none(celeba_dev):
    data = CelebA(str(celeba_dev), max_identities=3)
    data.setup()
    faces = next(data.batches("test", 6))
    found = five_points(faces._replace(landmarks=None))
    seen = detect_faces(faces.images)
    assert seen.found.float().mean() > 0.8
    off = (found - faces.landmarks).norm(dim=2)[seen.found]
    assert off.mean() < 5  # pixels of 178x218
    assert torch.equal(five_points(faces), faces.landmarks)
    shifted = torch.roll(faces.images, (12, 15), (2, 3))  # where no template would look for them
    there = detect_faces(shifted).found & seen.found
    off = (five_points(Faces(faces.ids, shifted)) - faces.landmarks - torch.tensor([15.0, 12.0])).norm(dim=2)
    assert there.float().mean() > 0.6
    assert off[there].mean() < 5
    for i in range(2):  # neighbours do not matter
        alone = five_points(faces[[i]]._replace(landmarks=None))[0]
        torch.testing.assert_close(alone, found[i], atol=1e-3, rtol=0)


def test_nobody_found_means_the_template():
    faces = Faces(["a"], torch.zeros(1, 3, 109, 89))
    torch.testing.assert_close(five_points(faces)[0], celeba_template(109, 89))
