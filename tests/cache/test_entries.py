"""The store and what an entry says of itself, one edge after another."""

import errno
import json
import logging
import os
import platform
import tempfile
import time
from importlib.metadata import distributions
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from privacy_exp import __version__
from privacy_exp.cache import entry, files, store
from privacy_exp.cache.entry import LABEL, damage, differences, origin, origin_of, seal
from privacy_exp.cache.store import Store, default_root
from tests.cache.trees import tree

THIS = __name__


def test_an_entry_says_what_it_is_and_what_is_wrong_with_it(tmp_path):
    folder = tree(tmp_path / "e", x="abc", deep__y="")
    seal(folder, "kind", {"a": ["ü"]}, 1.5)
    label = json.loads((folder / LABEL).read_text(encoding="utf-8"))
    assert label.keys() == {"kind", "made", "seconds", "versions", "threads", "fields", "files"}
    assert (label["kind"], label["seconds"], label["fields"]) == ("kind", 1.5, {"a": ["ü"]})
    assert abs(label["made"] - time.time()) < 60
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert label["files"] == {"deep/y": {"bytes": 0, "sha256": empty}, "x": {"bytes": 3, "sha256": abc}}
    assert "ü" in (folder / LABEL).read_text(encoding="utf-8")
    assert damage(folder) is None
    (folder / "more").write_text("of no concern")
    assert damage(folder) is None
    (folder / "x").unlink()
    assert damage(folder) == "x is missing"
    (folder / "x").write_text("abd")
    assert damage(folder) == "x has changed since it was written"
    (folder / "x").write_text("abc")
    assert damage(folder) is None
    for text in ("{", "[]", "{}", '{"files": 3}'):
        (folder / LABEL).write_text(text)
        assert damage(folder) == "entry.json cannot be read"
    (folder / LABEL).unlink()
    assert damage(folder) == "no entry.json"


def test_an_entry_is_read_in_full_once(tmp_path, monkeypatch):
    folder, read = tree(tmp_path / "e", x="abc", y="d"), []
    seal(folder, "kind", {}, 0.0)
    hashed = entry._size_and_hash
    monkeypatch.setattr(entry, "_size_and_hash", lambda path: read.append(path.name) or hashed(path))
    assert damage(folder) is damage(folder) is None
    assert read == ["x", "y"]
    os.utime(folder / "y", (1, 1))
    assert damage(folder) is None
    assert read == ["x", "y", "x", "y"]
    assert entry._stamp(folder / "y") == (1, 1_000_000_000)
    assert entry._stamp(folder / "none") == (-1, -1)


def test_other_versions_and_threads_are_told(tmp_path, monkeypatch):
    now = {"versions": {"torch": "2", "numpy": "3", "new": "1"}, "threads": 4}
    monkeypatch.setattr(entry, "origin", lambda: now)
    assert differences({"versions": {"torch": "1", "numpy": "3", "gone": "9"}, "threads": 4}) == ["torch 1, now 2"]
    assert differences({"versions": {}, "threads": 2}) == ["2 threads, now 4"]
    assert differences({}) == differences({"threads": None}) == []
    now["threads"] = None
    assert differences({"threads": 2}) == [], "torch is not loaded"
    monkeypatch.undo()
    assert origin().keys() == {"versions", "threads"}
    assert {"privacy_exp", "python", "platform", "torch", "numpy"} <= origin()["versions"].keys()
    folder = tree(tmp_path / "e", x="")
    assert origin_of(folder) == {}
    seal(folder, "kind", {}, 0.0)
    assert origin_of(folder) == json.loads(json.dumps(origin()))
    for text, found in (("{", {}), ("[]", {}), ('{"threads": 2, "a": 1}', {"threads": 2})):
        (folder / LABEL).write_text(text)
        assert origin_of(folder) == found
    monkeypatch.delitem(entry.sys.modules, "torch")
    assert origin()["threads"] is None


