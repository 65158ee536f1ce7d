"""The strongest observer: counts worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from privacy_exp.evaluation.evaluate import observer_columns
from privacy_exp.evaluation.measure import Outcome, strongest_observer

PEOPLE = np.repeat([f"p{i}" for i in range(10)], 4)


def seen(name: str, clean: int, anonymized: int, chance: float = 0.1, excluded: str | None = None) -> Outcome:
    right = (np.arange(40) % 10)[:, None] < np.array([[clean, anonymized]])
    return Outcome(name, PEOPLE, *right.T.astype(float), chance, excluded)


def test_the_strongest_is_named_first_and_its_figure_is_theirs():
    metric, observers = strongest_observer([seen("c", 9, 3), seen("judge/a", 8, 6), seen("judge/b", 10, 2)])
    assert observers == ["judge/a", "c", "judge/b"]
    assert metric.value == pytest.approx((0.6 - 0.1) / (0.8 - 0.1))
    assert metric.low <= metric.value <= metric.high


def test_who_fails_the_gate_takes_no_part():
    metric, observers = strongest_observer([seen("c", 9, 3), seen("judge/a", 8, 8, excluded="below_gate")])
    assert observers == ["c"]
    assert metric.value == pytest.approx(0.2 / 0.8)


def test_who_is_at_chance_on_the_originals_takes_no_part():
    metric, observers = strongest_observer([seen("c", 9, 3), seen("judge/a", 1, 10, chance=0.1)])
    assert observers == ["c"]
    assert metric.value == pytest.approx(0.2 / 0.8)


def test_the_interval_is_of_the_maximum():
    alone, _ = strongest_observer([seen("c", 9, 5)])
    rng = np.random.default_rng(0)
    others = [Outcome(f"j{i}", PEOPLE, np.ones(40), (rng.random(40) < 0.5) * 1.0, 0.1) for i in range(8)]
    together, _ = strongest_observer([seen("c", 9, 5), *others])
    assert together.low > alone.low, "the best of nine is rarely bad"


def test_an_observer_of_other_people_takes_part():
    other = Outcome("attacker/open", np.repeat(["q1", "q2"], 3), np.ones(6), np.ones(6), 0.5)
    metric, observers = strongest_observer([seen("c", 9, 3), other])
    assert observers[0] == "attacker/open"
    assert (metric.value, metric.n) == (1.0, 6)


def test_photos_that_an_observer_was_not_asked_about_are_nan_in_the_table():
    table = pd.DataFrame({"image_id": list("abcde"), "identity": ["p", "p", "q", "r", "r"]})
    rows = np.array([0, 1, 3, 4])  # q has one photo: nobody to be found by
    hits = np.array([1.0, 0.0, 1.0, 1.0])
    seen = Outcome("judge/x", table["identity"].to_numpy(str)[rows], np.ones(4), hits, 0.5, None, rows)
    columns = observer_columns([seen], table)
    np.testing.assert_array_equal(columns["recognised/judge/x"], [1, 0, np.nan, 1, 1])
    np.testing.assert_array_equal(columns["recognised_clean/judge/x"], [1, 1, np.nan, 1, 1])
    of_others = Outcome("attacker/y", np.array(["p", "q"]), np.ones(2), np.ones(2), 0.5)
    assert not observer_columns([of_others], table)
