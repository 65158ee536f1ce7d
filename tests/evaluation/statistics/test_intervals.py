import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from privacy_exp.evaluation.statistics.intervals import bootstrap_mean, clustered_rate, design_effect, wilson
from privacy_exp.evaluation.statistics.resampling import resampled_sums


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (417, 600)])
def test_wilson_equals_scipy_and_statsmodels(hits, n):
    ours = wilson(hits / n, n)
    assert ours == pytest.approx(tuple(binomtest(hits, n).proportion_ci(method="wilson")), abs=1e-12)
    assert ours == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-9)


def test_without_clustering_the_interval_is_plain_wilson():
    hits = np.array([True] * 30 + [False] * 10)
    metric = clustered_rate(hits, np.arange(40))  # everybody once
    deff = design_effect(hits, np.arange(40))
    assert deff == pytest.approx(40 / 39)  # the small-sample factor G / (G - 1) is all that is left
    assert metric.value == 0.75
    assert (metric.low, metric.high) == pytest.approx(wilson(0.75, 40 / deff))


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


def test_at_0_and_1_a_person_counts_once():
    people = np.repeat(np.arange(40), 3)
    metric = clustered_rate(np.ones(120, dtype=bool), people)
    assert (metric.low, metric.high) == wilson(1.0, 40)
    assert clustered_rate(np.zeros(120, dtype=bool), people).high == wilson(0.0, 40)[1]
    assert design_effect(np.ones(5), np.zeros(5)) == 5
    assert design_effect(np.array([1.0, 1, 0, 0]), np.zeros(4)) == 4  # one person's photos are one vote


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
