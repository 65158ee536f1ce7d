"""The strongest observer: counts worked out by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from privacy_exp.cache.store import Store
from privacy_exp.evaluation.evaluate import observer_columns
from privacy_exp.evaluation.measure import (
    Cost,
    Findings,
    Fits,
    Outcome,
    Scene,
    kept_share,
    recovered_share,
    strongest_observer,
)
from privacy_exp.evaluation.statistics.intervals import interval_of_maximum
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.pairs import NoRecognizer

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


def test_nobody_asked_is_no_figure():
    metric, observers = strongest_observer([])
    assert (metric.value, metric.n, observers) == (None, 0, [])
    assert "no observer was asked" in metric.reason
    gone = [seen("c", 9, 3, excluded="below_gate"), Outcome("j", PEOPLE[:2], np.ones(2), np.ones(2), 0.1, "no_gate")]
    metric, _ = strongest_observer(gone)
    assert (metric.value, metric.n) == (None, 40)
    assert metric.reason == "below_gate, no_gate: no observer passed its gate"
    nobody = Outcome("attacker/none", PEOPLE[:0], np.ones(0), np.ones(0), 0.1)
    assert strongest_observer([nobody])[0].reason == "at chance on the originals: no observer passed its gate"


def test_the_interval_is_of_drawn_people_by_the_stated_seed():
    """Against a loop over people, drawn one by one as `resampled_sums` draws them."""
    rng = np.random.default_rng(1)
    hits = rng.random(40)  # ties count in part
    outcomes = [Outcome("c", PEOPLE, np.ones(40), hits, 0.1), seen("judge/b", 10, 3)]
    metric, _ = strongest_observer(outcomes, draws=300)
    shares = []
    for pick in np.random.default_rng(0).integers(0, 10, (300, 10)):
        photos = np.concatenate([np.flatnonzero(np.unique(PEOPLE)[i] == PEOPLE) for i in pick])
        shares.append([(o.anonymized[photos].mean() - 0.1) / (o.clean[photos].mean() - 0.1) for o in outcomes])
    low, high = interval_of_maximum(np.array(shares).T)
    assert (metric.low, metric.high) == (pytest.approx(low), pytest.approx(high))
    assert metric == strongest_observer(outcomes, draws=300, seed=0)[0]
    assert metric != strongest_observer(outcomes, draws=300, seed=1)[0]
    alone = recovered_share(outcomes[1])
    assert alone == strongest_observer(outcomes[1:], draws=2000)[0]


def test_an_observer_that_takes_no_part_has_its_own_figure_with_the_reason_beside_it():
    own = recovered_share(seen("c", 9, 3, excluded="below_gate"))
    assert (own.value, own.reason) == (pytest.approx(0.25), "below_gate")
    tries = recovered_share(seen("a", 9, 3), seen("a", 9, 5), seen("a", 9, 1))
    assert (tries.value, tries.reason) == (pytest.approx(0.5), None)
    blind = recovered_share(seen("c", 1, 3, excluded="below_gate"))
    assert (blind.value, blind.reason) == (None, "at chance on the originals: no observer passed its gate")


@pytest.mark.parametrize(("people", "photos"), [(5, 3), (10, 4), (36, 4), (40, 3)])
def test_who_guesses_is_at_chance_however_the_mean_is_rounded(people, photos):
    """An embedder that has collapsed: all tie, so that every hit counts 1 / people, on originals and results."""
    guess = np.full(photos * people, 1 / people)
    who = np.repeat(np.arange(people).astype(str), photos)
    for hits in (guess, np.ones(photos * people)):
        metric, observers = strongest_observer([Outcome("judge/a", who, guess, hits, 1 / people)])
        assert (metric.value, observers) == (None, [])
    barely = guess + 1e-6
    assert strongest_observer([Outcome("judge/a", who, barely, barely, 1 / people)])[0].value == pytest.approx(1)


def test_the_kept_share_by_hand():
    sums = np.array([[10.0, 10, 10, 0, 10], [9.0, 1, 0, 0, 5], [5.0, 5, 5, 0, 1]])
    np.testing.assert_allclose(kept_share(sums, 0.1), [0.5, np.nan, np.nan, np.nan, 0.0])


def test_a_folder_made_elsewhere_has_no_means_to_fit_or_paint(tmp_path):
    table = pd.DataFrame({"image_id": ["a"]})
    scene = Scene(RunFolder(tmp_path), table, ["p"], NoRecognizer(), Store(tmp_path))
    means = scene.data, scene.template, scene.frame, scene.anonymize, scene.fit
    assert means == (None,) * 5
    assert (scene.seed, scene.device, scene.config, scene.judges) == (0, torch.device("cpu"), {}, {})
    assert scene.gate == 0.8
    assert replace(scene, config={"evaluation": {"gate": "0.5"}}).gate == 0.5
    assert replace(scene, config={"evaluation": {}}).gate == 0.8
    assert Fits(1) == Fits(1, None, None, None)
    assert Cost() == Cost((), frozenset())
    assert Findings() == Findings({}, {}, [], [], {})
    assert Findings().metrics is not Findings().metrics


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
