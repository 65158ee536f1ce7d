"""Two one-sided tests are those of statsmodels, and are silent where nothing could be shown."""

import gc

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel
from sentinels import sentinel_run, sentinel_table

from privacy_exp.evaluation.statistics.equivalence import equivalence, equivalences, frechet_equivalence, margin_of
from privacy_exp.report.compared import compare, compare_runs

PEOPLE = np.repeat([f"p{i:02}" for i in range(40)], 5)


def columns(values, present=None):
    return np.stack([values, np.ones(len(values)) if present is None else present])


@pytest.mark.parametrize("shift", [0.0, 0.005, 0.05])
def test_p_and_interval_are_those_of_statsmodels(shift, monkeypatch):
    from statsmodels.stats.weightstats import DescrStatsW

    monkeypatch.setattr(gc, "collect", lambda: 0)
    random = np.random.default_rng(0)
    a, b = random.normal(0.5 + shift, 0.03, 200), random.normal(0.5, 0.03, 200)
    found = equivalence("ssim", columns(a), columns(b), PEOPLE, 0.02)
    means = DescrStatsW((a - b).reshape(40, 5).mean(axis=1))
    assert found.p == pytest.approx(means.ttost_mean(-0.02, 0.02)[0])
    assert (found.low, found.high) == pytest.approx(means.tconfint_mean(alpha=0.1))
    assert found.shown == (found.low > -0.02 and found.high < 0.02)
    assert found.shown == (shift < 0.02)


def test_people_count_once_however_many_photos_they_have():
    a, b = np.zeros(200), np.zeros(200)
    few = np.arange(200) % 5 == 0
    found = equivalence("rate", columns(a * few, few.astype(float)), columns(b), PEOPLE, 0.03)
    assert (found.people, found.mean, found.p, found.shown) == (40, 0, 0, True)
    assert not equivalence("rate", columns(a + 0.03), columns(b), PEOPLE, 0.03).shown, "on the margin is not within"
    some = equivalence("rate", columns(a[:95]), columns(b[:95]), PEOPLE[:95], 0.03)
    assert some.reason == "19 people, 20 needed for a test"


def test_what_leaves_no_room_shows_nothing():
    table = pd.DataFrame({"identity": PEOPLE, "label": 1, "pred": 1, "pred_anonymized": 1, "rank": 1.0})
    assert [e.reason for e in equivalences([table], [table], ["fool_rate", "rank"])] == [
        "a fool rate of 0.000 leaves no room for a difference (0.2 to 0.8 does)",
        "no margin was written down",
    ]
    half = table.assign(pred_anonymized=np.arange(200) % 2)
    assert equivalences([half], [half], ["fool_rate"])[0].shown
    assert margin_of("utility/landmark_error") == 0.01


def test_compare_says_so(tmp_path, capsys):
    a, b = (sentinel_run(tmp_path / n, "a", sentinel_table("a")) for n in ("a", "b"))
    compare_runs(str(a), str(b), equivalence=True, out=str(tmp_path / "out.json"))
    printed = capsys.readouterr().out
    assert "fool_rate: alike within 0.03" in printed
    assert "rank: not tested for equivalence: no margin was written down" in printed
    assert '"equivalence"' in (tmp_path / "out.json").read_text()
    assert compare(str(a), str(b)).equivalences == []
    other = sentinel_run(tmp_path / "c", "b")
    compare_runs(str(a), str(other), equivalence=True)
    assert "fool_rate: not shown to be alike within 0.03" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "margin"),
    [
        *((name, 0.03) for name in ("fool_rate", "accuracy_anonymized", "judge/a/tar_cross_1e-2", "judge/a/rank_1")),
        *((name, 0.03) for name in ("utility/agreement", "utility/detected")),
        ("utility/ssim_outside", 0.02),
        ("utility/landmark_error", 0.01),
        ("prob_anonymized", None),
    ],
)
def test_the_margins_are_those_that_were_written_down(name, margin):
    assert margin_of(name) == margin


def test_twenty_people_with_the_figure_in_both_runs_are_enough():
    rng = np.random.default_rng(0)
    a, b = (np.stack([rng.random(21), np.ones(21)]) for _ in "ab")
    a[1, 20] = 0  # nothing of this person counts in the first run
    found = equivalence("rank_1", a, b, np.arange(21), 0.03)
    expected = ttest_rel(a[0, :20], b[0, :20])
    assert found.people == 20
    assert found.mean == pytest.approx((a[0, :20] - b[0, :20]).mean())
    low, high = expected.confidence_interval(0.9)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    fewer = equivalence("rank_1", a[:, 1:], b[:, 1:], np.arange(20), 0.03)
    assert (fewer.people, fewer.p, fewer.reason) == (19, None, "19 people, 20 needed for a test")


def test_log_frechet_distances_are_compared_by_resampling_people():
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 4)
    clean = random.normal(size=(160, 3))
    moved, noise = clean + np.eye(3)[0], 0.001 * random.normal(size=(160, 3))
    alike = frechet_equivalence(clean, moved, moved + noise, people, draws=100)
    assert alike.shown
    assert alike.low > -0.02
    assert alike.high < 0.02
    # a shift by s alone has the distance s²: log 1.1² - log 1² = 0.19 whoever is drawn
    apart = frechet_equivalence(clean, clean + 1.1 * np.eye(3)[0], moved, people, draws=100)
    assert apart.mean == pytest.approx(2 * np.log(1.1), abs=1e-6)
    assert apart.low == pytest.approx(apart.high, abs=1e-6)
    assert (apart.p, apart.shown) == (1.0, False)
    turned = frechet_equivalence(clean, moved, clean + 1.1 * np.eye(3)[0], people, draws=100)
    assert (turned.mean, turned.p) == (pytest.approx(-apart.mean), 1.0)
    clean[0] = np.nan
    assert frechet_equivalence(clean, moved, moved, people, draws=20).people == 40
    few = frechet_equivalence(clean[:60], moved[:60], moved[:60], people[:60])
    assert (few.p, few.shown, few.reason) == (None, False, "15 people, 20 needed for a test")
