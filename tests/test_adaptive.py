"""Attackers in a whole run, with a recogniser small enough to be fitted often."""

import json
import logging
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from reader import read_cells

from privacy_exp import evaluate
from privacy_exp.study.job import Job
from privacy_exp.sweep.entry import CONF

NET = [
    "recognition.net._target_=tests.recognition.small.Small",
    *(f"~recognition.net.{k}" for k in ("image_size", "dropout")),
]
SMALL = [*NET, "~recognition.net.legacy_scaling", "recognition.module.lr=0.02", "inpainting=mean_fill", "batch_size=50"]
SHORT = "attacker.whole_frame_net.max_epochs=2"


@pytest.fixture(scope="module")
def adaptive(cell, tmp_path_factory):
    out = tmp_path_factory.mktemp("adaptive")
    cell(out, "experiment=adaptive", "masking=center", SHORT, *SMALL)
    return out


def test_every_attacker_leaves_its_figures(adaptive):
    (record,) = read_cells(adaptive)
    named = ["parrot", "mask_aware", "purification", "whole_frame", "whole_frame_net"]
    assert record["choices"]["attacker"] == ["gallery", *named]
    for name in ("gallery/rank_1", *[f"{name}/accuracy" for name in named]):
        metric = record["metrics"][f"attacker/{name}"]
        assert metric["n"] == record["n"]
        assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1
        assert record["metrics"][f"attacker/{name.split('/')[0]}/recovered_share"]["value"] is not None
    table = pd.read_parquet(adaptive / "images.parquet")
    assert {"attacker/whole_frame", "attacker/whole_frame_net"} <= set(record["details"]["observers"])
    for name, figure in (("parrot", "accuracy"), ("whole_frame", "accuracy"), ("gallery", "rank_1")):
        value = record["metrics"][f"attacker/{name}/{figure}"]["value"]
        assert table[f"recognised/attacker/{name}"].mean() == pytest.approx(value)


def test_the_cost_stands_before_the_run_and_the_store_pays_it_once(cell, adaptive, tmp_path, caplog, monkeypatch):
    (record,) = read_cells(adaptive)
    store = Path(record["config"]["cache"]["root"])

    def kept():
        return {path for kind in ("recognizer", "anonymized") for path in (store / kind).iterdir()}

    before = kept()
    fit, known = Job.fit, []  # whether the cost was told when the work began

    def begin(job):
        known.append(any(line.startswith("attackers ") for line in caplog.messages))
        return fit(job)

    monkeypatch.setattr(Job, "fit", begin)
    with caplog.at_level(logging.INFO):
        cell(tmp_path, "experiment=adaptive", "masking=center", SHORT, *SMALL)
    (told,) = [line for line in caplog.messages if line.startswith("attackers ")]
    names = "gallery, parrot, mask_aware, purification, whole_frame, whole_frame_net"
    assert re.match(
        rf"attackers {names}: 2 fits of about \d+ s, 1 fit of about \d+ s and 40 further pictures ", told
    ), "train and val, painted once for all five"
    assert known
    assert known[0]
    assert kept() == before


@pytest.mark.slow
def test_attackers_are_asked_again_of_a_finished_run(adaptive, tmp_path, monkeypatch):
    """With the same figures: what they learn from is painted and fitted as the run did, or taken from its store."""
    (record,) = read_cells(adaptive)
    names = record["choices"]["attacker"]
    asked = [f"run={adaptive}", f"attacker=[{','.join(names)},whole_frame_plain]", SHORT, "trust=[tests]"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        again = compose("evaluate", overrides=[*asked, f"cache.root={record['config']['cache']['root']}"])
        elsewhere = compose("evaluate", overrides=[*asked, f"cache.root={tmp_path / 'new'}"])
    painted = []
    monkeypatch.setattr(Job, "_paint", lambda self, *args, **keys: painted.append(1))
    found = evaluate.run(again)
    assert not painted, "the store had them"
    monkeypatch.undo()
    known = {n: metric["value"] for n, metric in record["metrics"].items() if n.startswith("attacker/")}
    assert {name: found[name] for name in known} == known
    assert 0 <= found["attacker/whole_frame_plain/accuracy"] <= 1
    assert evaluate.run(elsewhere) == found


@pytest.mark.parametrize(
    ("inpainting", "words"),
    [
        (
            {"_target_": "privacy_exp.inpainting.command.Command", "command": "touch PWNED {input} {output}"},
            "a Command",
        ),
        ({"_target_": "privacy_exp.inpainting.function.Function", "function": "evil_painter.paint"}, "a Function"),
        ({"_target_": "evil_painter.Painter"}, "not a part of privacy_exp"),
        ({"_target_": "subprocess.run", "args": "touch PWNED"}, "not a"),
    ],
    ids=["command", "function", "class", "callable"],
)
def test_a_records_painter_starts_no_code_of_its_choosing(adaptive, tmp_path, monkeypatch, caplog, inpainting, words):
    run = tmp_path / "run"
    shutil.copytree(adaptive, run)
    (tmp_path / "evil_painter.py").write_text(
        f"open({str(tmp_path / 'PWNED')!r}, 'w')\ndef paint(images): return images"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    record = json.loads((run / "record.json").read_text())
    record["config"]["inpainting"] = inpainting
    (run / "record.json").write_text(json.dumps(record))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        asked = [f"run={run}", "attacker=[whole_frame]", "trust=[tests]", f"cache.root={tmp_path / 'cache'}"]
        found = evaluate.run(compose("evaluate", overrides=asked))
    assert not (tmp_path / "PWNED").exists()
    assert "evil_painter" not in sys.modules
    assert found["attacker/whole_frame/accuracy"] is None
    assert words in caplog.text


def test_a_folder_made_elsewhere_gives_observers_of_the_whole_frame_nothing(adaptive, tmp_path):
    shutil.copytree(adaptive, tmp_path / "run")
    (tmp_path / "run" / "record.json").unlink()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        asked = [f"run={tmp_path / 'run'}", "attacker=[whole_frame,whole_frame_plain,whole_frame_net]"]
        keys = ["evaluation.gate=0.1", "trainer={_target_: pytorch_lightning.Trainer}"]
        found = evaluate.run(compose("evaluate", overrides=[*asked, *keys]))
    written = json.loads((tmp_path / "run" / "evaluation.json").read_text())["metrics"]
    for name in ("whole_frame", "whole_frame_plain", "whole_frame_net"):
        assert found[f"attacker/{name}/accuracy"] is None
        assert "a folder of finished pictures has no other photos" in written[f"attacker/{name}/accuracy"]["reason"]


def test_a_dry_run_counts_attackers(cell, tmp_path, capsys):
    cell(tmp_path, "attacker=[parrot]", "dry_run=true", *SMALL)
    assert "40 further pictures" in capsys.readouterr().out


def test_one_photo_a_person_is_refused_before_anything_is_written(cell, tmp_path):
    one = ["data.split=[0,0,1]", "data.photos_per_identity=1", "data.min_images_per_identity=1"]
    with pytest.raises(ValueError, match="at least 2 images of each identity"):
        cell(tmp_path, "data=synthetic", "data.identities=5", *one, "attacker=[parrot]", *SMALL)
    assert not any(tmp_path.iterdir())


def test_an_attacker_looks_through_any_judge(monkeypatch):
    monkeypatch.setenv("FACE_ONNX", "any.onnx")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=["attacker=[gallery,parrot]", "+judge@attacker.gallery.judge=onnx"])
    assert config.attacker.gallery.judge._target_ == "privacy_exp.evaluation.judges.judge.Judge"
    assert not config.judge
