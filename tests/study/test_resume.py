"""A cell that was computed before, whole or in part, is not computed again."""

import errno
import json
import logging
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reader import read_cells

from privacy_exp.cache import files
from privacy_exp.inpainting.controls import MeanFill
from privacy_exp.runs.running import running, write_cell
from privacy_exp.types import UserError

UNLIKE = {"timing", "config", "device", "taken_from"}


def science(folder: Path) -> dict:
    """The record without what may differ between equal runs."""
    (record,) = read_cells(folder)
    return {name: value for name, value in record.items() if name not in UNLIKE}


def pictures(folder: Path) -> dict[str, bytes]:
    kinds = ("original", "masks", "results", "control")
    return {f"{kind}/{path.name}": path.read_bytes() for kind in kinds for path in (folder / kind).iterdir()}


@pytest.fixture
def painted(monkeypatch) -> list[str]:
    """Ids of the images that are painted while a test runs; `limit` images in, the process dies as if it was killed."""

    class Painted(list):
        limit = 10**9

    ids, original = Painted(), MeanFill.repaint

    def repaint(self, faces, masks, generators):
        if len(ids) >= ids.limit:
            raise KeyboardInterrupt
        ids.extend(faces.ids)
        return original(self, faces, masks, generators)

    monkeypatch.setattr(MeanFill, "repaint", repaint)
    return ids


def test_a_finished_cell_is_taken_whole_and_says_so(cheap, tmp_path, painted, caplog):
    store = tmp_path / "store"
    first = cheap(tmp_path / "one", store)
    count = len(painted)
    with caplog.at_level(logging.INFO):
        again = cheap(tmp_path / "two", store, "batch_size=7", "data.num_workers=0")
    assert len(painted) == count == 10
    assert "finished before: taken from" in caplog.text
    assert again == first
    assert science(tmp_path / "two") == science(tmp_path / "one")
    assert pictures(tmp_path / "two") == pictures(tmp_path / "one")
    for name in ("images.parquet", "manifest.csv", "recognizer.ckpt", "grid.png"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name
        assert (tmp_path / "two" / name).samefile(tmp_path / "one" / name) == (name == "recognizer.ckpt"), name
    (served,) = read_cells(tmp_path / "two")
    assert Path(served["taken_from"]["folder"]).is_relative_to(store)
    assert (served["taken_from"]["config"]["batch_size"], served["config"]["batch_size"]) == (4, 7)
    assert "test/fool_rate" in (tmp_path / "two" / "csv" / "metrics.csv").read_text()
    assert not (tmp_path / "two" / ".batches").exists()

    cheap(tmp_path / "three", store, "rerun=true")
    assert len(painted) == 20, "rerun=true computes"
    cheap(tmp_path / "four", store, "mask_ratio=0.3")
    assert len(painted) == 30, "another ratio is another cell"


def test_the_same_folder_again_computes_and_logs_nothing(cheap, tmp_path, painted):
    cheap(tmp_path / "one", tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.is_file()}
    cheap(tmp_path / "one", tmp_path / "store")
    assert len(painted) == 10
    changed = {p.name for p, t in before.items() if p.stat().st_mtime_ns != t}
    assert {name for name in changed if not name.endswith(".lock")} <= {"cell.json", ".tracked", "paces.json"}, changed


@pytest.mark.parametrize("where", ["same folder", "another folder"])
def test_a_killed_cell_goes_on_with_the_next_batch(cheap, tmp_path, painted, where):
    cheap(tmp_path / "undisturbed", tmp_path / "store1")
    painted.clear()
    painted.limit = 8
    with pytest.raises(KeyboardInterrupt):
        cheap(tmp_path / "killed", tmp_path / "store2")
    assert len(painted) == 8
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "killed").rglob("*.jpg")}
    assert len(done) == 4 * 8
    painted.limit = 10**9
    out = tmp_path / ("killed" if where == "same folder" else "later")
    cheap(out, tmp_path / "store2")
    assert len(painted) == len(set(painted)) == 10, "no picture is painted twice"
    assert {p: p.stat().st_mtime_ns for p in done} == done, "finished pictures stay as they are"
    assert science(out) == science(tmp_path / "undisturbed")
    assert pictures(out) == pictures(tmp_path / "undisturbed")
    assert (out / "images.parquet").read_bytes() == (tmp_path / "undisturbed" / "images.parquet").read_bytes()


