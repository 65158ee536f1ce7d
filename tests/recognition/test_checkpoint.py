import pytest
import torch

from privacy_exp.recognition.checkpoint import (
    CHECKPOINT,
    checkpoint_identities,
    load_checkpoint,
    load_trunk,
    save_checkpoint,
)
from privacy_exp.recognition.facenet import FaceNet
from privacy_exp.recognition.onnx import OnnxRecognizer

from .small import Small, same, state
from .test_onnx import POINTS, graph

NAMES = ["ann", "bob", "cyd"]


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    recognizer = Small(3, width=6)
    recognizer.prototypes = torch.rand(3, 24)
    save_checkpoint(tmp_path / CHECKPOINT, recognizer, NAMES)
    return tmp_path / CHECKPOINT, recognizer


def test_round_trip_from_file_and_run_folder(saved):
    path, recognizer = saved
    for place in (path, path.parent, str(path.parent)):
        loaded = load_checkpoint(place, NAMES)
        assert same(state(loaded), state(recognizer))
        assert torch.equal(loaded.identity_means(), recognizer.prototypes)
        assert not loaded.training
    assert checkpoint_identities(path.parent) == NAMES
    assert [file.name for file in path.parent.iterdir()] == [CHECKPOINT]


def test_plain_content_loads_without_unpickling_code(saved):
    content = torch.load(saved[0], weights_only=True)
    assert content["identities"] == NAMES
    assert content["class"].endswith("small.Small")


def test_an_onnx_recognizer_needs_no_second_file(tmp_path):
    model = graph(tmp_path / "tiny.onnx")
    recognizer = OnnxRecognizer(str(model), image_size=16).for_people(3, POINTS).eval()
    save_checkpoint(tmp_path / "a.ckpt", recognizer, NAMES)
    model.unlink()
    images = torch.rand(2, 3, 218, 178)
    torch.testing.assert_close(load_checkpoint(tmp_path / "a.ckpt")(images), recognizer(images))


def test_facenet_round_trip_fetches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    recognizer = FaceNet(num_classes=3, image_size=75, freeze="trunk", legacy_scaling=True).eval()
    save_checkpoint(tmp_path / "a.ckpt", recognizer, NAMES)
    loaded = load_checkpoint(tmp_path / "a.ckpt")
    images = torch.rand(1, 3, 20, 20)
    torch.testing.assert_close(loaded(images), recognizer(images))
    assert loaded.freeze == "trunk"


def test_other_people_are_refused(saved):
    with pytest.raises(ValueError, match=r"tells 3 people apart, but the data has 2"):
        load_checkpoint(saved[0], NAMES[:2])
    with pytest.raises(ValueError, match=r"label 0 is 'ann', not 'zoe' \(1 differ\)"):
        load_checkpoint(saved[0], ["zoe", *NAMES[1:]])
    with pytest.raises(ValueError, match=r"`identities` must name the 3 classes"):
        save_checkpoint(saved[0], saved[1], NAMES[:2])


def test_files_that_are_no_checkpoint(saved, tmp_path):
    path, recognizer = saved
    bad = tmp_path / "bad.ckpt"
    with pytest.raises(FileNotFoundError, match=r"there is no .*bad\.ckpt"):
        load_checkpoint(bad)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=rf"there is no .*{CHECKPOINT}"):
        load_checkpoint(tmp_path / "empty")
    for size in (0, 1000):
        bad.write_bytes(path.read_bytes()[:size])
        with pytest.raises(ValueError, match=r"bad\.ckpt is damaged"):
            load_checkpoint(bad)
    bad.write_text("<html>quota exceeded</html>")
    with pytest.raises(ValueError, match=r"web page"):
        load_checkpoint(bad)
    for zipped in (True, False):  # as the original study's facenet.pt
        torch.save(recognizer, bad, _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match=r"pickled objects.*refused"):
            load_checkpoint(bad)
    torch.save(recognizer.state_dict(), bad)
    with pytest.raises(ValueError, match=r"is not a recogniser's checkpoint.*without a format mark"):
        load_checkpoint(bad)


@pytest.mark.parametrize("name", ["os.system", "nowhere.Net", "torch.nn.Linear", "Net"])
def test_only_recognizers_are_built(saved, name):
    content = torch.load(saved[0], weights_only=True)
    torch.save({**content, "class": name}, saved[0])
    with pytest.raises(
        ValueError,
        match=rf"names {name}, which (is not a Recognizer|can't be imported|is not a part of privacy_exp)",
    ):
        load_checkpoint(saved[0])


def test_a_trunk_without_a_layer_that_the_checkpoint_has(tmp_path):
    whole, without = FaceNet(image_size=75, num_classes=2), FaceNet(image_size=75, last_bn=False, num_classes=3)
    save_checkpoint(tmp_path / "whole.ckpt", whole, ["a", "b"])
    load_trunk(without, tmp_path / "whole.ckpt")
    kept = whole.trunk.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in without.trunk.state_dict().items())
    save_checkpoint(tmp_path / "without.ckpt", without, ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"`init_from` must be .* same architecture.*last_bn"):
        load_trunk(whole, tmp_path / "without.ckpt")


def test_weights_of_another_architecture(saved):
    content = torch.load(saved[0], weights_only=True)
    torch.save({**content, "config": {"num_classes": 3, "width": 5}}, saved[0])
    with pytest.raises(ValueError, match=r"do not fit Small: of 9 tensors 7 of another shape"):
        load_checkpoint(saved[0])
    with pytest.raises(ValueError, match=r"`init_from` must be .* same architecture as Small, but .* holds Small"):
        load_trunk(Small(2, width=5), saved[0])
