"""Pictures in tar shards: the same pictures as in folders, whole batches, and damage that is named."""

import tarfile
from itertools import groupby
from pathlib import Path

import pandas as pd
import pytest
import torch

from privacy_exp.runs import picture, shards
from privacy_exp.runs.batches import finished_batches, forget_batches, whole_batch
from privacy_exp.runs.files import pack, painted, saved_pictures, unpack
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.picture import Member, picture_digest
from privacy_exp.runs.record import Record, damage
from privacy_exp.types import Metric, UserError

KINDS = ("original", "masks", "results", "control")


def save(folder: RunFolder, ids: list[str], draws: int = 0) -> None:
    """One batch, whose pixels are a function of its ids."""
    generator = torch.Generator().manual_seed(sum(ids[0].encode()))
    labels = None if ids == ["e"] else torch.arange(len(ids))
    with whole_batch(folder, ids) as (staging, batch):
        for kind in KINDS:
            pictures = torch.rand(len(ids), 1 if kind == "masks" else 3, 8, 8, generator=generator)
            staging.save(kind, ids, labels, pictures > 0.5 if kind == "masks" else pictures)
        for draw in range(1, draws + 1):
            staging.draw(draw).save("results", ids, labels, torch.rand(len(ids), 3, 8, 8, generator=generator))
        batch.rows = pd.DataFrame({"image_id": ids, "share": pd.array([0.5] * len(ids), dtype="Float64")})
        batch.mask_s, batch.sanity = 0.25, (len(ids), 0, 0)


BATCHES = (["c", "d"], ["a%2Fb", "b"], ["e"])


@pytest.fixture(params=["jpg", "png"])
def both(tmp_path, request) -> tuple[RunFolder, RunFolder]:
    """The same run in folders and in shards."""
    runs = tuple(RunFolder(tmp_path / layout, request.param, layout) for layout in ("folders", "packed"))
    for run in runs:
        for ids in BATCHES:
            save(run, ids, draws=2)
    return runs


def contents(folder: Path) -> dict[str, bytes]:
    return {name: picture.read_bytes() for name, picture in saved_pictures(folder).items()}


def test_shards_hold_the_very_files_of_folders(both):
    plain, packed = both
    assert packed.packed
    assert not plain.packed
    assert contents(plain.path) == contents(packed.path)
    assert list(contents(plain.path)) == list(contents(packed.path)), "and in their order"
    assert {path.name for path in packed.path.iterdir()} == {"packed", ".batches"}


def test_every_way_of_reading_gives_the_same(both):
    plain, packed = (RunFolder(run.path) for run in both)
    assert plain.draws() == packed.draws() == [1, 2]
    for one, other in [(plain, packed), (plain.draw(2), packed.draw(2))]:
        for kind in KINDS if one is plain else ("results",):
            ours, theirs = one.list(kind), other.list(kind)
            assert one.has(kind)
            assert other.has(kind)
            assert list(ours) == list(theirs) == ["a%2Fb", "b", "c", "d", "e"]
            assert [label for _, label in ours.values()] == [label for _, label in theirs.values()]
            paths = [[path for path, _ in listing.values()] for listing in (ours, theirs)]
            assert [path.name for path in paths[0]] == [path.name for path in paths[1]]
            assert [path.suffix for path in paths[0]] == [path.suffix for path in paths[1]]
            assert [picture_digest(path) for path in paths[0]] == [picture_digest(path) for path in paths[1]]
            assert torch.equal(one.read(paths[0]), other.read(paths[1]))
    assert not packed.has("learnt")
    with pytest.raises(FileNotFoundError, match="no pictures of the kind learnt"):
        packed.list("learnt")


def test_notes_on_batches_are_the_same(both):
    ours, theirs = (finished_batches(run.path) for run in both)
    assert len(ours) == len(theirs) == len(BATCHES)
    for one, other in zip(ours, theirs, strict=True):
        pd.testing.assert_frame_equal(one.rows, other.rows)
        assert (one.mask_s, one.inpaint_s, list(one.sanity)) == (other.mask_s, other.inpaint_s, list(other.sanity))
    assert painted(both[0].path) == painted(both[1].path) == 5


def test_shards_are_webdatasets(both):
    """Members of a photo stand beside each other, as key.ext; the class is a number, and none where it is unknown."""
    suffix = both[1].image_format
    expected = {
        "pictures": {f"{kind}.{suffix}" for kind in ("masks", "results", "control", "draw1", "draw2")} | {"cls"},
        "originals": {f"original.{suffix}", "cls"},
    }
    for name, parts in expected.items():
        with tarfile.open(shards.shard_file(both[1].path, name, 0)) as tar:
            members = [member.name.partition(".")[::2] for member in tar]
            assert all(member.isfile() and member.mtime == 0 for member in tar)
            assert tar.extractfile("d.cls").read() == b"1"
        samples = [(key, {ext for _, ext in own}) for key, own in groupby(members, lambda member: member[0])]
        assert samples == [(i, parts if i != "e" else parts - {"cls"}) for ids in BATCHES for i in ids]
    webdataset = pytest.importorskip("webdataset")
    found = list(webdataset.WebDataset(str(shards.shard_file(both[1].path, "pictures", 0)), shardshuffle=False))
    assert [one["__key__"] for one in found] == [image_id for ids in BATCHES for image_id in ids]


def test_unpacking_restores_the_folders(both):
    plain, packed = both
    for run in both:
        forget_batches(run.path)
    expected = contents(plain.path)
    assert unpack(packed.path) == len(expected)
    assert {str(p.relative_to(packed.path)): p.read_bytes() for p in packed.path.rglob("*") if p.is_file()} == expected
    assert unpack(packed.path) == 0
    assert pack(packed.path) == len(expected)
    assert {path.name for path in packed.path.iterdir()} == {"packed"}
    assert contents(packed.path) == expected
    assert pack(packed.path) == 0


