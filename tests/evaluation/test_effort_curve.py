"""An attack has saturated where its last step gained no more than its interval."""

import numpy as np
import pytest

from privacy_exp.evaluation.effort_curve import effort_curve
from privacy_exp.evaluation.measure import Outcome

PEOPLE = np.repeat([f"p{i:02}" for i in range(30)], 4)


def outcome(rate, people=PEOPLE):
    hits = (np.arange(len(people)) % 20 < 20 * rate).astype(float)
    return Outcome("attacker/any", people, np.ones(len(people)), hits, 0.05)


def test_a_step_that_gains_more_than_its_interval_is_not_the_last_word():
    rising = effort_curve({"quick": outcome(0.2), "default": outcome(0.5), "strong": outcome(0.8)})
    assert rising.claim == "not saturated"
    assert rising.gain.value == pytest.approx(0.3 / 0.95)
    assert rising.gain.low > 0
    assert [share.value for share in rising.shares.values()] == pytest.approx([0.15 / 0.95, 0.45 / 0.95, 0.75 / 0.95])
    level = effort_curve({"quick": outcome(0.2), "default": outcome(0.8), "strong": outcome(0.8)})
    assert (level.claim, level.gain.value) == ("saturated", 0)
    assert effort_curve({"quick": outcome(0.8), "strong": outcome(0.5)}).saturated, "a loss is no gain"


def test_the_gains_interval_is_over_people_drawn_together():
    rng = np.random.default_rng(0)
    before, last = (Outcome("a", PEOPLE, np.ones(120), rng.random(120) * top, 0.05) for top in (0.7, 1.0))
    curve = effort_curve({"quick": before, "strong": last}, draws=200)
    gains = []
    for pick in np.random.default_rng(0).integers(0, 30, (200, 30)):
        photos = (4 * pick[:, None] + np.arange(4)).ravel()
        gains.append((last.anonymized[photos].mean() - before.anonymized[photos].mean()) / 0.95)
    low, high = np.quantile(gains, [0.025, 0.975])
    assert (curve.gain.low, curve.gain.high) == (pytest.approx(low), pytest.approx(high))
    assert curve.gain.n == 120
    assert curve == effort_curve({"quick": before, "strong": last}, draws=200, seed=0)
    assert curve.gain.low != effort_curve({"quick": before, "strong": last}, draws=200, seed=1).gain.low
    assert list(curve.shares) == ["quick", "strong"]


def test_no_gain_at_all_is_saturated_and_nobody_known_is_an_error():
    level = effort_curve({"quick": outcome(0.5), "strong": outcome(0.5)})
    assert (level.saturated, level.gain.low, level.gain.high) == (True, 0, 0)
    blind = Outcome("attacker/any", PEOPLE, np.full(120, 0.05), np.ones(120), 0.05)
    for efforts in ({"quick": blind, "strong": outcome(0.5)}, {"quick": outcome(0.5), "strong": blind}):
        with pytest.raises(ValueError, match="at chance on the originals"):
            effort_curve(efforts)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 efforts .* got 1"):
        effort_curve({"quick": outcome(0.5)})
    with pytest.raises(ValueError, match="of the same probes"):
        effort_curve({"quick": outcome(0.5), "strong": outcome(0.5, PEOPLE[::-1])})
