"""Counts worked out by hand."""

import pandas as pd
import pytest
import torch

from privacy_exp.evaluation.measure import strongest_observer
from privacy_exp.evaluation.privacy import outcome, privacy_metrics
from privacy_exp.evaluation.score import true_rank

# ten photos of three people: label, c(x), c(a), c(v), rank of the true identity on a
ROWS = [
    (0, 0, 1, 0, 2),  # recognised, fooled
    (0, 0, 0, 0, 1),  # recognised, not fooled
    (0, 0, 2, 1, 6),  # recognised, fooled, already by the round trip; left the top five
    (1, 1, 1, 1, 1),
    (1, 1, 0, 1, 3),  # fooled
    (1, 0, 0, 0, 2),  # was not recognised: no part in the fool rate
    (2, 2, 2, 2, 1),
    (2, 2, 1, 2, 7),  # fooled, left the top five
    (2, 2, 2, 0, 1),  # the round trip fools, the result does not
    (2, 1, 2, 1, 1),  # was not recognised, is now
]


def table():
    rows = pd.DataFrame(ROWS, columns=["label", "pred", "pred_anonymized", "pred_control", "rank"])
    return rows.assign(identity=rows["label"].astype(str))


def test_every_rate_by_hand():
    values = {name: (m.value, m.n) for name, m in privacy_metrics(table(), gate=0.5).items()}
    assert values["accuracy"] == (pytest.approx(0.8), 10)
    assert values["accuracy_anonymized"] == (pytest.approx(0.5), 10)
    assert values["fool_rate"] == (pytest.approx(4 / 8), 8)
    assert values["fool_rate_at_5"] == (pytest.approx(2 / 8), 8)
    assert values["control_fool_rate"] == (pytest.approx(2 / 8), 8)
    assert values["fool_rate_net"] == (pytest.approx(3 / 6), 6)
    metric, observers = strongest_observer([outcome(table(), 3, gate=0.5)])
    assert (metric.value, metric.n) == (pytest.approx((0.5 - 1 / 3) / (0.8 - 1 / 3)), 10)
    assert observers == ["target"]


def test_below_the_gate_every_privacy_figure_is_flagged_and_kept():
    metrics = privacy_metrics(table(), gate=0.9)
    assert metrics["accuracy"].reason is None
    assert metrics["fool_rate"].reason == "below_gate"
    assert metrics["fool_rate"].value == pytest.approx(0.5)
    assert outcome(table(), 3, gate=0.9).excluded == "below_gate"
    metric, observers = strongest_observer([outcome(table(), 3, gate=0.9)])
    assert (metric.value, observers) == (None, [])
    assert "below_gate" in metric.reason


def test_further_draws_by_hand():
    drawn = table().assign(pred_draw_1=[0, 0, 0, 0, 0, 1, 0, 0, 0, 2], pred_draw_12=table()["label"])
    metrics = privacy_metrics(drawn, gate=0.5)
    figures = {name: (m.value, m.n) for name, m in metrics.items() if name.startswith("draw_")}
    assert figures == {
        "draw_1/accuracy_anonymized": (pytest.approx(5 / 10), 10),
        "draw_1/fool_rate": (pytest.approx(5 / 8), 8),
        "draw_12/accuracy_anonymized": (1.0, 10),
        "draw_12/fool_rate": (0.0, 8),
    }
    assert set(metrics) - set(figures) == set(privacy_metrics(table(), gate=0.5))


def test_at_the_edges_by_hand():
    """Fifth is among the first five; who was not recognised on the original has no part in the net rate."""
    rows = [(0, 0, 1, 0, 5.0), (0, 0, 1, 0, 5.5), (0, 1, 1, 0, 2.0), (1, 1, 1, 1, 1.0)]
    edges = pd.DataFrame(rows, columns=["label", "pred", "pred_anonymized", "pred_control", "rank"])
    metrics = privacy_metrics(edges.assign(identity=edges["label"].astype(str)), gate=0.75)
    assert (metrics["fool_rate_at_5"].value, metrics["fool_rate_at_5"].n) == (pytest.approx(1 / 3), 3)
    assert (metrics["fool_rate_net"].value, metrics["fool_rate_net"].n) == (pytest.approx(2 / 3), 3)
    assert metrics["accuracy"].value == 0.75, "at the gate, which is enough"
    assert metrics["fool_rate"].reason is None
    assert outcome(edges.assign(identity="p"), 2, gate=0.75).excluded is None


def test_a_tied_identity_counts_one_half():
    logits = torch.tensor([[1.0, 1, 0], [0, 1, 2], [1, 1, 1], [3, 1, 2]])
    assert true_rank(logits, torch.tensor([0, 0, 2, 0])).tolist() == [1.5, 3, 2, 1]


def test_nothing_recognised_is_null_with_its_reason():
    blind = table().assign(pred=(table()["label"] + 1) % 3)
    metrics = privacy_metrics(blind, gate=0.0)
    assert metrics["fool_rate"].value is None
    assert "nothing was recognised" in metrics["fool_rate"].reason
    metric, _ = strongest_observer([outcome(blind, 3, gate=0.0)])
    assert metric.value is None
    assert "at chance" in metric.reason