def test_a_batch_that_was_complete_but_not_yet_moved_counts(cheap, tmp_path, painted, monkeypatch):
    """Killed between the batch's own rename and the moves of its files."""
    from privacy_exp.runs import batches

    store = tmp_path / "store"
    moves, move = [], batches._move

    def die(ready, folder):
        moves.append(ready)
        if len(moves) == 2:
            raise KeyboardInterrupt
        move(ready, folder)

    monkeypatch.setattr(batches, "_move", die)
    with pytest.raises(KeyboardInterrupt):
        cheap(tmp_path / "one", store)
    monkeypatch.setattr(batches, "_move", move)
    assert len(list((tmp_path / "one").glob(".*.ready"))) == 1
    cheap(tmp_path / "one", store)
    assert len(painted) == len(set(painted)) == 10
    (record,) = read_cells(tmp_path / "one")
    assert record["n"] == 10


def test_a_full_disk_stops_a_cell_and_with_room_it_goes_on(cheap, tmp_path, painted, monkeypatch):
    real, writes = files.tempfile.mkstemp, []

    def full(*args, **kwargs):
        writes.append(kwargs)
        if len(writes) > 45:  # in the third batch
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(files.tempfile, "mkstemp", full)
        with pytest.raises(OSError, match=r"could not write .*no space left there.*hydra\.run\.dir"):
            cheap(tmp_path / "one", tmp_path / "store")
    assert not list((tmp_path / "one").glob(".*.part")), "nothing half-written stays"
    saved = [path.name.partition("-")[0] for path in (tmp_path / "one" / "results").iterdir()]
    assert len(saved) == 8
    cheap(tmp_path / "one", tmp_path / "store")
    assert [painted.count(image_id) for image_id in saved] == [1] * 8, "what was saved is not painted again"
    assert len(list((tmp_path / "one" / "results").iterdir())) == 10


def test_a_read_only_store_gives_what_it_has_and_takes_nothing(cheap, tmp_path, painted, medium):
    store = medium("64m")
    cheap(tmp_path / "one", store)
    medium.close()
    cheap(tmp_path / "two", store)
    assert len(painted) == 10
    assert science(tmp_path / "two") == science(tmp_path / "one")
    cheap(tmp_path / "three", store, "mask_ratio=0.5")
    assert len(painted) == 20
    (record,) = read_cells(tmp_path / "three")
    assert record["mask_ratio"] == 0.5


def test_a_damaged_finished_cell_is_computed_again(cheap, tmp_path, painted):
    cheap(tmp_path / "one", tmp_path / "store")
    (entry,) = (path for path in (tmp_path / "store" / "cell").iterdir() if path.is_dir())
    victim = min((entry / "results").iterdir())
    victim.unlink()  # its own link: the run folder keeps the picture
    victim.write_bytes(b"damaged")
    cheap(tmp_path / "two", tmp_path / "store")
    assert len(painted) == 20
    assert pictures(tmp_path / "two") == pictures(tmp_path / "one")
    cheap(tmp_path / "three", tmp_path / "store")
    assert len(painted) == 20


MINE = """
import torch
from mine_helper import SIGN
from privacy_exp.masking.center import Center


class Mine(Center):
    def score(self, faces, recognizer, generators):
        return SIGN * super().score(faces, recognizer, generators)
"""


