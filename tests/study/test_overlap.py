"""Stages that work beside each other: nobody waits for what could be done already; all else is as in one thread."""

import threading
from contextlib import closing

import pytest
import torch

from privacy_exp import Center, UserError
from privacy_exp.inpainting.controls import MeanFill
from privacy_exp.inpainting.sanity import SanityError
from privacy_exp.runs.batches import finished_batches
from privacy_exp.runs.folder import RunFolder, to_pillow
from privacy_exp.runs.formats import FORMATS
from privacy_exp.study.overlap import ahead, behind
from privacy_exp.study.stages import anonymize
from privacy_exp.study.treatment import Treatment
from privacy_exp.types import Faces

LONG = 20
"""Seconds after which a test gives up waiting."""


def batches(count: int = 4, size: int = 2) -> list[Faces]:
    images = torch.rand(count * size, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    faces = Faces([f"f{i}" for i in range(count * size)], images, torch.arange(count * size))
    return [faces[slice(i, i + size)] for i in range(0, count * size, size)]


def pictures(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.suffix == ".jpg"}


def working() -> list[str]:
    """Threads of pools; tqdm has one of its own that stays."""
    return [thread.name for thread in threading.enumerate() if "ThreadPool" in thread.name]


def treat(folder, masker=None, inpainter=None, faces=None):
    run = RunFolder(folder, "jpg")
    return anonymize(faces or batches(), 8, None, masker or Center(), inpainter or MeanFill(), 0.25, 0, run)


class Waits(MeanFill):
    """Paints only when `ready` says so; None is never waited for."""

    def __init__(self, ready):
        self.ready = ready

    def repaint(self, faces, masks, generators):
        event = self.ready(faces.ids[0])
        assert event is None or event.wait(LONG), "nothing happened beside the painter"
        return super().repaint(faces, masks, generators)


def test_the_next_batch_is_masked_and_the_last_one_saved_while_one_is_painted(tmp_path, monkeypatch):
    masked = {f"f{i}": threading.Event() for i in (0, 2, 4, 6)}
    saved = {f"f{i}": threading.Event() for i in (0, 2, 4, 6)}

    class Telling(Center):
        def score(self, faces, recognizer, generators):
            masked[faces.ids[0]].set()
            return super().score(faces, recognizer, generators)

    keep = Treatment.keep

    def telling(self, one, painted):
        keep(self, one, painted)
        saved[one.faces.ids[0]].set()

    monkeypatch.setattr(Treatment, "keep", telling)
    treat(tmp_path / "a", Telling(), Waits(lambda i: masked["f2"] if i == "f0" else None))
    treat(tmp_path / "b", Telling(), Waits(lambda i: saved["f0"] if i == "f2" else None))


def test_pictures_and_notes_are_those_of_one_thread(tmp_path):
    found = treat(tmp_path / "beside")
    in_turns = Treatment(None, Center(), MeanFill(), 0.25, 0, RunFolder(tmp_path / "turns", "jpg"))
    for faces in batches():
        in_turns(faces)
    assert pictures(tmp_path / "beside") == pictures(tmp_path / "turns")
    assert len(pictures(tmp_path / "turns")) == 4 * 8
    assert found.shares["image_id"].tolist() == [f"f{i}" for i in range(8)]
    notes = [finished_batches(tmp_path / name) for name in ("beside", "turns")]
    for one, other in zip(*notes, strict=True):
        assert one.rows.equals(other.rows)
        assert one.sanity == other.sanity == [2, 0, 0]


class FailsToRead:
    def __iter__(self):
        yield from batches()[:2]
        raise UserError("no such photo")


class FailsToMask(Center):
    def score(self, faces, recognizer, generators):
        if "f4" in faces.ids:
            raise UserError("no such mask")
        return super().score(faces, recognizer, generators)


class FailsToPaint(MeanFill):
    def repaint(self, faces, masks, generators):
        return super().repaint(faces, masks, generators) * (float("nan") if "f4" in faces.ids else 1)


@pytest.mark.parametrize(
    ("parts", "error", "words"),
    [
        ({"faces": FailsToRead()}, UserError, "no such photo"),
        ({"masker": FailsToMask()}, UserError, "no such mask"),
        ({"inpainter": FailsToPaint()}, SanityError, "NaN or infinite pixels for f4, f5"),
    ],
)
def test_an_error_ends_the_cell_after_the_batches_before_it(tmp_path, parts, error, words):
    with pytest.raises(error, match=words):
        treat(tmp_path, **parts)
    assert sorted({name.split("/")[-1].partition("-")[0] for name in pictures(tmp_path)}) == ["f0", "f1", "f2", "f3"]
    assert not list(tmp_path.glob(".*.part"))
    assert not working(), "no thread outlives its cell"
    treat(tmp_path)
    assert len(pictures(tmp_path)) == 4 * 8


def test_a_batch_that_cannot_be_saved_ends_the_cell_and_costs_no_other(tmp_path, monkeypatch):
    save = RunFolder.save

    def full(self, kind, ids, labels, images):
        if ids[0] == "f2" and kind == "results":
            raise OSError(28, "No space left on device")
        save(self, kind, ids, labels, images)

    monkeypatch.setattr(RunFolder, "save", full)
    with pytest.raises(OSError, match="no space left there"):
        treat(tmp_path)
    known = {name.split("/")[-1].partition("-")[0] for name in pictures(tmp_path)}
    assert {"f0", "f1"} <= known
    assert not known & {"f2", "f3"}
    assert not list(tmp_path.glob(".*.part"))


def test_items_come_in_order_and_no_more_than_asked_for_are_made_before():
    made, makers = [], set()

    def items():
        for number in range(6):
            makers.add(threading.get_ident())
            made.append(number)
            yield number

    with closing(ahead(items(), depth=2)) as stream:
        for number in range(3):
            assert next(stream) == number
            assert len(made) <= number + 3
    assert makers == makers - {threading.get_ident()}
    assert len(makers) == 1
    assert not working()
    assert list(ahead(iter(()))) == []


def test_calls_run_in_order_and_a_full_queue_waits():
    go, done = threading.Event(), []

    def work(number):
        assert go.wait(LONG)
        done.append(number)

    with behind(depth=2) as hand_over:
        for number in range(2):
            hand_over(work, number)
        third = threading.Thread(target=hand_over, args=(work, 2))
        third.start()
        third.join(0.1)
        assert third.is_alive(), "the queue is full"
        assert done == []
        go.set()
        third.join(LONG)
    assert done == [0, 1, 2]


def test_the_first_error_is_raised_and_what_follows_it_is_done_all_the_same():
    done = []

    def work(number):
        if number in (1, 2):
            raise ValueError(str(number))
        done.append(number)

    def hand_over_all(count, depth):
        with behind(depth) as hand_over:
            for number in range(count):
                hand_over(work, number)

    with pytest.raises(ValueError, match=r"^1$"):
        hand_over_all(4, depth=5)
    assert done == [0, 3]
    with pytest.raises(ValueError, match=r"^1$"):
        hand_over_all(9, depth=1)
    assert 8 not in done


@pytest.mark.parametrize("image_format", ["jpg", "png"])
def test_files_are_those_that_pillow_writes_one_by_one(tmp_path, image_format):
    (faces,) = batches(1, 7)
    masks = faces.images[:, :1] > 0.5
    folder = RunFolder(tmp_path, image_format)
    folder.save("original", faces.ids, faces.labels, faces.images)
    folder.save("masks", faces.ids, None, masks)
    for kind, images in (("original", faces.images), ("masks", masks)):
        paths = [path for path, _ in folder.list(kind).values()]
        for path, image in zip(paths, images, strict=True):
            to_pillow(image).save(tmp_path / f"one.{image_format}", **FORMATS[image_format])
            assert path.read_bytes() == (tmp_path / f"one.{image_format}").read_bytes()
    assert torch.equal(folder.read_masks(paths), masks)
