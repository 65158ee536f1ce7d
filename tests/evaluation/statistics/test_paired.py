"""Tests between two runs: against scipy, statsmodels and closed forms."""

import numpy as np
import pytest
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from privacy_exp.evaluation.statistics.intervals import exact_mcnemar, holm, sign_flip_test
from privacy_exp.evaluation.statistics.paired import mcnemar_of, paired_difference
from privacy_exp.evaluation.statistics.power import detectable_difference
from privacy_exp.evaluation.statistics.resampling import exchange_test, ratio

PEOPLE = np.repeat([f"p{i:02d}" for i in range(30)], 4)


def two_runs(shift: float, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Values of the same 120 photos of 30 people in two runs; people differ, and so does what a run does to each."""
    rng = np.random.default_rng(seed)
    person = np.repeat(rng.normal(0, 1, 30), 4)
    effect = np.repeat(rng.normal(shift, 0.5, 30), 4)
    return person + effect + rng.normal(0, 0.3, 120), person + rng.normal(0, 0.3, 120)


def test_four_people_who_all_change_alike_have_one_chance_in_eight():
    a = np.zeros(20)
    a[:4] = 1  # of 20 people 16 are the same in both runs: all four signs alike in 2 of 2^4 patterns
    assert sign_flip_test(a, np.zeros(20), np.arange(20), draws=40_000) == pytest.approx(1 / 8, abs=0.006)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.4])
def test_sign_flips_equal_scipys_permutation_of_people(shift):
    a, b = two_runs(shift)
    sums = [np.add.reduceat(run, np.arange(0, 120, 4)) for run in (a, b)]
    theirs = permutation_test(
        sums,
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    assert sign_flip_test(a, b, PEOPLE, draws=20_000) == pytest.approx(theirs.pvalue, abs=0.015)


def test_photos_of_one_person_are_not_taken_as_independent():
    rng = np.random.default_rng(0)
    people, photos = np.repeat(np.arange(30), 20), 600
    rejected = photo_level = 0
    for _ in range(60):
        effect = np.repeat(rng.normal(0, 1, 30), 20)  # no difference on average, a large one for each person
        a, b = effect + rng.normal(0, 0.2, photos), rng.normal(0, 0.2, photos)
        rejected += sign_flip_test(a, b, people, draws=400) < 0.05
        photo_level += sign_flip_test(a, b, np.arange(photos), draws=400) < 0.05
    assert rejected <= 9, "5 % of 60 are 3"
    assert photo_level >= 30, "flipping photo by photo calls chance a difference"


def test_a_p_value_is_never_0():
    """30 people who all change alike: no exchange of 200 is as extreme, and the observed order counts as one."""
    assert sign_flip_test(np.ones(30), np.zeros(30), np.arange(30), draws=200) == 1 / 201
    assert sign_flip_test(np.ones(20), np.zeros(20), np.arange(20), draws=200) == 1 / 201, "twenty are enough"


def test_draws_without_a_value_are_left_out():
    """One person of two was named before: draws without that person have no rate, and are not a difference of 0."""
    marked = np.array([1.0, 0.0])
    found = paired_difference(np.stack([marked, marked]), np.stack([0 * marked, marked]), np.array(["p", "q"]))
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_without_a_draw_that_has_a_figure_the_interval_is_the_difference():
    """Of two people one was named before: half of the single draws do without that person."""
    a, b = np.array([[1.0, 0], [1, 0]]), np.array([[0.5, 0], [1, 0]])
    ends = {
        (f.low, f.high)
        for seed in range(8)
        for f in [paired_difference(a, b, np.array(["p", "q"]), draws=1, seed=seed)]
    }
    assert ends == {(0.5, 0.5)}


def test_mcnemar_is_of_those_who_count_in_both():
    a, b = np.array([[1.0, 1, 1], [1, 1, 1]]), np.array([[0.0, 0, 0], [1, 0, 0]])
    assert mcnemar_of(a, b) == 1.0, "one pair, not three"
    assert mcnemar_of(b, a) == 1.0
    assert mcnemar_of(a, np.array([[0.5, 0, 0], [1, 1, 1]])) is None


def test_fewer_than_twenty_people_are_not_tested():
    a, b = two_runs(2.0)
    kept = PEOPLE < "p19"
    assert sign_flip_test(a[kept], b[kept], PEOPLE[kept]) is None
    found = paired_difference(np.stack([a, a * 0 + 1])[:, kept], np.stack([b, b * 0 + 1])[:, kept], PEOPLE[kept])
    assert found.p is None
    assert found.value == pytest.approx(float(np.mean(a[kept] - b[kept])))
    assert "19 identities, 20 needed" in found.reason


def test_equal_runs_differ_by_nothing():
    a, _ = two_runs(0)
    assert sign_flip_test(a, a, PEOPLE) == 1.0
    found = paired_difference(np.stack([a, a * 0 + 1]), np.stack([a, a * 0 + 1]), PEOPLE)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_difference_of_rates_over_other_images_is_of_the_two_ratios():
    rng = np.random.default_rng(1)
    known_a, known_b = rng.random(120) < 0.8, rng.random(120) < 0.9
    a, b = known_a & (rng.random(120) < 0.7), known_b & (rng.random(120) < 0.2)
    columns = [np.stack(rows).astype(float) for rows in ((a, known_a), (b, known_b))]
    found = paired_difference(*columns, PEOPLE)
    assert found.a == pytest.approx(a.sum() / known_a.sum())
    assert found.value == pytest.approx(a.sum() / known_a.sum() - b.sum() / known_b.sum())
    assert found.low < found.value < found.high
    assert found.p < 0.001
    assert exchange_test(*columns, PEOPLE, ratio) == found.p


def test_nothing_marked_is_no_value_with_its_reason():
    none, some = np.zeros((2, 120)), np.ones((2, 120))
    found = paired_difference(none, some, PEOPLE)
    assert (found.a, found.b, found.value, found.p) == (None, 1.0, None, None)
    assert "no value" in found.reason


def test_the_interval_of_a_difference_matches_a_clustered_regression():
    import statsmodels.api as sm

    a, b = two_runs(0.3)
    fit = sm.OLS(a - b, np.ones(120)).fit(cov_type="cluster", cov_kwds={"groups": np.repeat(np.arange(30), 4)})
    found = paired_difference(np.stack([a, a * 0 + 1]), np.stack([b, b * 0 + 1]), PEOPLE, draws=8000)
    low, high = fit.conf_int()[0]
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03)
    assert found.detectable == pytest.approx(2.8016 * fit.bse[0], rel=0.05)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 5), (20, 11), (40, 40)])
def test_mcnemar_equals_statsmodels(only_a, only_b):
    a = np.array([True] * only_a + [False] * only_b + [True, False] * 10)
    b = np.array([False] * only_a + [True] * only_b + [True, False] * 10)
    table = [[10, only_a], [only_b, 10]]
    assert exact_mcnemar(a, b) == pytest.approx(mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("p", [[0.04], [0.01, 0.04, 0.03, 0.2], [0.5, 0.9, 0.9], [0.001] * 5, []])
def test_holm_equals_statsmodels(p):
    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]) if p else [])


def test_the_detectable_difference_is_found_four_times_in_five():
    rng = np.random.default_rng(8)
    error = 1 / np.sqrt(50)
    true = detectable_difference(error)
    differences = rng.normal(true, error, 4000)  # of 50 people, standard deviation 1
    assert np.mean(np.abs(differences) > 1.96 * error) == pytest.approx(0.8, abs=0.02)