@pytest.mark.parametrize("edited", [pytest.param("mine", marks=pytest.mark.slow), "mine_helper"])
def test_an_edited_class_of_ones_own_is_computed_again(cheap, tmp_path, painted, monkeypatch, edited):
    """What the README tells users to write, its sign turned: in its own module, or in one that it imports."""
    from privacy_exp.cache import sources

    monkeypatch.syspath_prepend(tmp_path)
    own = ("masking=center", "masking._target_=mine.Mine")

    def run(out: str, **files: str) -> dict[str, bytes]:
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        sys.modules.pop("mine", None)
        for known in (sources._digest, sources._code, sources._tree, sources._imports, sources._file):
            known.cache_clear()  # what another process starts with
        sys.dont_write_bytecode = True
        cheap(tmp_path / out, tmp_path / "store", *own)
        return pictures(tmp_path / out)

    first = run("one", mine=MINE, mine_helper="SIGN = 1")
    assert run("two", mine=MINE + "# a remark") == first
    assert len(painted) == 10, "a remark changes nothing"
    turned = {"mine": MINE.replace("SIGN *", "-SIGN *")} if edited == "mine" else {"mine_helper": "SIGN = -1"}
    assert run("three", **turned) != first
    assert len(painted) == 20


def test_a_record_says_what_of_it_other_versions_have_made(cheap, tmp_path):
    store = tmp_path / "store"
    cheap(tmp_path / "one", store, "masking=saliency")
    (label,) = (store / "scores").glob("*/entry.json")
    label.write_text(json.dumps(json.loads(label.read_text()) | {"versions": {"torch": "9.9.9"}, "threads": 64}))
    cheap(tmp_path / "two", store, "masking=saliency", "mask_ratio=0.3")
    (record,) = read_cells(tmp_path / "two")
    (warning,) = (text for text in record["warnings"] if "scores" in text)
    assert "torch 9.9.9, now" in warning
    assert "64 threads, now" in warning
    cheap(tmp_path / "three", tmp_path / "fresh", "masking=saliency", "mask_ratio=0.3")
    (record,) = read_cells(tmp_path / "three")
    assert not any("9.9.9" in text for text in record["warnings"])


def one_of(folder: Path, kind: str = "results") -> Path:
    return min((folder / kind).iterdir())


def overwrite(folder: Path) -> None:
    one_of(folder).write_bytes(max((folder / "results").iterdir()).read_bytes())


