"""The cache's parts one by one: names in files, copies, pruning, rows, labels and the store's edges."""

import errno
import os
import shutil
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from privacy_exp import UserError
from privacy_exp.cache import copies, pruning
from privacy_exp.cache.copies import copy_file, copy_files
from privacy_exp.cache.named import class_named, make_named
from privacy_exp.cache.pruning import Item, items, remove, to_prune
from privacy_exp.cache.rows import Rows, picture_name
from tests.cache.trees import tree

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
    with raises(r"names privacy_exp\.nothing\.Here, which can't be imported here: No module named"):
        class_named("privacy_exp.nothing.Here", Rows, "a.json")
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