def test_the_libraries_that_move_figures_are_named():
    names = (
        "torch torchvision diffusers transformers pytorch-lightning facenet-pytorch numpy pillow opencv-python-headless"
    )
    names += " onnx onnxruntime onnx2torch grad-cam captum"
    own = {"privacy_exp": __version__, "python": platform.python_version(), "platform": platform.platform(terse=True)}
    there = {dist.metadata["Name"].lower(): dist.version for dist in distributions()}
    found = entry.installed_versions.__wrapped__()
    assert found == own | {name: there[name] for name in names.split() if name in there}
    assert entry.origin()["threads"] == torch.get_num_threads()


def test_a_disk_that_is_full_or_closed_is_explained(tmp_path):
    for number in (errno.ENOSPC, errno.EDQUOT):
        found = files.explained(OSError(number, "x"), tmp_path / "f")
        assert found.errno == number
        assert str(tmp_path / "f") in str(found)
        assert "no space left there" in str(found)
        assert "cache.root=DIR" in str(found)
    for number in (errno.EACCES, errno.EROFS, errno.EPERM):
        found = files.explained(OSError(number, "x"), tmp_path / "f")
        assert found.errno == number
        assert "not writable; choose another place" in str(found)
    other = OSError(errno.EIO, "x")
    assert files.explained(other, tmp_path / "f") is other


def test_a_file_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    order, replace = [], Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: order.append(("fsync", os.fstat(number).st_size)))
    monkeypatch.setattr(Path, "replace", lambda self, to: order.append((self.name[:6], to.name)) or replace(self, to))
    files.write_bytes(tmp_path / "deep" / "er" / "file.txt", b"abc")
    assert order == [("fsync", 3), (".file-", "file.txt")]
    assert (tmp_path / "deep/er/file.txt").read_bytes() == b"abc"
    with files.atomic_file(tmp_path / "p.npz") as temporary:
        assert temporary.suffix == ".npz"
        assert temporary.parent == tmp_path
        temporary.write_text("x")
    assert (tmp_path / "p.npz").stat().st_mode & 0o777 == 0o666 & ~files._umask()