DAMAGES = {
    "a picture written in place": overwrite,
    "results deleted": lambda folder: shutil.rmtree(folder / "results"),
    "a mask missing": lambda folder: one_of(folder, "masks").unlink(),
    "an empty record": lambda folder: (folder / "record.json").write_bytes(b""),
    "an empty table": lambda folder: (folder / "images.parquet").write_bytes(b""),
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("stored", [True, False])
def test_a_damaged_run_folder_is_mended_and_never_handed_on(cheap, tmp_path, painted, caplog, how, stored):
    store = tmp_path / "store"
    cheap(tmp_path / "one", store)
    good = pictures(tmp_path / "one")
    DAMAGES[how](tmp_path / "one")
    if not stored:
        shutil.rmtree(store / "cell")
    with caplog.at_level(logging.WARNING):
        cheap(tmp_path / "one", store)
    assert "is damaged" in caplog.text
    assert len(painted) == (10 if stored else 20), "from the store, else computed for real"
    cheap(tmp_path / "two", store)
    assert pictures(tmp_path / "one") == good
    assert pictures(tmp_path / "two") == good


def test_an_edited_picture_stays_in_its_own_folder(cheap, tmp_path):
    store = tmp_path / "store"
    cheap(tmp_path / "one", store)
    cheap(tmp_path / "two", store)
    good = pictures(tmp_path / "two")
    overwrite(tmp_path / "one")
    assert pictures(tmp_path / "two") == good
    cheap(tmp_path / "three", store)
    assert pictures(tmp_path / "three") == good


def test_what_changes_while_a_cell_is_scored_is_not_kept(cheap, tmp_path, painted, caplog, monkeypatch):
    from privacy_exp.study.job import Job

    show = Job.track

    def edit(self, record):
        overwrite(self.folder)
        show(self, record)

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(Job, "track", edit)
        cheap(tmp_path / "one", tmp_path / "store")
    assert "is not kept in the store" in caplog.text
    cheap(tmp_path / "two", tmp_path / "store")
    assert len(painted) == 20


def test_an_entry_sealed_with_wrong_pictures_is_set_aside(cheap, tmp_path, painted):
    """As earlier versions sealed them: checksums of the entry are right, but not those of its record."""
    store = tmp_path / "store"
    cheap(tmp_path / "one", store)
    (entry,) = (path for path in (store / "cell").iterdir() if path.is_dir())
    shutil.rmtree(entry / "results")
    label = json.loads((entry / "entry.json").read_text())
    label["files"] = {name: known for name, known in label["files"].items() if not name.startswith("results/")}
    (entry / "entry.json").write_text(json.dumps(label))
    cheap(tmp_path / "two", store)
    assert len(painted) == 20
    assert pictures(tmp_path / "two") == pictures(tmp_path / "one")
    assert list((store / "damaged").iterdir())


def test_a_folder_of_another_cell_is_refused(cheap, tmp_path):
    store = tmp_path / "store"
    cheap(tmp_path / "one", store)
    with pytest.raises(ValueError, match=r"holds another cell.*hydra\.run\.dir=DIR"):
        cheap(tmp_path / "one", store, "mask_ratio=0.3")
    assert json.loads((tmp_path / "one" / "record.json").read_text())["mask_ratio"] == 0.25
    cheap(tmp_path / "one", store, "mask_ratio=0.3", "rerun=true")
    assert json.loads((tmp_path / "one" / "record.json").read_text())["mask_ratio"] == 0.3


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("privacy_exp.runs.running.PATIENCE", 0.1)


def test_a_folder_in_which_somebody_works_is_waited_for(tmp_path, impatient):
    """Such as the orphan of a killed sweep that finishes its cell."""
    waiting = threading.Event()
    telling = logging.Handler()
    telling.emit = lambda record: waiting.set() if "waiting for another process" in record.getMessage() else None
    logger = logging.getLogger("privacy_exp.runs.running")
    logger.addHandler(telling)
    logger.setLevel(logging.INFO)
    try:
        with ThreadPoolExecutor() as pool:
            with running(tmp_path / "one"):
                write_cell(tmp_path / "one", "this", 3)
                later = pool.submit(enter, tmp_path / "one", "this")
                assert waiting.wait(60)
                assert not later.done()
            assert later.result(60)
    finally:
        logger.removeHandler(telling)
        logger.setLevel(logging.NOTSET)


def test_another_cell_is_not_waited_for(tmp_path, impatient):
    with ThreadPoolExecutor() as pool, running(tmp_path / "one"):
        write_cell(tmp_path / "one", "this", 3)
        with pytest.raises(UserError, match=r"another process computes a run of other settings in .*hydra\.run\.dir"):
            pool.submit(enter, tmp_path / "one", "another").result(60)


def enter(folder: Path, key: str) -> bool:
    with running(folder, key):
        return True


@pytest.mark.slow
def test_two_fits_from_one_seed_in_empty_stores_give_equal_weights(cell, tmp_path):
    from privacy_exp.recognition.fit import load_checkpoint

    for name in ("one", "two"):
        fit = ("fit_only=true", "recognition.module.max_epochs=1", f"cache.root={tmp_path}/{name}-store")
        cell(tmp_path / name, *fit)
    one, two = (load_checkpoint(tmp_path / name).state_dict() for name in ("one", "two"))
    assert all(value.equal(two[name]) for name, value in one.items())


def test_what_else_lies_in_a_run_folder_stays_there(cheap, tmp_path):
    checkout = tmp_path / "a"
    checkout.mkdir()
    (checkout / "README.md").write_text("mine")
    cheap(checkout, tmp_path / "store")
    other = tmp_path / "b"
    other.mkdir()
    (other / "README.md").write_text("another's")
    cheap(other, tmp_path / "store")
    assert (other / "record.json").is_file()
    assert (other / "README.md").read_text() == "another's"
