"""What holds of every judge, attacker and utility measure: the yamls are found by globbing."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from privacy_exp.cache.configured import description
from privacy_exp.evaluation.judges import independent
from privacy_exp.evaluation.judges.named import IndependentJudge
from privacy_exp.sweep.configuration import MEASURES
from privacy_exp.sweep.entry import CONF

FILES = [(group, path) for group in MEASURES for path in sorted((CONF / group).glob("*.yaml"))]
NAMES = [f"{group}/{path.stem}" for group, path in FILES if path.stem != "default"]  # which bundles some

FEW = {  # a measure that trains is shortened; what it promises does not depend on how well it learns
    "attacker/reconstruction": ["attacker.reconstruction.steps=2", "attacker.reconstruction.width=8"],
    "utility/onnx": ["utility.onnx.image_size=112"],
    "judge/independent": ["judge.independent.embedder.module.max_epochs=1"],
}

LONG = {"attacker/parrot_open", "attacker/mask_aware", "attacker/whole_frame_net"}
"""Fits like those of `attacker/parrot`, which stays."""


def build(name, scene, monkeypatch, request):
    """The measure as its yaml gives it, for the run of `scene`."""
    group, stem = name.split("/")
    if name in ("judge/onnx", "utility/onnx"):
        monkeypatch.setenv(
            f"{'FACE' if name == 'judge/onnx' else 'UTILITY'}_ONNX", str(request.getfixturevalue("face_onnx"))
        )
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(
            "train", overrides=[f"{group}=[{stem}]", "trainer.enable_progress_bar=false", *FEW.get(name, [])]
        )
    try:
        return instantiate(config[group][stem])
    except Exception as error:  # an extra that is not installed, or weights that are not at hand
        cause = error.__cause__ or error
        if isinstance(cause, ConnectionError) or "install the extra" in str(cause):
            pytest.skip(str(cause)[:200])
        raise


def state(scene):
    files = {
        p.relative_to(scene.folder.path): p.stat().st_mtime_ns for p in scene.folder.path.rglob("*") if p.is_file()
    }
    weights = {name: value.clone() for name, value in scene.recognizer.state_dict().items()}
    return files, scene.table.copy(), weights, scene.recognizer.training


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in NAMES]
)
def test_every_measure(name, scene, monkeypatch, request):
    measure = build(name, scene, monkeypatch, request)
    files, table, weights, training = state(scene)
    found = measure.measure(scene, name)

    assert found.metrics
    for metric_name, metric in found.metrics.items():
        assert metric_name.startswith((f"{name}/", "utility/")), metric_name
        if metric.value is None:
            assert metric.reason, f"{metric_name}: a null needs its reason"
            continue
        assert np.isfinite(metric.value), metric_name
        if metric.low is not None:
            assert metric.low <= metric.value + 1e-9, metric_name
            assert metric.value <= metric.high + 1e-9, metric_name
    for column, values in found.columns.items():
        assert column.startswith(f"{name.split('/')[0]}/"), column
        assert len(values) == len(scene.table), column
    for seen in found.outcomes:
        assert seen.name.startswith(name)
        assert len(seen.identity) == len(seen.clean) == len(seen.anonymized) > 0
        assert 0 < seen.chance < 1
        for hits in (seen.clean, seen.anonymized):
            assert ((hits >= 0) & (hits <= 1)).all()
    json.dumps(found.details, allow_nan=False)
    json.dumps({n: dataclasses.asdict(m) for n, m in found.metrics.items()}, allow_nan=False)

    after, table_after, weights_after, training_after = state(scene)
    assert after == files, "a measure leaves the run's folder as it was"
    assert table_after.equals(table)
    assert training_after == training
    assert all(torch.equal(weights[n], weights_after[n]) for n in weights), "and the recogniser too"

    again = measure.measure(scene, name)
    assert again.metrics == found.metrics, "the same run gives the same figures"


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_names_its_own_package(name):
    first = (Path(CONF) / f"{name}.yaml").read_text().splitlines()[0]
    assert first == f"# @package {name.replace('/', '.')}", "else two chosen ones merge into one"


def test_several_measures_of_a_group_stand_beside_each_other(monkeypatch, tmp_path):
    monkeypatch.setitem(os.environ, "FACE_ONNX", str(tmp_path / "any.onnx"))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=["judge=[onnx,dlib]"])
    assert list(config.judge) == ["onnx", "dlib"]


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_holds_the_constructors_defaults(name, scene, monkeypatch, request):
    """Besides what it must name: a judge's embedder, the one key of a variant, and no detection for `independent`."""
    made = build(name, scene, monkeypatch, request)
    differ = {
        "attacker/mask_aware": {"grey_hidden": True},
        "attacker/whole_frame_plain": {"learns_from": "originals"},
        "attacker/reconstruction": {"steps": 2, "width": 8},
        "utility/onnx": {"image_size": 112},
        "judge/independent": {"detect": False},
    }.get(name, {})
    required = {key: made.arguments[key] for key in ("embedder", "model") if key in made.arguments}
    plain = type(made)(**required, **differ)
    assert description(made) == description(plain)
    group, stem = name.split("/")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=[f"{group}=[{stem}]"])[group][stem]
    assert set(config) - {"_target_", "_convert_"} == set(made.arguments), "every key can be set on the command line"


def test_an_independent_judge_is_the_yamls(scene, monkeypatch, request):
    monkeypatch.setattr(sys.modules[__name__], "FEW", {})
    made, named = (
        judge.viewer.embedder for judge in (build("judge/independent", scene, monkeypatch, request), IndependentJudge())
    )
    assert description(made.net) == description(named.net)
    assert description(made.module) == description(named.module)
    keys = description(made.trainer)
    assert keys == description(named.trainer) | {"enable_progress_bar": False}
    assert made.seed == named.seed


def test_an_independent_judge_learns_from_none_of_its_impostors(scene, monkeypatch):
    def fit(data, *_):
        assert data.photos == {**scene.data.photos, "val": []}, "the validation photos set its thresholds"
        raise RuntimeError("seen")

    monkeypatch.setattr(independent, "fit_recognizer", fit)
    assert scene.data.photos["val"]
    assert independent.IndependentEmbedder.parts_seen == ("train",)
    with pytest.raises(RuntimeError, match="seen"):
        independent.IndependentEmbedder(seed=31).fit(scene)