def test_where_the_store_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, expected in (
        (str(tmp_path / "x"), tmp_path / "x"),
        ("", tmp_path / ".cache"),
        ("a", tmp_path / ".cache"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert default_root() == expected / "privacy_exp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "relative")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "user")
    assert default_root() == tmp_path / "user" / ".cache" / "privacy_exp"

    def nobody():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nobody)
    assert default_root() == Path(tempfile.gettempdir()) / f"privacy_exp-{os.getuid()}"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store("~/x").root == tmp_path / "x"


def fill(folder):
    (folder / "x").write_text("made")


def test_ones_own_store_is_for_nobody_else(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "default_root", lambda: tmp_path / "own")
    Store(tmp_path / "own").fetch("kind", {}, fill)
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700
    Store(tmp_path / "other").fetch("kind", {}, fill)
    assert (tmp_path / "other").stat().st_mode & 0o077 == 0o077 & ~files._umask()
    (tmp_path / "own").chmod(0o755)
    Store(tmp_path / "own").fetch("kind", {"a": 1}, fill)
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o755, "one that is there is left as it is"


def test_a_use_is_a_use(tmp_path, monkeypatch, caplog):
    folder, _ = Store(tmp_path).fetch("kind", {}, fill)
    open_folder = Store(tmp_path).open_folder("open", {"a": 1})
    assert json.loads((open_folder / LABEL).read_text())["fields"] == {"a": 1}
    assert json.loads((open_folder / LABEL).read_text())["seconds"] == 0
    assert json.loads((open_folder / LABEL).read_text())["files"] == {}
    for one in (folder, open_folder):
        os.utime(one, (0, 0))
    assert Store(tmp_path).find("kind", {}) == folder
    assert Store(tmp_path).open_folder("open", {"a": 1}) == open_folder
    assert min(one.stat().st_mtime for one in (folder, open_folder)) > 1
    assert Store(tmp_path).find("kind", {"b": 1}) is None
    monkeypatch.setattr(store, "differences", lambda made: ["torch 1, now 2", "2 threads, now 4"] if made else [])
    used = Store(tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            used.find("kind", {})
            used.open_folder("open", {"a": 1})
    said = "a stored {} is used that was made with torch 1, now 2; 2 threads, now 4 ({})"
    assert used.notes == [said.format("kind", folder.name), said.format("open", open_folder.name)]
    assert [r.getMessage() for r in caplog.records] == [
        f"{note}; prune.kind={kind} makes it anew" for note, kind in zip(used.notes, ("kind", "open"), strict=True)
    ]


def test_a_layout_is_part_of_the_key(tmp_path, monkeypatch):
    before = Store(tmp_path).folder("kind", {"a": 1})
    assert before.parent == tmp_path / "kind"
    monkeypatch.setattr(store, "LAYOUT", store.LAYOUT + 1)
    assert Store(tmp_path).folder("kind", {"a": 1}) != before


def test_other_faults_than_a_full_or_closed_disk_are_raised(tmp_path, monkeypatch):
    def fault(number):
        def compute(folder):
            raise OSError(number, "fault")

        return compute

    with pytest.raises(OSError, match="fault"):
        Store(tmp_path).fetch("kind", {}, fault(errno.EIO))
    with Store(tmp_path).locked("kind", {}) as held, pytest.raises(OSError, match=r"could not write .*: no space left"):
        held.put(fault(errno.ENOSPC))
    monkeypatch.setattr(FileLock, "acquire", lambda self, timeout=None: fault(errno.EIO)(None))
    with pytest.raises(OSError, match="fault"):
        Store(tmp_path).fetch("kind", {}, fill)
    monkeypatch.setattr(FileLock, "acquire", lambda self, timeout=None: fault(errno.EROFS)(None))
    closed = Store(tmp_path)
    folder, reused = closed.fetch("kind", {}, fill)
    assert (folder / "x").read_text() == "made"
    assert not reused
    assert folder.name.startswith("privacy_exp-")
    assert not folder.is_relative_to(tmp_path)


def test_who_waits_says_so_and_takes_what_the_other_made(tmp_path, caplog):
    other, mine = Store(tmp_path), Store(tmp_path)
    found, asked = mine.find, []

    def find(kind, fields):
        asked.append(kind)
        if len(asked) == 1:  # nothing yet; the other job makes it just now
            other.fetch(kind, fields, fill)
            return None
        return found(kind, fields)

    mine.find = find
    folder, reused = mine.fetch("kind", {"a": 1}, lambda folder: pytest.fail("made twice"))
    assert reused
    assert (folder / "x").read_text() == "made"
    label = json.loads((folder / LABEL).read_text())
    assert (label["kind"], label["fields"]) == ("kind", {"a": 1})
    assert 0 <= label["seconds"] < 60
    with FileLock(folder.with_suffix(".lock")) as held, caplog.at_level(logging.INFO):
        lock = FileLock(folder.with_suffix(".lock"))
        acquire, tries = lock.acquire, []

        def patient(timeout=None):
            tries.append(timeout)
            return acquire(timeout=timeout) if timeout == 0 else held

        lock.acquire = patient
        assert mine._acquire(lock, folder) is True
    assert tries == [0, None]
    assert "waiting for another job that computes the same kind" in caplog.text


def test_an_entry_made_anew_takes_the_place_of_the_old(tmp_path):
    kept = Store(tmp_path)
    folder, _ = kept.fetch("kind", {}, fill)
    tree(folder.with_name(f".{folder.name}.old"), left="of a killed job")
    with kept.locked("kind", {}) as held:
        assert held.put(lambda place: (place / "y").write_text("anew")) == folder
    assert sorted(p.name for p in folder.iterdir()) == [LABEL, "y"]
    assert sorted(p.name for p in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]
    (folder / "y").write_text("spoilt")
    with kept.locked("kind", {}) as held:
        held.put(fill)
    (aside,) = (tmp_path / "damaged").iterdir()
    assert aside.name.startswith(f"kind-{folder.name}-")
    assert (aside / "y").read_text() == "spoilt"
