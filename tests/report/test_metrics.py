"""Directions of metrics, which decide what is called best and where the front lies; and how figures are written."""

import pytest

from privacy_exp.report.metrics import as_text, better, in_order
from privacy_exp.report.table import metric_table
from privacy_exp.types import Metric


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("fool_rate", "higher"),
        ("by/Male=1/fool_rate", "higher"),
        ("strongest_observer", "lower"),
        ("accuracy_anonymized", "lower"),
        ("judge/onnx/tar_cross_1e-2", "lower"),
        ("judge/onnx/rank_1", "lower"),
        ("judge/onnx/intrusion", "lower"),
        ("attacker/parrot/recovered_share", "lower"),
        ("attacker/several_photos/n_5/rank_1", "lower"),
        ("utility/attribute_agreement", "higher"),
        ("utility/detection_rate", "higher"),
        ("utility/ssim_inside", "higher"),
        ("utility/psnr_outside", "higher"),
        ("utility/landmark_error", "lower"),
        ("utility/lpips", "lower"),
        ("utility/black_share", "lower"),
        ("accuracy", None),
        ("by/Male=1/accuracy", None),
        ("control_fool_rate", None),
        ("share_hidden", None),
        ("judge/onnx/clean_tar_1e-2", None),
        ("attacker/parrot/ceiling", None),
        ("utility/attribute_accuracy", None),
        ("utility/detection_rate_original", None),
    ],
)
def test_which_way_is_better(name, direction):
    assert better(name) == direction


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric(0.79249, 0.7, 0.8619, 9), "0.79 [0.70, 0.86]"),
        (Metric(0.25, 0.25, 0.25, 9), "0.25"),
        (Metric(0.5, None, None, 9), "0.50"),
        (Metric(0.5, 0.4, 0.6, 9, "below_gate"), "0.50 [0.40, 0.60] !"),
        (Metric(-0.02, -0.1, 0.06, 9), "-0.02 [-0.10, 0.06]"),
        (Metric(None, None, None, 0, "why"), "–"),
    ],
)
def test_figures_as_text(metric, text):
    assert as_text(metric) == text


def test_figures_by_attribute_stand_last_and_known_ones_first():
    names = ["by/Male=1/fool_rate", "utility/lpips", "fool_rate", "strongest_observer", "fool_rate"]
    assert in_order(names) == ["strongest_observer", "fool_rate", "utility/lpips", "by/Male=1/fool_rate"]


def test_the_table_of_a_run_leaves_attributes_to_the_record():
    metrics = {name: Metric(0.5, 0.4, 0.6, 9) for name in ("by/Male=1/fool_rate", "fool_rate", "by/Male=0/fool_rate")}
    text = metric_table("a run", metrics, ["target"])
    assert "by/" not in text
    assert "fool rate" in text
    assert "2 more figures in record.json" in " ".join(text.split())
