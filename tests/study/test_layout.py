"""`layout=packed`: the same run as in folders, whoever reads it, and few files."""

import json
from pathlib import Path

import pandas as pd
import pytest

from privacy_exp.inpainting.controls import MeanFill
from privacy_exp.runs.files import saved_pictures
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.shards import shard_file

DRAWN = ("inpainting=tiny", "inpainting.num_inference_steps=1", "inpainting.num_draws=2")
KINDS = ("original", "masks", "results", "control", "draws")
UNLIKE = {"timing", "config", "taken_from"}


@pytest.fixture(scope="module")
def both(cheap, tmp_path_factory):
    """One cell in both layouts, each computed in a store of its own."""
    root = tmp_path_factory.mktemp("both")
    for layout in ("folders", "packed"):
        cheap(root / layout, root / f"{layout} store", f"layout={layout}", "attacker=[gallery]", *DRAWN)
    return root / "folders", root / "packed"


def science(folder: Path) -> dict:
    record = json.loads((folder / "record.json").read_text())
    return {name: value for name, value in record.items() if name not in UNLIKE}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: picture.read_bytes() for name, picture in saved_pictures(folder).items()}


def test_records_tables_and_pictures_are_equal(both):
    plain, packed = both
    assert science(plain) == science(packed)
    assert any(name.startswith("results/") for name in science(packed)["files"]), "by the names of folders"
    assert contents(plain) == contents(packed)
    assert len(contents(packed)) == (4 + 1) * 10
    for name in ("images.parquet", "grid.png", "manifest.csv"):
        assert (plain / name).read_bytes() == (packed / name).read_bytes(), name
    assert not any(
        (packed / kind).exists() for kind in ("original", "masks", "results", "control", "draws", ".batches")
    )
    assert sorted(path.name for path in (packed / "packed").iterdir()) == [
        "index.json",
        "originals-000000.tar",
        "pictures-000000.tar",
    ]


def test_photos_for_attackers_are_packed_too(both):
    for run in both:
        entries = [path for path in (run.parent / f"{run.name} store" / "anonymized").iterdir() if path.is_dir()]
        assert entries
        assert all(RunFolder(entry).packed == (run.name == "packed") for entry in entries)


@pytest.mark.parametrize("limit", [4, 8])
def test_a_killed_cell_goes_on_with_the_next_batch(cheap, tmp_path, monkeypatch, limit):
    painted, original = [], MeanFill.repaint

    def repaint(self, faces, masks, generators):
        if len(painted) >= repaint.limit:
            raise KeyboardInterrupt
        painted.extend(faces.ids)
        return original(self, faces, masks, generators)

    repaint.limit = limit
    monkeypatch.setattr(MeanFill, "repaint", repaint)
    with pytest.raises(KeyboardInterrupt):
        cheap(tmp_path / "killed", tmp_path / "store", "layout=packed")
    with shard_file(tmp_path / "killed", "pictures", 0).open("ab") as file:
        file.write(b"half a batch")
    repaint.limit = 10**9
    cheap(tmp_path / "killed", tmp_path / "store", "layout=packed")
    assert len(painted) == len(set(painted)) == 10, "no picture is painted twice"
    cheap(tmp_path / "calm", tmp_path / "calm store", "layout=packed")
    assert science(tmp_path / "killed") == science(tmp_path / "calm")
    for kind in ("pictures", "originals"):
        ours, theirs = (shard_file(tmp_path / name, kind, 0) for name in ("killed", "calm"))
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.slow
def test_originals_are_stored_once_for_all_cells_of_a_data_set(cheap, tmp_path):
    store = tmp_path / "store"
    for ratio in (0.2, 0.3):
        cheap(tmp_path / str(ratio), store, "layout=packed", f"mask_ratio={ratio}")
    shards = [shard_file(tmp_path / name, "originals", 0) for name in ("0.2", "0.3")]
    assert shards[0].samefile(shards[1])
    assert not shard_file(tmp_path / "0.2", "pictures", 0).samefile(shard_file(tmp_path / "0.3", "pictures", 0))
    before = contents(tmp_path / "0.3")
    cheap(tmp_path / "0.2", store, "layout=packed", "mask_ratio=0.2", "rerun=true")
    assert contents(tmp_path / "0.3") == before, "what is painted anew is written anew"


