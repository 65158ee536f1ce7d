"""Figures of the smallest shares, against a count by hand."""

import pandas as pd
import pytest

from privacy_exp.evaluation.minimal import minimal_metrics


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": [0, 0, 1, 1, 2, 2],
            "share_hidden": [0.1, 0.2, 0.3, 0.5, 0.9, 0.0],
            "minimal_recognised": [True, True, True, True, True, False],
            "minimal_lost": [True, True, True, True, False, True],
            "minimal_monotone": [True, False, True, True, True, True],
        }
    )


def test_quantiles_are_over_the_images_that_were_known_and_lost():
    found = minimal_metrics(table())
    assert found["minimal/share_median"].value == pytest.approx(0.25)
    assert found["minimal/share_q90"].value == pytest.approx(0.3 + 0.7 * 0.2)
    assert found["minimal/share_median"].n == 4
    assert 0.1 <= found["minimal/share_median"].low <= 0.25 <= found["minimal/share_median"].high <= 0.5
    assert found["minimal/not_lost"].value == pytest.approx(1 / 5)
    assert found["minimal/not_monotone"].value == pytest.approx(1 / 5)


def test_where_nothing_was_lost_or_known_there_is_a_reason_instead_of_a_figure():
    kept = table().assign(minimal_lost=False)
    assert minimal_metrics(kept)["minimal/share_median"].reason == "no image was lost"
    unknown = table().assign(minimal_recognised=False)
    assert minimal_metrics(unknown)["minimal/not_lost"].reason == "nothing was recognised on the originals"


def test_other_methods_have_no_such_figures():
    assert minimal_metrics(table()[["label", "share_hidden"]]) == {}
