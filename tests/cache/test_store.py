"""The store: damage, closed and full disks, pruning; what a key sees and what it does not."""

import errno
import json
import logging
import os
import time
from pathlib import Path

import pytest

from privacy_exp.cache import entry, store
from privacy_exp.cache.copies import copy_files
from privacy_exp.cache.keys import content_key, scientific
from privacy_exp.cache.pruning import items, remove, to_prune
from privacy_exp.cache.store import Store


def make(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "thing").write_text("made")
    (folder / "deep" / "other").write_text("also")


def entry_of(root: Path) -> Path:
    return Store(root).fetch("kind", {"a": 1}, make)[0]


DAMAGES = {
    "changed": lambda folder: (folder / "thing").write_text("mad3"),
    "cut short": lambda folder: (folder / "thing").write_text(""),
    "missing": lambda folder: (folder / "deep" / "other").unlink(),
    "label gone": lambda folder: (folder / entry.LABEL).unlink(),
    "label torn": lambda folder: (folder / entry.LABEL).write_text("{"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_entry_is_noticed_set_aside_and_computed_again(tmp_path, caplog, how):
    folder = entry_of(tmp_path)
    assert entry_of(tmp_path) == folder  # sound, and remembered as such
    DAMAGES[how](folder)
    with caplog.at_level(logging.WARNING):
        again, reused = Store(tmp_path).fetch("kind", {"a": 1}, make)
    assert "damaged" in caplog.text
    assert not reused
    assert (again / "thing").read_text() == "made"
    assert (again / "deep" / "other").read_text() == "also"
    assert len(list((tmp_path / "damaged").iterdir())) == 1
    assert Store(tmp_path).fetch("kind", {"a": 1}, make)[1]


def test_damage_of_the_same_size_and_time_is_seen_by_another_process(tmp_path):
    folder = entry_of(tmp_path)
    before = (folder / "thing").stat()
    (folder / "thing").write_text("mode")
    os.utime(folder / "thing", ns=(before.st_atime_ns, before.st_mtime_ns))
    entry._sound.clear()  # what another process starts with
    assert entry.damage(folder) == "thing has changed since it was written"


def test_a_store_on_read_only_media_is_read_and_what_it_lacks_is_computed(medium, caplog):
    root = medium("4m")
    entry_of(root)
    medium.close()
    assert Store(root).fetch("kind", {"a": 1}, make)[1]
    with caplog.at_level(logging.WARNING):
        closed = Store(root)
        folder, reused = closed.fetch("kind", {"a": 2}, make)
    assert "cannot be written to" in caplog.text
    assert not reused
    assert (folder / "thing").read_text() == "made"
    assert not folder.is_relative_to(root)
    assert closed.fetch("kind", {"a": 2}, make) == (folder, True)  # as long as this store is used
    with closed.locked("new kind", {}) as held:
        assert held is None


def test_a_full_store_fails_nothing_and_keeps_nothing_half(medium, caplog):
    root = medium("1m")
    with caplog.at_level(logging.WARNING):
        full = Store(root)
        folder, reused = full.fetch("kind", {"a": 1}, lambda out: (out / "large").write_bytes(bytes(2_000_000)))
        assert (folder / "large").stat().st_size == 2_000_000
    assert not reused
    assert "is full or cannot be written to" in caplog.text
    assert "cache.root=DIR" in caplog.text
    assert [path.suffix for path in (root / "kind").iterdir()] == [".lock"]
    assert not Store(root).fetch("kind", {"a": 1}, make)[1]


def test_what_a_killed_job_left_is_cleared_or_gone_on_with(tmp_path):
    seen = []

    def compute(folder):
        seen.append(sorted(path.name for path in folder.iterdir()))
        (folder / f"step{len(seen)}").write_text("x")
        if len(seen) in (1, 3):
            raise KeyboardInterrupt

    for resumable in (False, True):
        with pytest.raises(KeyboardInterrupt):
            Store(tmp_path).fetch("kind", {"r": resumable}, compute, resumable)
        Store(tmp_path).fetch("kind", {"r": resumable}, compute, resumable)
    assert seen == [[], [], [], ["step3"]]


def test_keys_leave_speed_out_and_name_files_by_their_content(tmp_path):
    weights = tmp_path / "a.ckpt"
    weights.write_text("weights")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "unet.safetensors").write_text("x")

    def key(**changes):
        part = {"scale": 3.0, "device": "cpu", "batch_size": 8, "compile": False, "file": str(weights)}
        return content_key(scientific({"inpainting": part | {"folder": f"{tmp_path}/folder"} | changes}))

    first = key()
    assert key(device="cuda", batch_size=1, compile=True) == first
    assert key(scale=3.5) != first
    weights.rename(tmp_path / "b.ckpt")
    assert key(file=f"{tmp_path}/b.ckpt") == first
    (tmp_path / "folder" / "README.md").write_text("says nothing")
    assert key(file=f"{tmp_path}/b.ckpt") == first
    (tmp_path / "folder" / "unet.safetensors").write_text("y")
    assert key(file=f"{tmp_path}/b.ckpt") != first
    assert scientific({"hub": "owner/name", "prompt": "a " * 5000}) == {"hub": "owner/name", "prompt": "a " * 5000}


def test_a_bare_folder_name_is_a_checkpoint_only_where_one_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    for name, file in (("mine", "model_index.json"), ("lora", "a.safetensors"), ("smile", "holiday.jpg")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("x")
    first = scientific({"checkpoint": "mine", "lora": "lora", "prompt": "smile", "negative_prompt": ""})
    assert first["prompt"] == "smile"
    assert not first["negative_prompt"], "the empty prompt is no path"
    (tmp_path / "mine" / "model_index.json").write_text("retrained")
    (tmp_path / "lora" / "a.safetensors").write_text("retrained")
    (tmp_path / "config.json").write_text("another working folder")
    again = scientific({"checkpoint": "mine", "lora": "lora", "prompt": "smile", "negative_prompt": ""})
    assert [name for name in first if first[name] != again[name]] == ["checkpoint", "lora"]
    assert content_key({"scale": 3, "many": [1.0]}) == content_key({"scale": 3.0, "many": [1]})


def test_the_drawn_checkpoint_is_named_by_its_weights():
    key = scientific({"checkpoint": "privacy_exp/assets/tiny_inpaint"})["checkpoint"]
    assert len(key) == 20
    assert "/" not in key


def test_pruning_takes_the_longest_unused_and_spares_what_is_in_use(tmp_path):
    for a, days in ((1, 40), (2, 20), (3, 1)):
        folder, _ = Store(tmp_path).fetch("kind", {"a": a}, lambda f: (f / "x").write_bytes(bytes(1000)))
        os.utime(folder, (0, time.time() - days * 86_400))
    found = items(tmp_path)
    assert [round(item.days) for item in found] == [40, 20, 1]
    assert to_prune(found, days=30) == found[:1]
    assert to_prune(found, max_gb=found[0].size * 1.5e-9) == found[:2]
    assert to_prune(found, kind="kind", days=0.5, max_gb=1e9) == found
    with pytest.raises(ValueError, match=r"prune\.kind.*kind.*nothing"):
        to_prune(found, kind="nothing", days=1)
    with pytest.raises(ValueError, match=r"prune\.days=30"):
        to_prune(found)
    with store.FileLock(found[0].folder.with_suffix(".lock")):
        assert not remove(found[0])
    assert remove(found[0])
    assert items(tmp_path) == found[1:]


def test_a_checkpoint_that_a_run_shares_with_the_store_frees_nothing(tmp_path):
    folder = entry_of(tmp_path / "store")
    (alone,) = items(tmp_path / "store")
    copy_files(folder, tmp_path / "run", only=["thing", "deep"], linked=["thing"])
    (shared,) = items(tmp_path / "store")
    assert alone.size - shared.size == len("made")
    assert (tmp_path / "run" / "thing").samefile(folder / "thing")
    assert not (tmp_path / "run" / "deep" / "other").samefile(folder / "deep" / "other")
    (tmp_path / "run" / "deep" / "other").write_text("edited by somebody")
    assert entry.damage(folder) is None


def test_what_two_entries_share_counts_with_the_one_used_last(tmp_path):
    made = Store(tmp_path / "store")
    folders = [made.fetch("kind", {"a": a}, lambda f: (f / "x").write_bytes(bytes(9000)))[0] for a in (1, 2, 3)]
    (folders[1] / "x").unlink()
    (folders[1] / "x").hardlink_to(folders[0] / "x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x").hardlink_to(folders[2] / "x")
    for folder, days in zip(folders, (40, 20, 60), strict=True):
        os.utime(folder, (0, time.time() - days * 86_400))
    found = items(tmp_path / "store")
    assert [item.folder for item in found] == [folders[2], folders[0], folders[1]]
    assert [item.size > 9000 for item in found] == [False, False, True]
    assert to_prune(found, max_gb=0) == found[2:], "what run folders hold as well frees nothing"


def test_what_cannot_be_linked_is_copied(tmp_path, monkeypatch):
    def no_links(self, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    make_in = tmp_path / "a"
    make_in.mkdir()
    make(make_in)
    assert copy_files(make_in, tmp_path / "b", linked=["thing", "other"]) == 2
    assert (tmp_path / "b" / "deep" / "other").read_text() == "also"
    assert not (tmp_path / "b" / "thing").samefile(make_in / "thing")


def test_the_command_lists_and_prunes(tmp_path, capsys):
    from hydra import compose, initialize_config_dir

    from privacy_exp.cache.__main__ import run
    from privacy_exp.sweep.entry import CONF

    def command(*overrides):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            run(compose("cache", overrides=[f"cache.root={tmp_path}", *overrides]))
        return capsys.readouterr().out

    folder = entry_of(tmp_path)
    seconds = json.loads((folder / entry.LABEL).read_text())["seconds"]
    assert seconds >= 0
    assert "kind" in command()
    assert "would go: kind" in command("prune.days=0", "dry_run=true")
    assert folder.is_dir()
    assert "removed: kind" in command("prune.max_gb=0")
    assert not folder.exists()
    with pytest.raises(ValueError, match="at least 0"):
        command("prune.days=-1")