@pytest.mark.slow
def test_a_stored_cell_comes_in_the_layout_that_is_asked(cheap, tmp_path):
    store = tmp_path / "store"
    for number, layout in enumerate(("folders", "packed", "folders")):
        cheap(tmp_path / str(number), store, f"layout={layout}", "rerun=false")
        assert RunFolder(tmp_path / str(number)).packed == (layout == "packed")
        assert contents(tmp_path / str(number)) == contents(tmp_path / "0")
        assert science(tmp_path / str(number)) == science(tmp_path / "0")
    assert not (tmp_path / "2" / "packed").exists()


@pytest.mark.slow
def test_every_command_reads_a_packed_run(both, tmp_path, capsys, monkeypatch):
    """What each prints and writes is what it does of folders."""
    import sys
    from importlib import import_module

    from privacy_exp.__main__ import COMMANDS

    def command(name: str, *overrides: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"privacy-exp {name}", *overrides, f"hydra.run.dir={tmp_path / 'hydra'}"])
        import_module(COMMANDS[name][0]).main()
        return capsys.readouterr().out

    told: dict[str, list] = {"folders": [], "packed": []}
    for run in both:
        cache = f"cache.root={run.parent / f'{run.name} store'}"
        command("evaluate", f"run={run}", "utility=default", cache)
        told[run.name].append(json.loads((run / "evaluation.json").read_text())["metrics"])
        told[run.name].append((run / "evaluation.parquet").read_bytes())
        pairs = tmp_path / f"pairs of {run.name}"
        command("evaluate", f"originals={run}", f"anonymized={run}", f"out={pairs}", "utility=[pixels]", cache)
        told[run.name].append(contents(pairs))
        command("report", f"sweep={run}", f"out={tmp_path / run.name}", "report.export=[croissant]")
        sheets = sorted((tmp_path / run.name).rglob("*.jpg")) + sorted((tmp_path / run.name).rglob("*.png"))
        told[run.name].append({path.relative_to(tmp_path / run.name): path.read_bytes() for path in sheets})
    assert told["folders"] == told["packed"]
    out = command("compare", f"a={both[0]}", f"b={both[1]}")
    assert "fool_rate" in out


@pytest.mark.slow
def test_unpacking_gives_the_folders_of_the_same_cell(cheap, tmp_path, capsys, monkeypatch, both):
    import sys

    from privacy_exp.cache.__main__ import main

    cheap(tmp_path / "sweep" / "0", tmp_path / "store", "layout=packed", *DRAWN)
    (tmp_path / "sweep" / "1" / ".batches").mkdir(parents=True)
    (tmp_path / "sweep" / "1" / "packed").mkdir()
    (tmp_path / "sweep" / "1" / "packed" / "index.json").write_text('{"shards": [], "notes": 0}')
    for words in (["dry_run=true"], []):
        monkeypatch.setattr(sys, "argv", ["privacy-exp cache", f"unpack={tmp_path / 'sweep'}", *words])
        main()
        out = capsys.readouterr().out
        assert f"50 pictures {'would become files' if words else 'are files again'}" in out
        assert "not finished, stays packed" in out
    for kind in KINDS:
        trees = [
            {str(p.relative_to(run)): p.read_bytes() for p in (run / kind).rglob("*") if p.is_file()}
            for run in (both[0], tmp_path / "sweep" / "0")
        ]
        assert trees[0] == trees[1]
        assert trees[0]
    assert not (tmp_path / "sweep" / "0" / "packed").exists()
    cheap(tmp_path / "sweep" / "0", tmp_path / "store", "layout=packed", *DRAWN)
    assert pd.read_parquet(tmp_path / "sweep" / "0" / "images.parquet").shape[0] == 10
    assert not (tmp_path / "sweep" / "0" / "packed").exists(), "a finished run stays as it is"
