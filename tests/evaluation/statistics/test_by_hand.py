"""Small samples worked out by hand, and the defaults that published figures stand on."""

import inspect
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binomtest

from privacy_exp.evaluation.statistics import certificate
from privacy_exp.evaluation.statistics.beta_binomial import beta_binomial_interval
from privacy_exp.evaluation.statistics.certificate import p_value, people_needed, relative_entropy, upper_bound
from privacy_exp.evaluation.statistics.comparison import compare, shared_outcomes
from privacy_exp.evaluation.statistics.intervals import (
    bootstrap_mean,
    clustered_interval,
    design_effect,
    holm,
    interval_of_maximum,
    sign_flip_test,
    wilson,
)
from privacy_exp.evaluation.statistics.paired import Difference, fool_rate_difference, mcnemar_of, paired_difference
from privacy_exp.evaluation.statistics.power import detectable_difference
from privacy_exp.evaluation.statistics.resampling import chunks, exchange_test, identity_sums, ratio, resampled_sums
from privacy_exp.types import UserError


@pytest.mark.parametrize(
    ("function", "defaults"),
    [
        (bootstrap_mean, {"draws": 2000, "seed": 0, "empty": "no images"}),
        (sign_flip_test, {"draws": 10_000, "seed": 0}),
        (exchange_test, {"draws": 10_000, "seed": 0}),
        (paired_difference, {"draws": 2000, "flips": 10_000, "seed": 0, "figure": ratio}),
        (fool_rate_difference, {"flips": 10_000, "seed": 0}),
        (compare, {"flips": 10_000, "seed": 0}),
        (wilson, {"confidence": 0.95}),
        (beta_binomial_interval, {"confidence": 0.95}),
        (detectable_difference, {"power": 0.8, "alpha": 0.05}),
        (chunks, {"cells": 2**21}),
        (p_value, {"binary": False}),
        (upper_bound, {"binary": False}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_defaults_are_those_of_the_published_figures(function, defaults):
    found = {n: p.default for n, p in inspect.signature(function).parameters.items() if p.default is not p.empty}
    assert found == defaults


def test_a_bootstrap_of_people_by_hand():
    values, who = np.array([0.0, 1.0, 0.5, 0.5, 4.0]), np.array(["b", "b", "a", "c", "c"])
    people = [[0.5], [0.0, 1.0], [0.5, 4.0]]  # in the order of their names
    drawn = [
        np.mean([value for i in pick for value in people[i]])
        for pick in np.random.default_rng(7).integers(0, 3, (500, 3))
    ]
    metric = bootstrap_mean(values, who, draws=500, seed=7)
    assert (metric.value, metric.n, metric.reason) == (pytest.approx(1.2), 5, None)
    assert (metric.low, metric.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    nothing = bootstrap_mean(values[:0], who[:0], empty="nobody is left")
    assert (nothing.value, nothing.low, nothing.high, nothing.n) == (None, None, None, 0)
    assert nothing.reason == "nobody is left"


def test_sums_of_people_in_the_order_of_their_names():
    sums = identity_sums([np.array([True, True, False]), np.array([1.0, 2, 4])], np.array(["b", "a", "b"]))
    assert sums.tolist() == [[1, 1], [2, 5]]


@pytest.mark.parametrize(
    ("draws", "width", "cells", "sizes"),
    [
        (10, 3, 12, [4, 4, 2]),
        (8, 3, 12, [4, 4]),
        (3, 3, 12, [3]),
        (3, 100, 12, [1, 1, 1]),
        (2, 0, 12, [2]),
        (5, 1, 5, [5]),
        (6, 1, 5, [5, 1]),
    ],
)
def test_parts_of_many_draws(draws, width, cells, sizes):
    assert chunks(draws, width, cells) == sizes


def test_draws_in_parts_are_as_many_and_differ(monkeypatch):
    monkeypatch.setattr(chunks, "__defaults__", (10,))
    (sums,) = resampled_sums(np.arange(5), [np.array([1.0, 10, 100, 1000, 10_000])], 7, 0)
    rng = np.random.default_rng(0)
    expected = [sum(10.0**i for i in pick) for size in (2, 2, 2, 1) for pick in rng.integers(0, 5, (size, 5))]
    assert sums.tolist() == expected


def test_a_ratio_of_nothing_is_nothing():
    found = ratio(np.array([[1.0, 0, 2, -1], [2.0, 0, -1, 4]]))
    np.testing.assert_array_equal(found, [0.5, np.nan, np.nan, -0.25])


def test_the_exchange_of_every_person_by_hand():
    """20 people of whom 3 differ: of the 2^3 exchanges, all equally likely, 2 are as extreme as what was seen."""
    a, b = np.ones((2, 20)), np.ones((2, 20))
    a[0, :3] = [0.9, 0.5, 0.2]
    step = np.array([0.1, 0.5, 0.8])
    seen = abs(step.sum())
    exact = np.mean([abs(np.dot(signs, step)) >= seen - 1e-9 for signs in product([-1, 1], repeat=3)])
    assert exchange_test(a, b, np.arange(20), ratio, draws=20_000) == pytest.approx(exact, abs=0.01)
    assert exchange_test(a, a, np.arange(20), ratio, draws=50) == 1
    assert exchange_test(a[:, :19], b[:, :19], np.arange(19), ratio) is None
    assert exchange_test(a, 0 * b, np.arange(20), ratio) is None, "no rate in the second run"
    p = exchange_test(a, b, np.arange(20), ratio, draws=99, seed=1)
    shifted = (np.random.default_rng(1).random((3, 99)) < 0.5).astype(float)
    extreme = np.sum(np.abs(step.sum() - 2 * step @ shifted) >= seen - 1e-9)
    assert p == (1 + extreme) / 100


def test_draws_without_any_figure_count_for_no_end_of_the_maximum():
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(3, 400))
    drawn[0, :50] = np.nan
    gap = np.full((3, 30), np.nan)
    assert interval_of_maximum(np.concatenate([drawn, gap], axis=1)) == pytest.approx(interval_of_maximum(drawn))


def test_the_maximum_of_two_by_hand():
    """Two figures that rise against each other over 100 draws: some figure is in its top 2.5 % in 5 of them."""
    up = np.arange(100.0)
    drawn = np.stack([up, up[::-1]])
    # a draw's higher rank lies above 98.75 % in 2.5 % of the draws, the ranks being 51 … 100 twice each
    alpha = 1 - np.quantile(np.maximum(up + 1, (up + 1)[::-1]) / 100, 0.975)
    assert interval_of_maximum(drawn) == pytest.approx((np.quantile(up, alpha), np.quantile(up, 0.975)))
    assert alpha < 0.02


def test_the_beta_binomial_interval_of_few_photos_is_that_of_a_fine_grid():
    """Where everybody has one photo nothing tells people's alikeness, and p is beta distributed."""
    hits, trials = np.array([1.0] * 3 + [0.0] * 9), np.ones(12)
    for confidence in (0.9, 0.95):
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        expected = beta(3.75, 9.75).ppf(tails)
        assert beta_binomial_interval(hits, trials, confidence) == pytest.approx(expected, abs=2e-4)


def test_bounds_by_hand():
    losses = np.r_[np.ones(4), np.zeros(76)]
    bound = upper_bound(losses, 0.1)
    assert bound > upper_bound(losses, 0.1, binary=True)
    assert p_value(losses, bound) <= 0.1 < p_value(losses, bound - 1e-6)
    assert upper_bound(np.ones(3), 0.1) == 1, "no level is rejected"
    assert relative_entropy(0.0, 0.25) == pytest.approx(np.log(1 / 0.75))
    assert relative_entropy(1.0, 0.25) == pytest.approx(np.log(4))


def test_no_more_people_are_looked_for_than_stated(monkeypatch):
    monkeypatch.setattr(certificate, "MOST_PEOPLE", 22)
    assert people_needed(0.0, 0.1, 0.1) == 22
    monkeypatch.setattr(certificate, "MOST_PEOPLE", 21)
    assert people_needed(0.0, 0.1, 0.1) is None
    assert people_needed(0.0, 0.1, 0.1 + 0.9**21) == 15, "0.9^15 = 0.206 is the first below 0.209"


def table(after, people=24):
    """Two photos a person; everybody but p00 is named rightly before."""
    who = np.repeat([f"p{i:02}" for i in range(people)], 2)
    label = np.repeat(np.arange(people), 2)
    rows = {"image_id": [f"{w}_{i % 2}" for i, w in enumerate(who)], "identity": who, "label": label}
    pred = np.where(label == 0, 1, label)
    return pd.DataFrame(rows | {"pred": pred, "pred_anonymized": np.where(after, label, -1), "rank": 1.0 + ~after})


def test_fool_rates_of_two_runs_by_hand():
    i = np.arange(48)
    a, b = table(i < 12), table((i < 10) | (i >= 46))
    difference, mcnemar = fool_rate_difference(a, b.iloc[::-1], flips=2000, seed=3)
    assert (difference.a, difference.b) == (pytest.approx(36 / 46), pytest.approx(36 / 46))
    assert (difference.n, difference.identities, difference.reason) == (48, 24, None)
    assert difference.p == 1
    assert mcnemar == 1, "two photos each way"
    c = table(i < 2)
    difference, mcnemar = fool_rate_difference(a, c, flips=2000, seed=3)
    assert difference.value == pytest.approx(36 / 46 - 1)
    assert mcnemar == pytest.approx(binomtest(10, 10).pvalue)
    assert difference.p == pytest.approx(2 / 2**5, abs=0.02)
    assert difference.low < difference.value < difference.high < 0
    again, _ = fool_rate_difference(a, c, flips=2000, seed=4)
    assert again.detectable != difference.detectable


def test_mcnemar_is_for_yes_and_no_on_photos_that_count_in_both():
    yes, no = np.array([1.0, 1, 1, 0, 0, 1]), np.array([0.0, 0, 0, 0, 1, 0])
    counts = np.array([1.0, 1, 1, 1, 1, 0])
    assert mcnemar_of(np.stack([yes, counts]), np.stack([no, np.ones(6)])) == pytest.approx(binomtest(3, 4).pvalue)
    assert mcnemar_of(np.stack([yes / 2, counts]), np.stack([no, counts])) is None
    assert mcnemar_of(np.stack([yes, 0 * counts]), np.stack([no, counts])) is None


def test_what_is_compared_and_what_is_not():
    i = np.arange(48)
    more = {"prob": 0.5, "share_hidden": 0.1, "attribute/Bald": True, "recognised/a": 1.0, "recognised_clean/a": 1.0}
    one = table(i < 12).assign(**more, prob_anonymized=0.5, empty=np.nan, name="x", alone=1.0, known=i < 3)
    two = one.drop(columns="alone")
    assert shared_outcomes([one, two]) == ["rank", "prob_anonymized", "known"]
    assert shared_outcomes([one, two.assign(empty=1.0)]) == ["rank", "prob_anonymized", "empty", "known"]


def test_flips_and_seed_reach_every_test():
    i = np.arange(48)
    a, b = table(i < 20), table(i < 4)
    found = compare([a], [b], "nobody looked", flips=1000, seed=5)
    assert [one.name for one in found] == ["strongest_observer", "fool_rate", "accuracy_anonymized", "rank"]
    assert found[0].difference == Difference(*[None] * 7, 48, 24, "nobody looked")
    for one in found[1:]:
        assert one.difference.p * 1001 == pytest.approx(round(one.difference.p * 1001))
    assert [one.p_holm for one in found[1:]] == holm([one.difference.p for one in found[1:]])
    other = compare([a], [b], "nobody looked", flips=1000, seed=6)
    assert found[1].difference.detectable != other[1].difference.detectable
    assert found[1].mcnemar == pytest.approx(binomtest(16, 16).pvalue)
    assert found[2].difference.value == pytest.approx(16 / 48)
    assert found[3].difference.value == pytest.approx(-16 / 48)
    assert found[3].mcnemar is None


def test_hits_of_pairs_count_as_the_photos_that_they_are_made_of():
    rng = np.random.default_rng(0)
    who, hits = np.repeat(np.arange(12), 10), rng.random(120) < 0.3
    low, high = wilson(hits.mean(), min(30, 120 / design_effect(hits, who)))
    few = beta_binomial_interval(np.bincount(who, weights=hits) / 4, np.full(12, 2.5))
    assert clustered_interval(hits, who, trials=30) == pytest.approx((min(low, few[0]), max(high, few[1])))


def test_one_person_says_nothing_of_what_could_be_found():
    one = paired_difference(np.ones((2, 4)), np.stack([np.zeros(4), np.ones(4)]), np.zeros(4))
    assert (one.value, one.low, one.high, one.detectable, one.identities) == (1, 1, 1, None, 1)
    never = paired_difference(
        np.ones((2, 4)),
        np.stack([np.zeros(4), np.ones(4)]),
        np.arange(4),
        lambda s: ratio(s) if s.shape[1] == 1 else np.nan * s[0],
    )
    assert (never.value, never.low, never.high, never.detectable) == (1, 1, 1, None), "no draw has a figure"


def test_tables_in_another_order_are_put_in_one_and_a_stranger_is_named():
    i = np.arange(48)
    a = table(i < 12)
    swapped = table(i < 12).sample(frac=1, random_state=0)
    swapped.loc[swapped["image_id"] == "p03_1", "identity"] = "p99"
    with pytest.raises(UserError, match="'p03_1' shows p03 in one and p99 in the other"):
        fool_rate_difference(a.sample(frac=1, random_state=1), swapped)
    with pytest.raises(UserError, match="2 stand in one only, such as 'p00_0'"):
        fool_rate_difference(a, a.assign(image_id=a["image_id"].replace("p00_0", "x")))
