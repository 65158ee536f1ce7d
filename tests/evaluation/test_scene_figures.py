"""All figures of a run, with measures whose findings are chosen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from privacy_exp.cache.store import Store
from privacy_exp.data.base import FaceData
from privacy_exp.data.photo import Photo
from privacy_exp.evaluation.evaluate import evaluate, observer_columns, with_attributes
from privacy_exp.evaluation.measure import Findings, Measure, Outcome, Scene
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.pairs import NoRecognizer
from privacy_exp.types import Metric

WHO = np.repeat(["anna", "bela", "cleo"], 4)


class Says(Measure):
    """Finds what a test chooses, and notes what it was shown."""

    def __init__(self, hits=None, excluded=None, **found):
        self.hits, self.excluded, self.found = hits, excluded, found
        self.shown = []

    def measure(self, scene, name):
        self.shown.append((scene, name))
        outcomes = []
        if self.hits is not None:
            outcomes = [Outcome(name, WHO, np.ones(12), np.asarray(self.hits, float), 1 / 3, self.excluded)]
        return Findings(outcomes=outcomes, **self.found)


class Looks(Says):
    """A judge through which others may look."""

    def fit(self, scene):
        raise AssertionError("nobody asks")

    def embed(self, images):
        raise AssertionError("nobody asks")


class Known(FaceData):
    """Photos with attributes, and nothing else that a measure of these tests asks for."""

    def __init__(self, attributes):
        self.photos = {"train": [], "val": [], "test": [Photo(f"i{i:02}", who) for i, who in enumerate(WHO)]}
        for photo, row in zip(self.photos["test"], attributes, strict=True):
            object.__setattr__(photo, "attributes", row)

    def index(self):
        raise AssertionError("nobody asks")

    read = index


@pytest.fixture
def scene(tmp_path):
    """Twelve photos of three people, 10 known before (0.83) and 4 after; one name a column of `score_folder`."""
    labels = np.repeat([0, 1, 2], 4)
    pred, after = labels.copy(), (labels + 1) % 3
    pred[[0, 4]] = 2
    after[[1, 2, 5, 9]] = labels[[1, 2, 5, 9]]
    table = pd.DataFrame({"image_id": [f"i{i:02}" for i in range(12)], "identity": WHO, "label": labels, "pred": pred})
    table = table.assign(pred_anonymized=after, pred_control=pred, rank=1.0 + (after != labels))
    return Scene(RunFolder(tmp_path), table, ["anna", "bela", "cleo"], NoRecognizer(), Store(tmp_path))


def test_what_each_measure_finds_is_put_together(scene):
    half = Metric(0.5, 0.4, 0.6, 12)
    strong = Says([1.0] * 9 + [0] * 3, metrics={"judge/a/x": half}, columns={"judge/a/y": np.arange(12.0)})
    weak = Says([1.0, 0] * 6, warnings=["look out"], details={"gate": 0.9})
    measures = {"judge/a": strong, "judge/b": weak, "utility/c": Says(warnings=["twice"])}
    found = evaluate(scene, measures, gate=0.8)
    assert found.metrics["judge/a/x"] == half
    assert found.metrics["fool_rate"].value == pytest.approx(6 / 10)
    assert found.metrics["strongest_observer"].value == pytest.approx((0.75 - 1 / 3) / (1 - 1 / 3))
    assert found.observers == ["judge/a", "judge/b", "target"]
    assert found.warnings == ["look out", "twice"]
    observers = {name: {"chance": 1 / 3, "excluded": None} for name in ("target", "judge/a", "judge/b")}
    assert found.details == {"judge/b": {"gate": 0.9}, "observers": observers}
    assert found.table["judge/a/y"].tolist() == list(range(12))
    assert found.table["recognised/judge/b"].tolist() == [1.0, 0] * 6
    assert found.table["recognised_clean/target"].tolist() == (scene.table["pred"] == scene.table["label"]).tolist()
    assert found.table["recognised/target"].sum() == 4
    assert "recognised/target" not in scene.table, "the scene stays as it was"
    for name, measure in measures.items():
        ((shown, called),) = measure.shown
        assert called == name
        assert shown.table.equals(scene.table)


def test_judges_that_others_may_look_through_are_handed_on(scene):
    looks = Looks()
    measures = {"judge/a": looks, "judge/b": Says(), "attacker/c": Looks()}
    evaluate(scene, measures, gate=0.8)
    assert measures["attacker/c"].shown[0][0].judges == {"judge/a": looks}


def test_below_its_gate_the_target_takes_no_part_and_every_figure_of_it_says_so(scene):
    table = scene.table.assign(share_hidden=0.5, minimal_recognised=True, minimal_lost=True, minimal_monotone=False)
    below = evaluate(replace(scene, table=table), {"judge/a": Says([1.0, 0] * 6, "below_gate")}, gate=0.9)
    assert below.metrics["fool_rate"].reason == below.metrics["minimal/not_monotone"].reason == "below_gate"
    assert below.metrics["accuracy"].reason is None
    assert below.observers == []
    assert below.metrics["strongest_observer"].reason == "below_gate: no observer passed its gate"
    assert below.details["observers"]["judge/a"]["excluded"] == "below_gate"
    above = evaluate(replace(scene, table=table), {}, gate=0.8)
    assert above.metrics["minimal/not_monotone"].value == 1
    assert above.metrics["minimal/not_monotone"].reason is None
    assert above.observers == ["target"]


def test_without_a_target_there_are_the_measures_figures_alone(scene):
    bare = replace(scene, table=scene.table[["image_id", "identity", "label"]])
    found = evaluate(bare, {"judge/a": Says([1.0, 0] * 6)}, gate=0.8)
    assert set(found.metrics) == {"strongest_observer"}
    assert found.observers == ["judge/a"]
    assert list(found.details["observers"]) == ["judge/a"]


def test_rates_by_attribute_are_of_the_strongest_and_flagged_as_it_is(scene, monkeypatch):
    flags = [{"Young": i < 6, "Bald": i > 10} for i in range(12)]
    place = replace(scene, data=Known(flags))
    measures = {"judge/a": Says([1.0] * 9 + [0] * 3), "judge/b": Says([1.0, 0] * 6, "below_gate")}
    found = evaluate(place, measures, gate=0.8)
    assert found.table["attribute/Young"].tolist() == [True] * 6 + [False] * 6
    assert found.metrics["by/Young=1/strongest_observer_accuracy"].value == 1
    assert found.metrics["by/Young=0/strongest_observer_accuracy"].value == 0.5
    assert found.metrics["by/Young=1/recognised/judge/b"].reason == "below_gate"
    assert found.metrics["by/Young=1/recognised/judge/a"].reason is None
    assert found.metrics["by/Young=1/fool_rate"].reason is None
    assert not any("Bald" in name for name in found.metrics), "one photo only"
    monkeypatch.setattr("privacy_exp.evaluation.evaluate.unaligned", lambda data: "faces are not aligned")
    assert found.warnings == []
    nobody = evaluate(place, {"judge/b": Says([1.0, 0] * 6, "below_gate")}, gate=1.0)
    assert nobody.metrics["by/Young=1/strongest_observer_accuracy"].reason == "no observer passed its gate"
    assert nobody.metrics["by/Young=1/fool_rate"].reason == "below_gate"
    assert nobody.warnings == ["faces are not aligned"]
    monkeypatch.setattr("privacy_exp.evaluation.evaluate.unaligned", lambda data: None)
    assert evaluate(place, {}, gate=1.0).warnings == []


def test_attributes_are_taken_where_every_photo_has_them(scene):
    flags = [{"B": i % 2 == 0, "A": True} for i in range(12)]
    shuffled = replace(scene, data=Known(flags), table=scene.table.iloc[::-1])
    table = with_attributes(shuffled)
    assert [name for name in table if name.startswith("attribute/")] == ["attribute/A", "attribute/B"]
    assert table["attribute/B"].tolist() == [i % 2 == 0 for i in reversed(range(12))]
    assert with_attributes(replace(scene, data=Known([*flags[:11], None]))) is scene.table
    assert with_attributes(replace(scene, data=Known([None] * 12))) is scene.table
    assert with_attributes(scene) is scene.table


def test_an_observer_of_other_photos_has_no_columns(scene):
    other = Outcome("attacker/x", np.roll(WHO, 1), np.ones(12), np.ones(12), 1 / 3)
    fewer = Outcome("attacker/y", WHO[:5], np.ones(5), np.zeros(5), 1 / 3, None, np.arange(5))
    columns = observer_columns([other, fewer], scene.table)
    assert set(columns) == {"recognised/attacker/y", "recognised_clean/attacker/y"}
    np.testing.assert_array_equal(columns["recognised/attacker/y"], [0.0] * 5 + [np.nan] * 7)
