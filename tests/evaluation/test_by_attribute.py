"""Rates by attribute: counts worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from privacy_exp.evaluation.by_attribute import rates_by_attribute
from privacy_exp.evaluation.measure import Outcome


@pytest.fixture
def table():
    """Twelve photos of six people. With glasses: 5 of 6 recognised, 4 of those fooled. Without: 6 of 6, 1 fooled."""
    return pd.DataFrame(
        {
            "identity": [f"p{i // 2}" for i in range(12)],
            "label": [i // 2 for i in range(12)],
            "pred": [0, 0, 1, 1, 2, 5, 3, 3, 4, 4, 5, 5],
            "pred_anonymized": [1, 1, 1, 5, 5, 5, 3, 3, 4, 4, 5, 0],
            "attribute/Eyeglasses": [True] * 6 + [False] * 6,
            "attribute/Bald": [True] * 4 + [False] * 8,
        }
    )


def strongest(people, hits):
    return Outcome("judge/a", np.asarray(people), np.ones(len(people)), np.asarray(hits, dtype=float), 1 / 6)


def test_rates_with_and_without_an_attribute(table):
    hits = [1, 1, 0.5, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    found = rates_by_attribute(table, strongest(table["identity"].to_numpy(str), hits), gate=0.8)
    values = {name: (pytest.approx(metric.value), metric.n, metric.reason) for name, metric in found.items()}
    assert values == {
        "by/Eyeglasses=0/accuracy": (1.0, 6, None),
        "by/Eyeglasses=0/fool_rate": (1 / 6, 6, None),
        "by/Eyeglasses=0/strongest_observer_accuracy": (1.0, 6, None),
        "by/Eyeglasses=1/accuracy": (5 / 6, 6, None),
        "by/Eyeglasses=1/fool_rate": (4 / 5, 5, None),
        "by/Eyeglasses=1/strongest_observer_accuracy": (2.5 / 6, 6, None),
    }, "Bald has four photos only"


def test_flags_and_reasons_travel_along(table):
    found = rates_by_attribute(table, None, gate=0.95)
    assert found["by/Eyeglasses=1/fool_rate"].reason == "below_gate"
    assert found["by/Eyeglasses=1/accuracy"].reason is None
    assert "no observer" in found["by/Eyeglasses=1/strongest_observer_accuracy"].reason
    other = rates_by_attribute(table, strongest(["q", "q"], [1, 1]), gate=0.5)[
        "by/Eyeglasses=0/strongest_observer_accuracy"
    ]
    assert (other.value, other.n) == (None, 6)
    assert "judge/a was not asked" in other.reason


def test_data_without_attributes_has_no_such_rates(table):
    bare = table[["identity", "label", "pred", "pred_anonymized"]]
    assert rates_by_attribute(bare, None, gate=0.8) == {}


def test_rates_of_an_observer_below_its_gate_say_so(table):
    hits = np.arange(12) % 2.0
    table = table.assign(**{"recognised/judge/a": hits, "judge/a/tar_cross_1e-2": hits, "recognised/judge/b": hits})
    found = rates_by_attribute(table, None, gate=0.8, flags={"judge/a": "below_gate"})
    assert found["by/Eyeglasses=1/recognised/judge/a"].reason == "below_gate"
    assert found["by/Eyeglasses=1/judge/a/tar_cross_1e-2"].reason == "below_gate"
    assert found["by/Eyeglasses=1/recognised/judge/b"].reason is None
    assert found["by/Eyeglasses=1/recognised/judge/b"].value == 0.5


def test_five_images_of_either_kind_are_enough_and_four_are_not(table):
    def shown(count):
        flags = (np.arange(12) < count).astype(int)  # as numbers: a table that was read back may hold them so
        only = table.drop(columns=["attribute/Eyeglasses", "attribute/Bald"]).assign(**{"attribute/Any": flags})
        return {name: metric.n for name, metric in rates_by_attribute(only, None, gate=0).items()}

    assert shown(4) == shown(8) == {}
    assert (shown(5)["by/Any=1/accuracy"], shown(5)["by/Any=0/accuracy"]) == (5, 7)
    assert (shown(7)["by/Any=1/accuracy"], shown(7)["by/Any=0/accuracy"]) == (7, 5)


def test_means_are_over_the_photos_that_have_a_value(table):
    detected = np.array([1, 1, 1, 1, np.nan, 0, 0, 0, 0, np.nan, 1, 0])
    found = rates_by_attribute(table.assign(**{"utility/detected": detected}), None, gate=0)
    rates = [found[f"by/Eyeglasses={value}/utility/detected"] for value in (1, 0)]
    assert [(metric.value, metric.n) for metric in rates] == [(pytest.approx(4 / 5), 5), (pytest.approx(1 / 5), 5)]


def test_nobody_recognised_among_those_with_an_attribute(table):
    found = rates_by_attribute(table.assign(pred=-1), None, gate=0)
    metric = found["by/Eyeglasses=1/fool_rate"]
    assert (metric.value, metric.n, metric.reason) == (None, 0, "nothing was recognised on the originals")


def test_at_the_gate_nothing_is_flagged(table):
    for gate, reason in ((11 / 12, None), (11 / 12 + 1e-9, "below_gate")):
        assert rates_by_attribute(table, None, gate)["by/Eyeglasses=0/fool_rate"].reason == reason


def test_an_observer_that_was_asked_about_some_photos_counts_by_those(table):
    rows = np.array([0, 3, 6, 9, 11])
    people = table["identity"].to_numpy(str)[rows]
    some = Outcome("judge/a", people, np.ones(5), np.array([1.0, 0, 0, 0, 1]), 1 / 6, None, rows)
    found = rates_by_attribute(table, some, gate=0)
    rates = [found[f"by/Eyeglasses={value}/strongest_observer_accuracy"] for value in (1, 0)]
    assert [(metric.value, metric.n) for metric in rates] == [(0.5, 2), (pytest.approx(1 / 3), 3)]


def test_a_table_without_a_target_has_the_observers_rates_alone(table):
    hits = np.arange(12) % 2.0
    bare = table.drop(columns="pred").assign(**{"recognised/judge/a": hits})
    names = {name.partition("=")[2][2:] for name in rates_by_attribute(bare, None, gate=0)}
    assert names == {"strongest_observer_accuracy", "recognised/judge/a"}
