"""The sentinel: every figure of two runs made by hand."""

import numpy as np
import pytest
from sentinels import EXPECTED, known, sentinel_table

from privacy_exp.evaluation.by_attribute import rates_by_attribute
from privacy_exp.evaluation.measure import Outcome, strongest_observer
from privacy_exp.evaluation.privacy import outcome, privacy_metrics


@pytest.mark.parametrize("name", ["a", "b"])
def test_every_figure_is_the_known_one(name):
    table = sentinel_table(name)
    seen, clean = (table[f"{kind}/judge/a"].to_numpy(float) for kind in ("recognised", "recognised_clean"))
    judge = Outcome("judge/a", table["identity"].to_numpy(str), clean, seen, 1 / 24)
    outcomes = [outcome(table, 24, gate=0.8), judge]
    metrics = privacy_metrics(table, gate=0.8)
    metrics["strongest_observer"], observers = strongest_observer(outcomes)
    strongest = next(s for s in outcomes if s.name == observers[0])
    metrics |= rates_by_attribute(table, strongest, gate=0.8)
    assert {metric: found.value for metric, found in metrics.items()} == pytest.approx(known(name))
    counted = {metric: n for metric, (_, n) in EXPECTED[name].items() if metric != "strongest_observer"}
    assert {metric: metrics[metric].n for metric in counted} == counted
    assert observers == EXPECTED["observers"][name]
    for metric in metrics.values():
        assert np.isfinite([metric.low, metric.value, metric.high]).all()
        assert metric.low - 1e-9 <= metric.value <= metric.high + 1e-9
