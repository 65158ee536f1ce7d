"""Where a stored thing comes from is said when it is used again; where the store lies when nobody says."""

import json
import logging
import os
import time
from pathlib import Path

import pytest
import torch

from privacy_exp.cache import entry
from privacy_exp.cache.pruning import items, to_prune
from privacy_exp.cache.store import Store, default_root


def make(folder: Path) -> None:
    (folder / "thing").write_text("made")


def relabel(folder: Path, **changes) -> None:
    label = json.loads((folder / entry.LABEL).read_text())
    (folder / entry.LABEL).write_text(json.dumps(label | changes))


@pytest.mark.parametrize("how", ["fetch", "open_folder"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"versions": {"torch": "9.9.9"}}, ["torch 9.9.9, now"]),
        ({"versions": {"pillow": "0.1", "onnxruntime": "0.2"}}, ["pillow 0.1, now", "onnxruntime 0.2, now"]),
        ({"threads": 64}, ["64 threads, now"]),
        ({}, []),
    ],
)
def test_other_versions_and_threads_are_said_on_reuse(tmp_path, caplog, how, changes, words):
    def use(store: Store) -> Path:
        return store.open_folder("k", {"a": 1}) if how == "open_folder" else store.fetch("k", {"a": 1}, make)[0]

    folder = use(Store(tmp_path))
    relabel(folder, **changes)
    store = Store(tmp_path)
    with caplog.at_level(logging.WARNING):
        use(store)
        use(store)
    assert len(store.notes) == bool(words), "once a store"
    for word in words:
        assert word in store.notes[0]
        assert word in caplog.text


def test_the_label_says_versions_and_threads(tmp_path):
    folder, _ = Store(tmp_path).fetch("k", {}, make)
    made = entry.origin_of(folder)
    assert made["threads"] == torch.get_num_threads()
    assert made["versions"]["torch"] == torch.__version__.partition("+")[0] or made["versions"]["torch"]
    assert {"pillow", "opencv-python-headless", "onnxruntime", "onnx2torch", "grad-cam", "captum"} <= set(
        made["versions"]
    )


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"XDG_CACHE_HOME": "/x", "HOME": "/home/me"}, "/x/privacy_exp"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/privacy_exp"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/privacy_exp"),
        ({"HOME": "/home/me"}, "/home/me/.cache/privacy_exp"),
    ],
)
def test_the_place_of_the_store(monkeypatch, environment, root):
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_root() == Path(root)


def test_without_a_home_there_is_still_a_place(monkeypatch):
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert default_root().is_absolute()
    assert default_root().parent != Path("/")


@pytest.mark.parametrize("command", ["train", "deletion", "evaluate", "cache"])
def test_every_command_asks_the_same_place(monkeypatch, tmp_path, command):
    from hydra import compose, initialize_config_dir

    from privacy_exp.sweep.entry import CONF

    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert compose(command).cache.root == f"{tmp_path}/.cache/privacy_exp"


def test_what_vanishes_while_it_is_listed_is_passed_over(tmp_path, monkeypatch):
    Store(tmp_path).fetch("k", {"a": 1}, make)
    gone = tmp_path / "k" / ".2.part"
    gone.mkdir()
    real = Path.stat

    def stat(self, **keys):
        if self == gone:
            raise FileNotFoundError(self)
        return real(self, **keys)

    monkeypatch.setattr(Path, "stat", stat)
    assert [item.kind for item in items(tmp_path)] == ["k"]


def test_pruning_by_size_is_quick_for_many(tmp_path):
    """It took minutes when each item looked through all others."""
    from privacy_exp.cache.pruning import Item

    class Counted(list):
        seen = 0

        def __iter__(self):
            Counted.seen += 1
            return super().__iter__()

    found = Counted(Item("k", tmp_path / str(i), 1000, time.time() - 60, None) for i in range(200))
    assert len(to_prune(found, max_gb=0)) == 200
    assert Counted.seen <= 4


def test_a_file_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    """Else a power cut leaves files of zero bytes."""
    from privacy_exp.cache.files import write_text

    order: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("sync"), sync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("rename"), replace(self, to))[1])
    write_text(tmp_path / "a", "x")
    assert order == ["sync", "rename"]
