"""Deletion curves against sums by hand, and the command on few people."""

import csv
import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict
from sklearn.metrics import auc
from torch import nn

from privacy_exp import deletion
from privacy_exp.evaluation.deletion import Deletion, _fooled, area, curves, delete
from privacy_exp.evaluation.statistics.intervals import bootstrap_mean, holm, sign_flip_test
from privacy_exp.masking.center import Center
from privacy_exp.masking.filling import mean_filled
from privacy_exp.masking.random_patches import RandomPatches
from privacy_exp.recognition.base import Recognizer
from privacy_exp.sweep.deletion import methods
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import Faces, UserError


class SeesTheMiddle(Recognizer):
    """Person 1 while the four middle pixels are white."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 1, 1), nn.Identity(), 2, 16, "none")

    def prepare(self, images):
        return images

    def forward(self, images):
        white = images[:, :, 7:9, 7:9].mean((1, 2, 3))
        return torch.stack([0.9 - white, white - 0.9], 1) * 20


def faces() -> Faces:
    images = torch.zeros(2, 3, 16, 16)
    images[:, :, 7:9, 7:9] = 1
    return Faces(["a", "b"], images, torch.tensor([1, 1]))


def test_the_middle_first_loses_the_middle_at_once_and_random_later():
    shares = [0.1, 0.5, 0.9]
    found = {}
    for name, masker in (("center", Center(granularity=2)), ("random", RandomPatches(2, granularity=2))):
        found[name] = delete(
            [faces()], SeesTheMiddle(), masker, shares, [0, 1, 2], lambda s, m=masker: lambda f: m.rank(f, None, s)
        )
    assert found["center"].known.all()
    assert not found["center"].right.any()
    assert found["random"].right[:, 0].mean() > 0.3
    assert set(np.round(found["random"].right.flatten() * 3, 6)) <= {0, 1, 2, 3}, "means over three seeds"
    assert (area(found["center"].prob, shares) < area(found["random"].prob, shares)).all()


def test_the_area_is_the_trapezoids():
    shares = [0.05, 0.1, 0.4, 0.9]
    prob = np.array([[0.9, 0.5, 0.4, 0.1]])
    assert area(prob, shares)[0] == pytest.approx(auc(shares, prob[0]) / 0.85)


def test_curves_test_against_random_and_say_why_not():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(25), 4)
    noise = rng.uniform(0, 0.1, (100, 3))
    known, right = np.ones(100, bool), np.ones((100, 3))
    found = {
        "random": Deletion(labels, known, 0.5 + noise, right),
        "better": Deletion(labels, known, 0.3 + rng.uniform(0, 0.1, (100, 3)), right),
        "same": Deletion(labels, known, 0.5 + rng.uniform(0, 0.1, (100, 3)), right),
    }
    rows = {row["method"]: row for row in curves(found, [0.1, 0.5, 0.9], "random")}
    assert rows["random"]["p_vs_random"] is None
    assert rows["better"]["p_vs_random"] < 0.01
    assert rows["better"]["auc_minus_random"] < 0
    assert rows["same"]["p_vs_random"] > 0.05
    assert rows["same"]["p_reason"] is None
    assert rows["better"]["fool_rate"] == [0, 0, 0]
    few = {name: Deletion(d.labels[:40], d.known[:40], d.prob[:40], d.right[:40]) for name, d in found.items()}
    row = curves(few, [0.1, 0.5, 0.9], "random")[1]
    assert row["p_vs_random"] is None
    assert "20 people" in row["p_reason"]


def test_the_fool_rate_of_each_share_is_its_own_among_the_known():
    labels, right = np.repeat(np.arange(20), 2), np.zeros((40, 3))
    right[:, 0], right[:10, 1] = 1, 1
    known = np.arange(40) < 20
    one = Deletion(labels, known, np.full((40, 3), 0.5), right)
    first, second = curves({"random": one, "same": one}, [0.1, 0.5, 0.9], "random")
    assert first["fool_rate"] == [0, 0.5, 1]
    assert second["p_reason"] is None, "twenty people are enough"


def test_a_row_by_hand():
    """Twenty people: areas over unequal steps, intervals and tests as the statistics module gives them."""
    rng = np.random.default_rng(0)
    shares, labels = [0.1, 0.2, 0.6], np.repeat(np.arange(20), 2)
    known, right = np.arange(40) % 4 > 0, rng.integers(0, 2, (40, 3)).astype(float)
    found = {
        n: Deletion(labels, known, rng.uniform(size=(40, 3)) * top, right)
        for n, top in (("r", 1), ("a", 0.8), ("b", 0.6))
    }
    rows = {row["method"]: row for row in curves(found, shares, "r")}
    assert list(rows) == ["r", "a", "b"]
    areas = {n: (d.prob @ [0.05, 0.25, 0.2]) / 0.5 for n, d in found.items()}
    raw = [sign_flip_test(areas[name], areas["r"], labels) for name in "ab"]
    assert [rows[name]["p_vs_random"] for name in "ab"] == pytest.approx(holm(raw))
    for name, row in rows.items():
        assert area(found[name].prob, shares) == pytest.approx(areas[name])
        each = [bootstrap_mean(column, labels) for column in found[name].prob.T]
        whole = bootstrap_mean(areas[name], labels)
        wrong = 1 - right[known]
        assert row == {
            "method": name,
            "shares": shares,
            "prob": [m.value for m in each],
            "prob_low": [m.low for m in each],
            "prob_high": [m.high for m in each],
            "fool_rate": pytest.approx(wrong.mean(0).tolist()),
            "auc": pytest.approx({"value": whole.value, "low": whole.low, "high": whole.high, "n": 40}),
            "p_vs_random": row["p_vs_random"],
            "p_reason": "it is what the others are compared with" if name == "r" else None,
            "auc_minus_random": pytest.approx((areas[name] - areas["r"]).mean()),
        }


def test_few_people_and_nobody_known_are_said():
    labels, right = np.repeat(np.arange(19), 2), np.ones((38, 2))
    one = Deletion(labels, np.zeros(38, bool), np.full((38, 2), 0.5), right)
    first, second = curves({"r": one, "a": one}, [0.2, 0.4], "r")
    assert (second["p_vs_random"], second["p_reason"]) == (None, "fewer than 20 people")
    assert first["fool_rate"] == [None, None]
    nobody = _fooled(one, 0)
    assert (nobody.value, nobody.n, nobody.reason) == (None, 0, "nothing was recognised on the originals")


def test_each_seed_and_batch_counts_by_hand():
    """Prob and guess of every image at each share, averaged over seeds; the batches one after the other."""
    net, shares = SeesTheMiddle(), [0.25, 0.75]
    masker = RandomPatches(2, granularity=2)
    two = faces()._replace(ids=["c", "d"], labels=torch.tensor([1, 0]))
    batches = [faces(), two]
    found = delete(batches, net, masker, shares, [3, 8], lambda s: lambda f: masker.rank(f, None, s))
    assert found.labels.tolist() == [1, 1, 1, 0]
    assert found.known.tolist() == [True, True, True, False]
    for row, (batch, i) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        each = batches[batch]
        for column, share in enumerate(shares):
            probs, rights = [], []
            for seed in (3, 8):
                masks = masker.mask(each, mask_ratio=share, seed=seed)
                logits = net(mean_filled(each.images, masks))[i]
                probs.append(float(logits.softmax(0)[each.labels[i]]))
                rights.append(float(logits.argmax() == each.labels[i]))
            assert found.prob[row, column] == pytest.approx(np.mean(probs), abs=1e-6)
            assert found.right[row, column] == np.mean(rights)
    with pytest.raises(UserError, match="photos of known people"):
        delete([faces()._replace(labels=None)], net, masker, shares, [0], lambda s: lambda f: masker.rank(f, None, s))


def test_a_method_that_does_not_draw_is_asked_once():
    asked = []

    def scores(seed):
        asked.append(seed)
        return lambda batch: Center(granularity=2).rank(batch, None, seed)

    delete([faces()], SeesTheMiddle(), Center(granularity=2), [0.5], [4, 5, 6], scores)
    assert asked == [4]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")

    def call(out, *overrides: str):
        out.mkdir(parents=True, exist_ok=True)
        few = ["data.identities=3", "data.photos_per_identity=6", "recognition.module.max_epochs=1", "shares=[0.2,0.8]"]
        paths = [f"cache.root={store}", f"hydra.run.dir={out}", f"hydra.runtime.output_dir={out}"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("deletion", overrides=[*few, *paths, *overrides], return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            with open_dict(config):
                del config["hydra"]
            return deletion.run(config)

    return call


def test_the_command_writes_what_it_prints(run, tmp_path, capsys):
    path = run(tmp_path, "methods=[center,saliency]", "region=face")
    content, printed = json.loads(path.read_text()), capsys.readouterr().out
    assert [c["method"] for c in content["curves"]] == ["random_patches", "center", "saliency"]
    assert content["region"] == "face"
    for curve in content["curves"]:
        assert len(curve["shares"]) == len(curve["prob"]) == len(curve["fool_rate"]) == 2
        assert curve["p_reason"], "3 people are too few"
        assert f"{curve['auc']['value']:.3f}" in printed
    rows = list(csv.DictReader((tmp_path / "deletion.csv").open()))
    assert len(rows) == 6
    assert float(rows[3]["prob"]) == content["curves"][1]["prob"][1]
    assert (tmp_path / "deletion.png").stat().st_size > 10_000


def test_all_methods_with_a_budget_take_part(run):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        names = set(methods(compose("deletion")))
    stems = {path.stem for path in (CONF / "masking").glob("*.yaml")}
    assert stems - names == {"everything", "nothing", "minimal", "command"} | {
        s for s in stems if s.startswith("original_")
    }


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("methods=[nobody]", "nobody"),
        ("methods=[nothing]", "decides its own area"),
        ("against=everything", "decides its own area"),
        ("shares=[0.5]", "`shares`"),
        ("shares=[0.5,0.2]", "`shares`"),
        ("shares=[0.5,1.2]", "`shares`"),
        ("mask_seeds=[]", "`mask_seeds`"),
        ("region=nose", "`region`"),
    ],
)
def test_bad_input_is_told_before_anything_is_fitted(run, tmp_path, override, words):
    with pytest.raises(Exception, match=words):
        run(tmp_path, override)
    assert not list(tmp_path.iterdir())
