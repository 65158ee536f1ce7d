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


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 efforts .* got 1"):
        effort_curve({"quick": outcome(0.5)})
    with pytest.raises(ValueError, match="of the same probes"):
        effort_curve({"quick": outcome(0.5), "strong": outcome(0.5, PEOPLE[::-1])})
