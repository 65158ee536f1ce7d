"""Intervals against scipy, statsmodels, closed forms and simulated studies."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, betabinom, binomtest
from statsmodels.stats.proportion import proportion_confint

from privacy_exp.evaluation.statistics.beta_binomial import beta_binomial_interval
from privacy_exp.evaluation.statistics.intervals import (
    bootstrap_mean,
    clustered_interval,
    clustered_rate,
    design_effect,
    interval_of_maximum,
    wilson,
)
from privacy_exp.evaluation.statistics.resampling import resampled_sums

SCRIPT = importlib.util.spec_from_file_location("intervals_covered", Path(__file__).parents[3] / "scripts/coverage.py")
coverage = sys.modules["intervals_covered"] = importlib.util.module_from_spec(SCRIPT)  # coverage.py has its name
SCRIPT.loader.exec_module(coverage)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (417, 600)])
def test_wilson_equals_scipy_and_statsmodels(hits, n):
    ours = wilson(hits / n, n)
    assert ours == pytest.approx(tuple(binomtest(hits, n).proportion_ci(method="wilson")), abs=1e-12)
    assert ours == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-9)


def test_where_everybody_comes_once_only_the_chance_of_a_person_counts():
    hits = np.array([True] * 30 + [False] * 10)
    metric = clustered_rate(hits, np.arange(40))  # everybody once
    deff = design_effect(hits, np.arange(40))
    assert deff == pytest.approx(40 / 39)  # the small-sample factor G / (G - 1) is all that is left
    assert metric.value == 0.75
    ends = np.array([wilson(0.75, 40 / deff), beta(30.75, 10.75).ppf([0.025, 0.975])])  # Beta(¾, ¾) is the prior
    assert metric.low == pytest.approx(ends[:, 0].min(), abs=2e-3)
    assert metric.high == pytest.approx(ends[:, 1].max(), abs=2e-3)


def test_the_beta_binomial_interval_equals_a_sum_over_scipys_probabilities():
    hits, trials = np.array([3.0, 0, 1, 2, 8, 0, 0]), np.array([3.0, 4, 1, 9, 8, 2, 5])
    rates = (np.arange(2000) + 0.5) / 2000
    alike = beta(0.5, 0.5).ppf((np.arange(400) + 0.5) / 400)  # equal weights under the prior
    size = (1 - alike) / alike
    likelihood = sum(
        betabinom.logpmf(k, m, rates[:, None] * size, (1 - rates[:, None]) * size)
        for k, m in zip(hits.astype(int), trials.astype(int), strict=True)
    )
    density = np.exp(likelihood).sum(1) * beta(0.75, 0.75).pdf(rates)
    expected = np.interp([0.025, 0.975], np.cumsum(density) / density.sum(), rates)
    assert beta_binomial_interval(hits, trials) == pytest.approx(expected, abs=2e-3)


def test_parts_of_hits_lie_between_whole_ones():
    trials = np.full(10, 4.0)
    few, some, more = (beta_binomial_interval(np.full(10, hits), trials) for hits in (1.0, 1.5, 2.0))
    assert few[0] < some[0] < more[0]
    assert few[1] < some[1] < more[1]


def test_at_the_ends_the_beta_binomial_interval_is_one_sided():
    people = np.full(30, 8.0)
    low, high = beta_binomial_interval(people * 0, people)
    assert low == 0
    assert beta_binomial_interval(people, people) == pytest.approx((1 - high, 1))
    # Between 240 independent photos and 30 people who are always or never hit.
    assert beta(0.75, 240.75).ppf(0.975) < high < beta(0.75, 30.75).ppf(0.975)


def test_identical_photos_of_one_person_count_once():
    people = np.repeat(np.arange(20), 5)
    hits = np.repeat(np.arange(20) < 8, 5)
    assert design_effect(hits, people) == pytest.approx(5 * 20 / 19)


def test_the_design_effect_equals_a_sandwich_variance():
    import statsmodels.api as sm

    rng = np.random.default_rng(5)
    people = np.repeat(np.arange(25), 6)
    hits = rng.random(150) < np.repeat(rng.beta(2, 2, 25), 6)
    fit = sm.OLS(hits.astype(float), np.ones(150)).fit(
        cov_type="cluster", cov_kwds={"groups": people, "use_correction": True}
    )
    rate = hits.mean()
    assert design_effect(hits, people) == pytest.approx(float(fit.cov_params()[0, 0]) / (rate * (1 - rate) / 150))


def clustered_world(draws=400):
    """Photos of 40 people, three of each; a person is recognised or not, mostly. The true rate is 0.6."""
    rng = np.random.default_rng(11)
    rates = np.repeat(rng.beta(1.2, 0.8, (draws, 40)), 3, axis=1)
    return rng.random((draws, 120)) < rates, np.repeat(np.arange(40), 3)


def covered(intervals, truth=0.6):
    return np.mean([low <= truth <= high for low, high in intervals])


def test_intervals_cover_on_clustered_people_where_plain_wilson_does_not():
    hits, people = clustered_world()
    metrics = [clustered_rate(row, people) for row in hits]
    assert 0.92 <= covered([(m.low, m.high) for m in metrics]) <= 0.98
    assert covered([wilson(row.mean(), 120) for row in hits]) < 0.90


def test_bootstrapped_means_cover_on_clustered_people():
    hits, people = clustered_world()
    metrics = [bootstrap_mean(row.astype(float), people, draws=500, seed=i) for i, row in enumerate(hits)]
    assert 0.92 <= covered([(m.low, m.high) for m in metrics]) <= 0.98


@pytest.mark.parametrize(
    "setting",
    [
        coverage.Setting(20, "1-15", 0.1, 0.8),  # Wilson at n / deff alone: 0.88
        coverage.Setting(20, "8", 0.9, 0.8),
        coverage.Setting(30, "1-15", 0.9, 0.3),
        coverage.Setting(20, "3", 0.02, 0.0),
        coverage.Setting(40, "8", 0.5, 0.0),
    ],
    ids=str,
)
def test_rates_are_covered_with_few_people_and_unequal_photos(setting):
    found = coverage.covered(setting, studies=600, seed=1)
    assert 0.925 <= found.ours <= 0.99  # 0.94 to 0.98 with 2,000 studies; one of 600 is known to 0.01
    assert found.width < 1.35 * found.wilson_width


def test_people_who_always_or_never_succeed_are_covered_where_the_model_is_wrong():
    setting = coverage.Setting(40, "8", 0.1, 0.3)
    found = coverage.covered(setting, studies=600, seed=2, draw=coverage.split_people)
    assert found.ours >= 0.87


def test_the_maximum_of_figures_is_covered_although_it_was_chosen():
    """Eight equal figures, known to 1 each: the percentiles of the maximum miss the truth nearly always from above."""
    rng = np.random.default_rng(0)
    held = naive = 0
    for _ in range(300):
        drawn = rng.normal(0, 1, (8, 1)) + rng.normal(0, 1, (8, 500))
        low, high = interval_of_maximum(drawn)
        held += low <= 0 <= high
        low, high = np.quantile(drawn.max(axis=0), [0.025, 0.975])
        naive += low <= 0 <= high
    assert held / 300 >= 0.95
    assert naive / 300 < 0.7


def test_a_maximum_far_ahead_has_its_own_interval_below_and_the_largest_end_above():
    drawn = np.stack([np.linspace(0, 1, 1001), 10 + np.linspace(0, 1, 1001)])
    assert interval_of_maximum(drawn) == pytest.approx(
        (10.025, 10.975), abs=1e-3
    )  # alike in every draw: no choice to correct
    assert interval_of_maximum(drawn[:1]) == pytest.approx((0.025, 0.975), abs=1e-3)
    assert interval_of_maximum(np.concatenate([drawn[:1], drawn[:1] * np.nan])) == interval_of_maximum(drawn[:1])


def test_photos_that_differ_more_than_by_chance_are_no_more_trials():
    assert design_effect(np.array([1.0, 0, 1, 0]), np.array([0, 0, 1, 1])) == 1
    assert design_effect(np.array([1.0, 1, 1, 1, 0, 0]), np.zeros(6)) == 6, "one person's photos are one vote"


def test_at_0_and_1_a_person_counts_once():
    people = np.repeat(np.arange(40), 3)
    metric = clustered_rate(np.ones(120, dtype=bool), people)
    assert (metric.low, metric.high) == wilson(1.0, 40)
    assert clustered_rate(np.zeros(120, dtype=bool), people).high == wilson(0.0, 40)[1]
    assert design_effect(np.ones(5), np.zeros(5)) == 5
    assert design_effect(np.array([1.0, 1, 0, 0]), np.zeros(4)) == 4  # one person's photos are one vote


def test_hits_count_as_no_more_trials_than_they_are_made_of():
    hits, people = np.tile([True, True, False, False], 30), np.repeat(np.arange(30), 4)
    deff = design_effect(hits, people)
    assert deff == 1, "everybody is alike"
    as_photos = clustered_interval(hits, people, trials=60)
    low, high = wilson(0.5, 60)
    assert as_photos[0] <= low < clustered_interval(hits, people)[0]
    assert as_photos == pytest.approx((low, high), abs=0.01)
    assert clustered_interval(hits, people, trials=1000) == clustered_interval(hits, people), "never as more"


def test_empty_is_none_with_its_reason():
    metric = clustered_rate(np.array([], dtype=bool), np.array([], dtype=int), empty="nobody was recognised")
    assert (metric.value, metric.low, metric.high, metric.n, metric.reason) == (
        None,
        None,
        None,
        0,
        "nobody was recognised",
    )


def test_bootstrap_of_a_mean_matches_the_normal_approximation():
    rng = np.random.default_rng(2)
    values, people = rng.normal(3, 1, 300), np.arange(300)
    metric = bootstrap_mean(values, people)
    reach = 1.96 * values.std() / np.sqrt(300)
    assert metric.value == pytest.approx(values.mean())
    assert metric.low == pytest.approx(values.mean() - reach, abs=0.02)
    assert metric.high == pytest.approx(values.mean() + reach, abs=0.02)


def test_resampling_draws_whole_people():
    people = np.repeat([7, 9], 4)
    (sums,) = resampled_sums(people, [np.ones(8)], draws=50, seed=0)
    assert set(sums) == {8.0}, "two draws out of two people of four photos each"
    (ones,) = resampled_sums(people, [(people == 7).astype(float)], draws=2000, seed=0)
    assert set(ones) == {0.0, 4.0, 8.0}
    assert np.mean(ones) == pytest.approx(4, abs=0.2)
