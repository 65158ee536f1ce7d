"""Certificates are right as often as they say: p values by another library and by hand, and simulated calibrations."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from privacy_exp.evaluation.statistics.certificate import (
    hoeffding_bentkus,
    p_value,
    people_needed,
    sequences,
    upper_bound,
)
from privacy_exp.evaluation.statistics.intervals import holm


def test_p_values_are_those_of_mapie():
    methods = pytest.importorskip("mapie.risk_control.methods", reason="install the extra dev")
    for n in (20, 161, 1000):
        means = np.random.default_rng(0).uniform(0, 0.4, 50)
        for alpha in (0.05, 0.1, 0.3):
            theirs = methods.compute_hoeffding_bentkus_p_value(means, n, alpha)[:, 0]
            ours = [hoeffding_bentkus(float(mean), n, alpha) for mean in means]
            assert np.abs(np.array(ours) - theirs).max() < 1e-12


def test_p_values_by_hand():
    # with 3 of 60 at 0.2: h(0.05, 0.2) = 0.05 ln 0.25 + 0.95 ln(0.95 / 0.8)
    entropy = 0.05 * np.log(0.25) + 0.95 * np.log(0.95 / 0.8)
    bentkus = np.e * sum(binom.pmf(k, 60, 0.2) for k in range(4))
    assert hoeffding_bentkus(0.05, 60, 0.2) == pytest.approx(min(np.exp(-60 * entropy), bentkus), abs=1e-14)
    assert bentkus < np.exp(-60 * entropy), "both halves are met: here the second"
    assert hoeffding_bentkus(0.0, 60, 0.2) == pytest.approx(0.8**60), "and here the first"
    assert hoeffding_bentkus(0.2, 60, 0.2) == hoeffding_bentkus(0.3, 60, 0.2) == 1.0
    assert hoeffding_bentkus(3 / 161, 161, 0.1) == hoeffding_bentkus(3.0 / 161 + 1e-16, 161, 0.1), "no rounding up"


def test_yes_and_no_losses_are_tested_exactly():
    losses = np.r_[np.ones(4), np.zeros(76)]
    exact = binomtest(4, 80, 0.1, alternative="less").pvalue
    assert p_value(losses, 0.1, binary=True) == pytest.approx(exact)
    assert p_value(losses, 0.1) > exact, "not chosen by looking at the losses"
    # Clopper and Pearson's one-sided bound is the same test turned round
    clopper = binomtest(4, 80).proportion_ci(0.8, "exact").high
    assert upper_bound(losses, 0.1, binary=True) == pytest.approx(clopper, abs=1e-6)


def test_one_hypothesis_a_sequence_is_holm():
    rng = np.random.default_rng(1)
    for _ in range(200):
        p = list(rng.uniform(0, 0.08, 4))
        assert sequences([[one] for one in p], 0.05) == [int(one <= 0.05) for one in holm(p)]


def test_a_sequence_stops_where_it_is_not_rejected():
    assert sequences([[0.001, 0.2, 0.001]], 0.1) == [1]
    assert sequences([[0.04, 0.04], [0.09]], 0.1) == [2, 1], "the first one's share goes to the second"
    assert sequences([[0.04, 0.06], [0.09]], 0.1) == [1, 0]


@pytest.mark.parametrize("risk", [0.05, 0.1, 0.25])
def test_certificates_are_wrong_no_more_often_than_they_say(risk):
    """A small version of scripts/certificates.py: the risk rises from 0.02 past α as less is hidden."""
    alpha, delta, runs = risk, 0.1, 200
    true = np.array([0.02, 0.6 * risk, risk + 1e-9, 2 * risk])
    rng = np.random.default_rng(int(1000 * risk))
    wrong = 0
    for _ in range(runs):
        rates = rng.beta(true[:, None] / 0.5, (1 - true[:, None]) / 0.5, (4, 120))
        losses = rng.binomial(5, rates) / 5
        (count,) = sequences([[p_value(row, alpha) for row in losses]], delta)
        wrong += count > 2
    assert wrong / runs <= delta + 2 * np.sqrt(delta * (1 - delta) / runs)


def test_what_is_needed_would_do():
    n = people_needed(0.05, 0.1, 0.1)
    assert n is not None
    assert hoeffding_bentkus(0.05, n, 0.1) <= 0.1
    assert all(hoeffding_bentkus(0.05, m, 0.1) > 0.1 for m in range(1, n))
    assert people_needed(0.12, 0.1, 0.1) is None
