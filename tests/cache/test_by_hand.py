"""The cache's parts one by one: names in files, copies, pruning, rows, labels and the store's edges."""

import errno
import json
import logging
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from privacy_exp import UserError
from privacy_exp.cache import copies, entry, files, pruning, store
from privacy_exp.cache.copies import copy_file, copy_files
from privacy_exp.cache.entry import LABEL, damage, differences, origin, origin_of, seal
from privacy_exp.cache.named import class_named, make_named
from privacy_exp.cache.pruning import Item, items, remove, to_prune
from privacy_exp.cache.rows import Rows, picture_name
from privacy_exp.cache.store import Store, default_root

THIS = __name__


class Thing:
    def __init__(self, a=1, b=None):
        self.a, self.b = a, b

    @classmethod
    def from_pretrained(cls, name, a=2):
        return cls(a, name)


class Starter(Thing):
    starts_code = True


class Broken(Thing):
    def __init__(self, a):
        raise {"type": TypeError, "attribute": AttributeError, "key": KeyError, "value": OSError}[a]("no")


def raises(match):
    return pytest.raises(UserError, match=match)


def test_only_trusted_or_imported_classes_are_named():
    assert class_named(f"{THIS}.Thing", Thing, "file") is Thing
    assert class_named(f"{THIS}.Starter", Thing, "file") is Starter
    assert class_named("privacy_exp.cache.rows.Rows", Rows, "file") is Rows
    with raises(r"a\.json names wsgiref\.nothing\.X, which is not a part of privacy_exp.*trust=\[wsgiref\]"):
        class_named("wsgiref.nothing.X", Thing, "a.json")
    with raises(r"a\.json names wsgiref\.nothing\.X, which can't be imported here: No module named 'wsgiref\.nothing'"):
        class_named("wsgiref.nothing.X", Thing, "a.json", ["other", "wsgiref"])
    with raises(r"names privacy_exp\.cache\.rows\.Nobody, which can't be imported here: module .* has no attribute"):
        class_named("privacy_exp.cache.rows.Nobody", Rows, "a.json")
    for other in ("Rows", "Path", "picture_name"):
        with raises(rf"a\.json names privacy_exp\.cache\.rows\.{other}, which is not a Thing"):
            class_named(f"privacy_exp.cache.rows.{other}", Thing, "a.json")
    with raises("names Thing, which is not a part"):
        class_named("Thing", Thing, "a.json")


def test_an_object_is_made_of_plain_values():
    made = make_named({"_target_": f"{THIS}.Thing", "a": 3, "_source_": "x"}, Thing, "file")
    assert (type(made), made.a, made.b) == (Thing, 3, None)
    changed = make_named({"_target_": f"{THIS}.Thing", "a": 3}, Thing, "file", changes={"a": 4, "b": [5]})
    assert (changed.a, changed.b) == (4, [5])
    pretrained = make_named({"_target_": f"{THIS}.Thing.from_pretrained", "name": "hub"}, Thing, "file")
    assert (pretrained.a, pretrained.b) == (2, "hub")
    plain = {"b": {"c": [1, {"d": 2}]}}
    assert make_named({"_target_": f"{THIS}.Thing", **plain}, Thing, "file").b == plain["b"]
    for nested in (
        {"_target_": "x"},
        {"c": {"_target_": "x"}},
        [1, {"_target_": "x"}],
        {"c": [{"d": {"_target_": 1}}]},
    ):
        with raises(r"file describes an object inside `b`; only plain values"):
            make_named({"_target_": f"{THIS}.Thing", "a": 1, "b": nested}, Thing, "file")
    with raises("file names a Starter, which starts code that its arguments name"):
        make_named({"_target_": f"{THIS}.Starter"}, Thing, "file")
    for kind in ("type", "attribute", "key"):
        with raises("file describes a Broken that can't be made here: '?no'?"):
            make_named({"_target_": f"{THIS}.Broken", "a": kind}, Thing, "file")
    with pytest.raises(OSError, match="no"):
        make_named({"_target_": f"{THIS}.Broken", "a": "value"}, Thing, "file")
    with raises("names None, which is not a part"):
        make_named({}, Thing, "file")
    with raises("wsgiref.x.Y, which can't be imported"):
        make_named({"_target_": "wsgiref.x.Y"}, Thing, "file", trust=["wsgiref"])


