"""Scoring folders after the fact: a run's own, and one made by hand."""

import importlib
import inspect
import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from privacy_exp import UserError, evaluate
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.checkpoint import save_checkpoint
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.rescore import rescore
from privacy_exp.sweep.entry import CONF


def test_a_run_scored_again_gives_the_same_numbers(cell, tmp_path):
    cell(tmp_path, "mask_ratio=0.5", "inpainting=opencv_telea")
    record = json.loads((tmp_path / "record.json").read_text())
    with initialize_config_dir(str(CONF), version_base="1.3"):
        again = evaluate.run(compose("evaluate", overrides=[f"run={tmp_path}", f"cache.root={tmp_path / 'new'}"]))
    assert again == {name: metric["value"] for name, metric in record["metrics"].items()}
    one, two = pd.read_parquet(tmp_path / "images.parquet"), pd.read_parquet(tmp_path / "evaluation.parquet")
    pd.testing.assert_frame_equal(one, two[one.columns])


@pytest.mark.slow
def test_a_judge_gives_the_runs_own_figures_again(cell, tmp_path):
    keys = ["utility=[]", "judge=[independent]", "judge.independent.embedder.module.max_epochs=1"]
    cell(tmp_path / "run", "mask_ratio=0.5", "inpainting=opencv_telea", *keys)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("evaluate", overrides=[f"run={tmp_path / 'run'}", f"cache.root={tmp_path / 'new'}", *keys])
    again = evaluate.run(config)
    assert again == {name: metric["value"] for name, metric in record["metrics"].items()}
    assert record["metrics"]["judge/independent/clean_tar_1e-2"]["n"] == record["n"]
    gone = json.loads((tmp_path / "run" / "record.json").read_text())
    gone["config"]["data"]["seed"] = 7  # other people
    (tmp_path / "run" / "record.json").write_text(json.dumps(gone))
    with pytest.raises(ValueError, match="photos or labels of the data have changed since"):
        evaluate.run(config)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            {"data": {"_target_": "shutil.copyfile", "src": "{run}/grid.png", "dst": "{run}/PWNED"}},
            "not a FaceData",
        ),
        ({"data": {"_target_": "evil_data.Faces"}}, "not a part of privacy_exp"),
        ({"data": {"split": {"_target_": "builtins.open", "file": "{run}/PWNED", "mode": "w"}}}, "inside `split`"),
        ({"data": {"no_such_key": 1}}, "can't be made here"),
        ({"data": {"split": 5}}, "can't be made here"),
        ({"trainer": {"callbacks": [{"_target_": "builtins.open", "file": "{run}/PWNED"}]}}, "no plain value"),
    ],
)
def test_a_record_runs_nothing_of_its_own_choosing(cell, tmp_path, monkeypatch, part, words):
    run = tmp_path / "run"
    keys = ["utility=[]", "judge=[independent]", "judge.independent.embedder.module.max_epochs=1"]
    cell(run, "mask_ratio=0.5", "inpainting=mean_fill", "utility=[]")
    (tmp_path / "evil_data.py").write_text(f"open({str(run / 'PWNED')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    record = json.loads((run / "record.json").read_text())
    for group, changes in json.loads(json.dumps(part).replace("{run}", str(run))).items():
        whole = "_target_" in changes
        record["config"][group] = changes if whole else {**record["config"][group], **changes}
    (run / "record.json").write_text(json.dumps(record))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("evaluate", overrides=[f"run={run}", f"cache.root={tmp_path / 'new'}", *keys])
    with pytest.raises(UserError, match=words):
        evaluate.run(config)
    assert not (run / "PWNED").exists()


class Brightness(Recognizer):
    """Names a person by the level of grey: 0 for black, 1 for grey, 2 for white."""

    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Identity(), 3, 8, "none")
        self.parameter = torch.nn.Parameter(torch.zeros(1))

    def prepare(self, images):
        return images

    def forward(self, images):
        level = images.mean((1, 2, 3))
        return -(level[:, None] - torch.tensor([0.0, 0.5, 1.0])).abs() + 0 * self.parameter


RECOGNIZER = "from privacy_exp.recognition.base import Recognizer"
LEVELS = {0: 0, 1: 128, 2: 255}
# id: (true class, level of the original, of the result)
PHOTOS = {"a": (0, 0, 0), "b": (0, 0, 2), "c": (1, 1, 2), "d": (1, 1, 0), "e": (2, 2, 2), "f": (2, 1, 1)}


