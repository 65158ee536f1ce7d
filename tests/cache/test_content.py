"""Files behind files: whatever a loader reads moves the digest, wherever it lies."""

import hashlib
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from privacy_exp.cache.content import content_digest, file_digest
from privacy_exp.cache.keys import scientific


def graph(folder, name: str, weight: float):
    """A graph whose weights lie beside it: two exports of one architecture have the same .onnx bytes."""
    folder.mkdir(exist_ok=True)
    value = numpy_helper.from_array(np.full((64, 64), weight, np.float32), "w")
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [64, 64]) for end in ("x", "y")]
    made = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [value])
    model = helper.make_model(made)
    onnx.save_model(model, folder / name, save_as_external_data=True, location=f"{name}.data", size_threshold=0)
    return folder / name


def test_weights_beside_an_onnx_file_count(tmp_path):
    good, bad = (graph(tmp_path / n, "m.onnx", w) for n, w in (("good", 1.0), ("bad", 2.0)))
    assert file_digest(good) == file_digest(bad), "else this test shows nothing"
    assert content_digest(good) != content_digest(bad)
    assert content_digest(graph(tmp_path / "again", "m.onnx", 1.0)) == content_digest(good)
    before = scientific({"model": str(good)})
    bad.with_name("m.onnx.data").replace(good.with_name("m.onnx.data"))
    assert scientific({"model": str(good)}) != before


def test_shards_of_an_index_count(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}))
    for name in ("one", "two"):
        (tmp_path / f"{name}.safetensors").write_text(name)
    before = content_digest(index)
    (tmp_path / "two.safetensors").write_text("retrained")
    assert content_digest(index) != before
    index.write_text("[]")
    assert content_digest(index) == file_digest(index)


@pytest.mark.parametrize("linked", ["folder", "file", "folder in a folder"])
def test_links_inside_a_checkpoint_are_followed(tmp_path, linked):
    real, checkpoint = tmp_path / "blobs" / "deep", tmp_path / "checkpoint"
    real.mkdir(parents=True)
    checkpoint.mkdir()
    (real / "w.safetensors").write_text("weights")
    (checkpoint / "model_index.json").write_text("{}")
    target = {"folder": real, "file": real / "w.safetensors", "folder in a folder": real.parent}[linked]
    (checkpoint / "unet").symlink_to(target)
    before = scientific({"checkpoint": str(checkpoint)})
    (real / "w.safetensors").write_text("noise")
    assert scientific({"checkpoint": str(checkpoint)}) != before


def test_a_link_that_leads_back_ends(tmp_path):
    (tmp_path / "w.safetensors").write_text("x")
    alone = content_digest(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert content_digest(tmp_path) == alone


def test_only_arguments_that_are_paths_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    part = {"region": "frame", "kind": "linear", "target_layer": "auto", "prompt": "a face", "checkpoint": "ck"}
    before = scientific(part)
    for name in ("frame", "linear", "auto", "a face"):
        (tmp_path / name).write_text("by chance")
    assert scientific(part) == before
    (tmp_path / "ck").write_text("weights")
    assert scientific(part) != before


@pytest.mark.parametrize("name", ["checkpoint", "lora", "model", "weights", "init_from", "reference", "judge_model"])
def test_a_changed_file_is_another_value(tmp_path, name):
    path = tmp_path / "file"
    path.write_text("one")
    before = scientific({name: str(path)})
    path.write_text("two")
    assert scientific({name: str(path)}) != before


def test_a_folders_digest_is_of_names_and_contents(tmp_path):
    folder = tmp_path / "checkpoint"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "b").write_text("1")
    (folder / "a").write_text("2")
    total = hashlib.sha256()
    for name, content in (("a", "2"), ("unet/b", "1")):
        total.update(f"{name}\0{hashlib.sha256(content.encode()).hexdigest()}\n".encode())
    assert content_digest(folder) == total.hexdigest()[:20]
    (folder / "a").rename(folder / "c")
    assert content_digest(folder) != total.hexdigest()[:20], "the same content under another name"


@pytest.mark.parametrize("name", [".git/index", "sub/.DS_Store", "README.md", "sub/notes.md"])
def test_hidden_files_and_notes_of_a_folder_say_nothing(tmp_path, name):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w").write_text("weights")
    before = content_digest(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("x")
    assert content_digest(tmp_path) == before
    (tmp_path / "sub" / "v").write_text("x")
    assert content_digest(tmp_path) != before


def test_an_index_may_be_moved_with_its_shards_and_renamed(tmp_path):
    index = tmp_path / "m.json"
    index.write_text(json.dumps({"weight_map": {"a": "one"}}))
    (tmp_path / "one").write_text("1")
    total = hashlib.sha256()
    for name, path in (("", index), ("one", tmp_path / "one")):
        total.update(f"{name}\0{file_digest(path)}\n".encode())
    before = content_digest(index)
    assert before == total.hexdigest()[:20]
    index.rename(tmp_path / "n.json")
    assert content_digest(tmp_path / "n.json") == before
    (tmp_path / "one").write_text("2")
    assert content_digest(tmp_path / "n.json") != before


def test_what_is_no_graph_or_index_stands_for_itself(tmp_path):
    for name, content in (("a.onnx", "no graph"), ("b.json", "{"), ("c.json", '{"weight_map": 3}'), ("d.bin", "x")):
        path = tmp_path / name
        path.write_text(content)
        assert content_digest(path) == file_digest(path) == hashlib.sha256(content.encode()).hexdigest()
    missing = tmp_path / "e.json"
    missing.write_text(json.dumps({"weight_map": {"a": "not there"}}))
    assert content_digest(missing) == file_digest(missing)
