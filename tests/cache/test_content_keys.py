"""A key is a stated hash of stated text: what a store holds is found again by another process, and years later."""

import hashlib

import pytest

from privacy_exp.cache.keys import WITHOUT_EFFECT, content_key, has_effect, is_path, scientific
from privacy_exp.cache.sources import sources


def test_a_key_is_the_hash_of_plain_sorted_json():
    text = '{"a":[1,2.5,null,true],"b":{"c":"\\u00e9"}}'
    fields = {"b": {"c": "é"}, "a": (1.0, 2.5, None, True)}
    assert content_key(fields) == hashlib.sha256(text.encode()).hexdigest()[:20]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_has_no_json_has_no_key(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_key({"a": value})


@pytest.mark.parametrize(
    "name", ["checkpoint", "dir", "file", "folder", "lora", "model", "path", "reference", "weights", "init_from"]
)
def test_arguments_that_are_paths(name, tmp_path):
    assert is_path(name)
    assert is_path(f"my_{name}") == (name != "init_from")
    assert not is_path(f"{name}_count")
    file = tmp_path / "file"
    file.write_text("content")
    digest = hashlib.sha256(b"content").hexdigest()
    assert scientific({name: str(file), "many": {name: [str(file)]}}) == {name: digest, "many": {name: [digest]}}
    assert scientific({"prompt": str(file)}) == {"prompt": str(file)}


def test_names_without_effect_are_these():
    """A name more is a stale figure for whoever changes that argument; a name less, work done twice."""
    speed = {"accelerator", "device", "devices", "strategy", "num_workers", "batch_size", "inference_mode"}
    memory = {"attention_slicing", "channels_last", "compile", "offload"}
    noise = {"enable_checkpointing", "enable_model_summary", "enable_progress_bar", "log_every_n_steps", "logger"}
    assert speed | memory | noise == WITHOUT_EFFECT
    assert not any(map(has_effect, WITHOUT_EFFECT))
    assert scientific({"offload": True, "own": {"device": "cuda", "scale": 1}}) == {"own": {"scale": 1}}


def test_a_part_stands_with_its_code():
    part = {"_target_": "privacy_exp.masking.center.Center", "granularity": 8}
    assert scientific([part]) == [part | {"_source_": sources("privacy_exp.masking.center.Center")}]


def test_the_packages_own_assets_are_found_from_anywhere(tmp_path, monkeypatch):
    here = scientific({"checkpoint": "privacy_exp/assets/tiny_inpaint"})
    monkeypatch.chdir(tmp_path)
    assert scientific({"checkpoint": "privacy_exp/assets/tiny_inpaint"}) == here
    assert len(here["checkpoint"]) == 20


def test_a_home_folder_may_be_named_short(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "w.ckpt").write_text("weights")
    assert scientific({"weights": "~/w.ckpt"}) == scientific({"weights": f"{tmp_path}/w.ckpt"})
    assert len(scientific({"weights": "~/w.ckpt"})["weights"]) == 64


@pytest.mark.parametrize("name", ["model_index.json", "config.json", "any.safetensors"])
def test_a_folder_by_its_bare_name_is_a_checkpoint_if_it_holds_one(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "holiday.jpg").write_text("x")
    assert scientific({"model": "mine"}) == {"model": "mine"}, "a hub id may be the name of a folder by chance"
    assert len(scientific({"model": "./mine"})["model"]) == 20, "with a slash it is a place"
    (tmp_path / "mine" / name).write_text("{}")
    assert len(scientific({"model": "mine"})["model"]) == 20


def test_a_name_longer_than_any_path_is_itself():
    assert scientific({"model": 300 * "a/b" + 300 * "c"}) == {"model": 300 * "a/b" + 300 * "c"}
    assert scientific({"model": ""}) == {"model": ""}