def tree(root, **contents):
    for name, content in contents.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_files_are_copied_under_their_names(tmp_path):
    source = tree(tmp_path / "a", x="1", deep__y="2", deep__more__z="3", other="4")
    tree(tmp_path / "b", x="old", kept="5")
    assert copy_files(source, tmp_path / "b") == 4
    found = {str(p.relative_to(tmp_path / "b")): p.read_text() for p in (tmp_path / "b").rglob("*") if p.is_file()}
    assert found == {"x": "1", "deep/y": "2", "deep/more/z": "3", "other": "4", "kept": "5"}
    assert copy_files(source, tmp_path / "c", only=["deep"], linked=["z"]) == 2
    assert sorted(p.name for p in (tmp_path / "c").rglob("*") if p.is_file()) == ["y", "z"]
    assert (tmp_path / "c/deep/more/z").samefile(source / "deep/more/z")
    assert not (tmp_path / "c/deep/y").samefile(source / "deep/y")


def test_a_copy_is_whole_or_not_at_all(tmp_path, monkeypatch):
    source, target = tree(tmp_path, a="new", b="old") / "a", tmp_path / "b"
    left = tmp_path / f".b.{os.getpid()}"
    left.hardlink_to(source)  # of a killed process with this number
    copy_file(source, target)
    assert (source.read_text(), target.read_text(), left.exists()) == ("new", "new", False)
    monkeypatch.setattr(copies, "_clone", lambda *a: False)

    def full(read, written):
        written.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match=rf"could not write {target}: no space left there"):
        copy_file(source, target)
    assert target.read_text() == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    monkeypatch.setattr(copies, "_clone", lambda read, written: written.write_text("cloned") > 0)
    copy_file(source, target)
    assert target.read_text() == "cloned", "nothing is copied that shares its blocks"
    copy_file(source, target, linked=True)
    assert target.samefile(source), "nor what is one file"


def test_blocks_are_shared_where_the_file_system_can(tmp_path, monkeypatch):
    import fcntl

    source, asked = tree(tmp_path, a="x") / "a", []
    monkeypatch.setattr(fcntl, "ioctl", lambda written, what, read: asked.append((written.name, what, read)))
    assert copies._clone(source, tmp_path / "b") is True
    assert asked[0][:2] == (str(tmp_path / "b"), 0x40049409)
    assert isinstance(asked[0][2], int)

    def cannot(*args):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "ioctl", cannot)
    assert copies._clone(source, tmp_path / "b") is False
    assert copies._link(source, tmp_path / "new") is True
    assert copies._link(source, tmp_path / "new") is False


def item(name, size=10, used=0.0, kind="cell"):
    return Item(kind, Path(name), size, used, None)


def test_pruning_by_hand(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 10 * 86_400.0)
    found = [item("a", 3, 0.0), item("b", 4, 5 * 86_400.0, "fit"), item("c", 5, 9 * 86_400.0)]
    assert [one.days for one in found] == [10, 5, 1]
    assert to_prune(found, days=5) == found[:1], "just as old is not older"
    assert to_prune(found, days=0) == found
    assert to_prune(found, kind="fit", days=0) == found[1:2]
    giga = [item(one.folder, int(one.size * 1e9), one.used, one.kind) for one in found]
    assert to_prune(giga, max_gb=12) == []
    assert to_prune(giga, max_gb=11.999) == giga[:1]
    assert to_prune(giga, max_gb=9) == giga[:1]
    assert to_prune(giga, max_gb=8) == giga[:2]
    assert to_prune(giga, max_gb=0) == giga
    assert to_prune(giga, kind="fit", max_gb=1) == giga[1:2]
    assert to_prune(giga, days=6, max_gb=9) == giga[:1], "what goes by age counts"
    assert to_prune(giga, days=6, max_gb=5) == giga[:2]
    assert to_prune([item("e", 0), giga[1]], max_gb=1) == [giga[1]], "nothing is gained by the first"
    for name, keys in (("days", {"days": -0.1}), ("max_gb", {"days": 1, "max_gb": -1})):
        with raises(rf"`prune\.{name}` must be at least 0, but got -"):
            to_prune(found, **keys)
    with raises(r"must be one of cell, fit, got x"):
        to_prune(found, kind="x", days=1)
    with raises("must be one of nothing: the store is empty, got x"):
        to_prune([], kind="x", days=1)
    with raises(r"prune\.days=30 or prune\.max_gb=20"):
        to_prune(found, kind="fit")