@pytest.fixture
def pictures(tmp_path):
    """Five of six originals are recognised; of those b, c and d are fooled: fool rate 3/5."""
    for image_id, (label, before, after) in PHOTOS.items():
        for kind, word, level in (("original", "img", before), ("results", "generated", after), ("masks", "masks", 2)):
            path = tmp_path / kind / f"{image_id}-{word}-label-{10 + label}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), LEVELS[level], np.uint8)).save(path)
    (tmp_path / "map.csv").write_text("class_id,identity\n10,black\n11,grey\n12,white\n")
    return tmp_path


@pytest.fixture
def by_hand(pictures, monkeypatch):
    """The same, looked at by `Brightness`."""
    monkeypatch.setattr("privacy_exp.study.rescore.load_checkpoint", lambda source, trust: Brightness())
    monkeypatch.setattr("privacy_exp.study.rescore.checkpoint_identities", lambda source: ["black", "grey", "white"])
    return pictures


def test_counts_worked_out_by_hand(by_hand):
    values = rescore(by_hand, checkpoint="given", label_map=str(by_hand / "map.csv")).values
    assert values["accuracy"] == pytest.approx(5 / 6)
    assert values["accuracy_anonymized"] == pytest.approx(2 / 6)
    assert values["fool_rate"] == pytest.approx(3 / 5)
    assert values["control_fool_rate"] == 0, "without control pictures the original stands in"
    assert (pd.read_parquet(by_hand / "evaluation.parquet")["share_hidden"] == 1).all()


def test_a_recogniser_of_another_package_is_made_only_where_it_is_trusted(pictures, monkeypatch):
    (pictures / "levels_of_grey.py").write_text(f"import torch\n\n{RECOGNIZER}\n\n{inspect.getsource(Brightness)}")
    monkeypatch.syspath_prepend(pictures)
    made = importlib.import_module("levels_of_grey").Brightness()
    save_checkpoint(pictures / "recognizer.ckpt", made, ["black", "grey", "white"])
    del sys.modules["levels_of_grey"]
    keys = {"label_map": str(pictures / "map.csv")}
    with pytest.raises(UserError, match=r"levels_of_grey.Brightness, which is not a part .*trust=\[levels_of_grey\]"):
        rescore(pictures, **keys)
    assert "levels_of_grey" not in sys.modules
    with initialize_config_dir(str(CONF), version_base="1.3"):
        asked = [f"run={pictures}", f"label_map={keys['label_map']}", "trust=[levels_of_grey]"]
        assert evaluate.run(compose("evaluate", overrides=asked))["fool_rate"] == pytest.approx(3 / 5)
    sys.modules.pop("levels_of_grey")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: (p / "results" / "a-generated-label-10.png").unlink(), "do not pair"),
        (lambda p: (p / "map.csv").write_text("class_id,identity\n10,black\n11,grey\n"), "stands for no identity"),
        (lambda p: (p / "map.csv").write_text("class_id,identity\n10,nobody\n"), "does not know 'nobody'"),
        (lambda p: (p / "map.csv").write_text("a,b\n"), "needs the columns"),
        (
            lambda p: (p / "results" / "a-generated-label-10.png").rename(p / "results" / "a-generated-label-11.png"),
            "says class 11",
        ),
        (lambda p: (p / "original" / "a-img-label-10.png").write_bytes(b"junk"), "cannot be read"),
        (lambda p: (p / "original" / "a-img-label-10.png").rename(p / "original" / "a-img-label-unknown.png"), "class"),
    ],
)
def test_folders_that_cannot_be_scored_say_why(by_hand, damage, words):
    damage(by_hand)
    with pytest.raises(ValueError, match=words):
        rescore(by_hand, checkpoint="given", label_map=str(by_hand / "map.csv"))
    assert not (by_hand / "evaluation.json").exists()


def test_no_folder_and_no_recogniser(tmp_path):
    with pytest.raises(FileNotFoundError, match="run folder"):
        rescore(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"recognition\.checkpoint"):
        rescore(tmp_path)


def test_the_folder_reads_both_formats(by_hand):
    assert len(RunFolder(by_hand).list("original")) == 6
