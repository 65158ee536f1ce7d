import errno
import json
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from privacy_exp.cache.files import atomic_file, write_text
from privacy_exp.cache.keys import content_key
from privacy_exp.cache.store import Store
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.record import Record, read_record, write_images
from privacy_exp.types import Metric


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "a" / "file.txt"
    write_text(path, "old")

    def fail():
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"could not write .*file\.txt.*no space left.*hydra\.run\.dir"):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize(("mask", "rights"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
def test_files_have_the_rights_that_the_user_gives_new_ones(tmp_path, mask, rights):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "x")
        assert os.umask(mask) == mask, "left as it was"
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == rights


def test_a_temporary_file_lies_in_the_work_folder_that_was_named(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    places, replace = [], Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (places.append(self.parent.name), replace(self, to))[1])
    write_text(tmp_path / "out" / "file", "x", tmp_path / "work")
    write_text(tmp_path / "out" / "file", "x")
    assert places == ["work", "out"]


def test_keys_ignore_order_and_see_values():
    assert content_key({"a": 1, "b": [2, None]}) == content_key({"b": [2, None], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
    with pytest.raises(TypeError):
        content_key({"a": object()})


def test_the_store_computes_once_even_for_two_at_once(tmp_path):
    store, calls, gate = Store(tmp_path), [], threading.Barrier(2)

    def compute(folder):
        calls.append(folder)
        (folder / "thing").write_text("made")

    def job():
        gate.wait()
        path, _ = store.fetch("kind", {"a": 1}, compute)
        assert (path / "thing").read_text() == "made"

    threads = [threading.Thread(target=job) for _ in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(calls) == 1
    assert store.fetch("kind", {"a": 1}, compute)[1] is True
    assert store.fetch("kind", {"a": 2}, compute)[1] is False


def test_a_failed_computation_leaves_nothing(tmp_path):
    def compute(folder):
        (folder / "half").write_text("x")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        Store(tmp_path).fetch("kind", {}, compute)
    assert [p.name for p in (tmp_path / "kind").iterdir() if p.suffix != ".lock"] == []


def test_pictures_come_back_exactly_as_png_and_closely_as_jpeg(tmp_path):
    images = torch.rand(2, 3, 33, 40, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(images, 9, 1, 4)
    masks = torch.zeros(2, 1, 33, 40, dtype=torch.bool)
    masks[:, :, 5:20, 7:30] = True
    for image_format, tolerance in (("png", 0.5 / 255 + 1e-6), ("jpg", 10 / 255)):
        folder = RunFolder(tmp_path / image_format, image_format)
        folder.save("original", ["a%2Db", "c"], torch.tensor([3, 0]), smooth)
        folder.save("masks", ["a%2Db", "c"], torch.tensor([3, 0]), masks)
        found = folder.list("original")
        assert {k: v[1] for k, v in found.items()} == {"a%2Db": 3, "c": 0}
        assert found["a%2Db"][0].name == f"a%2Db-img-label-3.{image_format}"
        back = folder.read([path for path, _ in found.values()])
        assert float((back - smooth).abs().max()) <= tolerance
        assert folder.read_masks([p for p, _ in folder.list("masks").values()]).equal(masks)


def test_jpeg_keeps_full_colour_resolution(tmp_path):
    RunFolder(tmp_path, "jpg").save("original", ["a"], None, torch.rand(1, 3, 16, 16))
    with Image.open(tmp_path / "original" / "a-img-label-unknown.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # 4:4:4


def test_reading_names_what_is_wrong(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no pictures"):
        folder.list("original")
    (tmp_path / "original").mkdir()
    (tmp_path / "original" / "a-img-label-x.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="is not named"):
        folder.list("original")
    (tmp_path / "original" / "a-img-label-x.jpg").rename(tmp_path / "original" / "a-img-label-1.jpg")
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        folder.read([tmp_path / "original" / "a-img-label-1.jpg"])
    with pytest.raises(ValueError, match="image_format"):
        RunFolder(tmp_path, "gif")


def test_records_hold_no_nan_and_are_read_back(tmp_path):
    metric = Metric(None, None, None, 0, "nothing was recognised")
    record = Record("k", {"data": "d"}, {"seed": 0}, 0.25, 0, 3, {"fool_rate": metric}, [], {"fit_s": 0.0})
    record.write(tmp_path)
    read = read_record(tmp_path)
    assert read["metrics"]["fool_rate"]["reason"] == "nothing was recognised"
    assert read["metrics"]["fool_rate"]["value"] is None
    record.metrics["accuracy"] = Metric(float("nan"), 0.0, 1.0, 3)
    with pytest.raises(ValueError, match="Out of range float values"):
        record.write(tmp_path)
    assert read_record(tmp_path) == read, "the good record still stands"
    (tmp_path / "record.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(ValueError, match="schema 99"):
        read_record(tmp_path)
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        read_record(tmp_path)


def test_equal_tables_give_equal_files(tmp_path):
    table = pd.DataFrame({"image_id": ["a", "b"], "prob": np.array([0.1, 0.2])})
    first = write_images(tmp_path / "one", table).read_bytes()
    assert write_images(tmp_path / "two", table).read_bytes() == first