def test_an_unfinished_run_keeps_its_layout(both):
    for change, run in ((unpack, both[1]), (pack, both[0])):
        with pytest.raises(UserError, match="is not finished"):
            change(run.path)
    save(RunFolder(both[0].path, both[0].image_format, "packed"), ["f"])
    assert not (both[0].path / "packed").exists(), "it goes on as it was begun"


@pytest.mark.slow
def test_twenty_thousand_photos_are_few_files(tmp_path):
    for start in range(0, 20_000, 500):
        names = [
            f"{kind}/{i:06d}-{word}-label-7.jpg"
            for i in range(start, start + 500)
            for kind, word in shards.KINDS.items()
        ]
        shards.append(tmp_path, dict.fromkeys(names, b"jpeg"), {f"{start}.json": b"{}"})
    assert painted(tmp_path) == 20_000
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) <= 50, "while it runs, too"
    assert len(RunFolder(tmp_path).list("results")) == 20_000


def test_a_batch_that_a_kill_cut_off_does_not_count(tmp_path, monkeypatch):
    """Whatever the moment: before the shards, between them, and before the index says so."""
    folder, calm = (RunFolder(tmp_path / name, "png", "packed") for name in ("killed", "calm"))
    save(folder, ["a", "b"])
    before = contents(folder.path)
    for moment in (1, 2, 3, 4):
        left = [moment]

        def dying(work, *args, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return work(*args)

        with monkeypatch.context() as patch:
            add, write = shards._add, shards.write_text
            patch.setattr(shards, "_add", lambda *args, add=add: dying(add, *args))
            patch.setattr(shards, "write_text", lambda *args, write=write: dying(write, *args))
            with pytest.raises(KeyboardInterrupt):
                save(folder, [f"c{number}" for number in range(60)])
        assert contents(folder.path) == before
        assert [list(batch.rows["image_id"]) for batch in finished_batches(folder.path)] == [["a", "b"]]
    for run in (folder, calm):
        if run is calm:
            save(run, ["a", "b"])
        save(run, ["c", "d", "e"])
    files = [{p.name: p.read_bytes() for p in (run.path / "packed").iterdir()} for run in (folder, calm)]
    assert files[0] == files[1], "nothing half-written stays"


def test_damaged_shards_are_named(both):
    folder, record = (
        both[1],
        Record("k", {"data": "d"}, {}, 0.25, 0, 5, {"fool_rate": Metric(0.5, 0.4, 0.6, 2)}, [], {}),
    )
    forget_batches(folder.path)
    record.write(folder.path)
    assert damage(folder.path, record.files) is None
    path = shards.shard_file(folder.path, "pictures", 0)
    whole = path.read_bytes()
    counted = shards.read_index(folder.path).shards[0].pictures
    path.write_bytes(whole[: counted - 100])
    words = rf"pictures-000000\.tar is cut short: it holds {counted - 100} of {counted} bytes"
    with pytest.raises(UserError, match=words):
        RunFolder(folder.path).list("original")
    assert "cut short" in damage(folder.path, record.files)
    path.write_bytes(b"x" * len(whole))
    with pytest.raises(UserError, match=r"pictures-000000\.tar is damaged"):
        RunFolder(folder.path).list("results")
    path.write_bytes(whole.replace(b"e.results.", b"e.someone."))
    with pytest.raises(UserError, match=r"pictures-000000\.tar is damaged"):
        RunFolder(folder.path).list("results")
    path.unlink()
    with pytest.raises(UserError, match=r"pictures-000000\.tar is missing, but packed/index\.json lists it"):
        RunFolder(folder.path).list("results")
    path.write_bytes(whole)
    assert damage(folder.path, record.files) is None
    one = RunFolder(folder.path).list("results")["b"][0]
    path.write_bytes(whole[: one.offset + 20] + b"!!!!" + whole[one.offset + 24 :])
    assert damage(folder.path, record.files) == f"results/{one.name} has changed since the record was written"
    (folder.path / "packed" / "index.json").write_text('{"shards"')
    with pytest.raises(UserError, match=r"index\.json is damaged"):
        RunFolder(folder.path).list("results")


@pytest.mark.parametrize("lost", ["packed/pictures-000000.tar", "packed/originals-000000.tar", ".batches/notes.tar"])
def test_lost_shards_are_painted_again(tmp_path, lost, caplog):
    folder = RunFolder(tmp_path, "png", "packed")
    save(folder, ["a", "b"])
    path = tmp_path / lost
    path.write_bytes(path.read_bytes()[:512])
    assert finished_batches(tmp_path) == []
    assert "painted again" in caplog.text
    save(folder, ["a", "b"])
    save(folder, ["c"])
    assert list(folder.list("original")) == ["a", "b", "c"]
    assert painted(tmp_path) == 3


def test_an_unknown_layout_is_refused(tmp_path):
    with pytest.raises(UserError, match="`layout` must be one of folders, packed, but got 'tar'"):
        RunFolder(tmp_path, "jpg", "tar")


def test_a_shard_stays_open_while_it_is_read(tmp_path, monkeypatch):
    """Two threads that open one shard at once: what the second opened is in nobody's memory but its own."""
    (tmp_path / "some.tar").write_bytes(b"0123456789")
    monkeypatch.setattr(picture, "_opened", lambda shard, *_: picture._Opened(shard))
    assert Member(tmp_path / "some.tar", "results/1-generated-label-3.jpg", 2, 3).read_bytes() == b"234"