def test_what_lies_in_a_store(tmp_path):
    root = tmp_path / "store"
    tree(root, kind__one__entry_json="", kind__one__x="12345", kind__two__deep__y="123", damaged__d__z="1", lone="no")
    (root / "kind/one/entry.json").write_text('{"seconds": 2.5}')
    (root / "kind/two/entry.json").write_text('{"seconds": null}')
    tree(root, kind__file="no folder")
    tree(root / "kind/.three.part", p="12")
    for name, used in (("kind/one", 300), ("kind/two", 100), ("damaged/d", 200), ("kind/.three.part", 400)):
        os.utime(root / name, (0, used))
    found = items(root)
    assert [(i.kind, i.folder.name, i.used) for i in found] == [
        ("kind", "two", 100), ("damaged", "d", 200), ("kind", "one", 300), ("partial", ".three.part", 400)
    ]  # fmt: skip
    assert [i.size for i in found] == [3 + 17, 1, 5 + 16, 2]
    assert [i.seconds for i in found] == [None, None, 2.5, None]
    assert [i.frees_something for i in found] == [True] * 4
    os.link(root / "kind/one/x", tmp_path / "run")
    (one,) = [i for i in items(root) if i.folder.name == "one"]
    assert (one.size, one.frees_something) == (16, False), "its label alone"
    for text in ("{", "[]", '{"a": 1}', '{"seconds": "x"}'):
        (root / "kind/one/entry.json").write_text(text)
        assert pruning._seconds(root / "kind/one") is None
    assert items(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["abc", ".abc.part", ".abc.old"])
def test_what_a_job_holds_stays(tmp_path, name):
    folder = tmp_path / "kind" / name
    tree(folder, x="1")
    held = item(folder)
    with FileLock(tmp_path / "kind" / "abc.lock"):
        assert remove(held) is False
        assert folder.is_dir()
    assert remove(held) is True
    assert not folder.exists()
    assert remove(held) is True, "gone is gone"
    assert remove(item(tmp_path / "none" / "x")) is True


def test_rows_are_kept_each_by_itself(tmp_path):
    rows, asked = Rows(tmp_path / "r", "squares"), []

    def compute(*values):
        return lambda: (
            asked.append(values) or {"square": np.array([v * v for v in values]), "text": np.array(["t"] * len(values))}
        )

    assert rows(["01", "02"], compute(1, 2))["square"].tolist() == [1, 4]
    assert (rows.read, rows.computed) == (0, 2)
    assert (tmp_path / "r" / "01" / "01.npz").is_file()
    found = rows(["02", "03", "01"], compute(20, 3, 10))
    assert found["square"].tolist() == [4, 9, 1], "what is known stays, what is new is its own"
    assert found["text"].tolist() == ["t"] * 3
    assert (rows.read, rows.computed, asked) == (2, 3, [(1, 2), (20, 3, 10)])
    assert rows(["03"], compute(0))["square"].tolist() == [9]
    assert (rows.read, rows.computed, len(asked)) == (3, 3, 2)
    assert rows.find(["03", "01"])["square"].tolist() == [9, 1]
    assert rows.read == 5
    assert rows.find(["03", "04"]) is None
    assert rows.read == 5
    for damaged in (b"", b"PK\x03\x04 torn", (tmp_path / "r/02/02.npz").read_bytes()[:-30]):
        (tmp_path / "r/02/02.npz").write_bytes(damaged)
        assert rows.find(["02"]) is None
        assert rows(["02"], compute(5))["square"].tolist() == [25]
    np.savez(tmp_path / "r/02/02.npz", square=np.array(None, dtype=object))
    assert rows.find(["02"]) is None, "pickles are not loaded"


def test_rows_that_cannot_be_kept_are_said_once(tmp_path, monkeypatch):
    tried = []

    def closed(path):
        tried.append(path)
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("privacy_exp.cache.rows.atomic_file", closed)
    rows = Rows(tmp_path, "squares")
    with pytest.warns(UserWarning, match="squares are computed without being kept: Read-only file system"):
        assert rows(["1", "2"], lambda: {"a": np.array([1, 2])})["a"].tolist() == [1, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows(["3"], lambda: {"a": np.array([3])})
    assert len(tried) == 1

    def broken(path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("privacy_exp.cache.rows.atomic_file", broken)
    with pytest.raises(OSError, match="Input/output"):
        Rows(tmp_path, "squares")(["1"], lambda: {"a": np.array([1])})


def test_pictures_are_named_by_shape_format_and_pixels():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 6)
    others = [picture.reshape(6, 2), picture.astype(np.int8), picture + np.uint8(1), picture[:, ::-1]]
    names = {picture_name(one) for one in [picture, *others]}
    assert len(names) == 5
    assert {len(name) for name in names} == {32}
    assert picture_name(np.asfortranarray(picture)) == picture_name(picture)


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
