"""Figures of the smallest shares, against a count by hand."""

import numpy as np
import pandas as pd
import pytest

from privacy_exp.evaluation.minimal import NOTED, minimal_metrics


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


def test_the_interval_draws_people_and_the_columns_may_be_read_back_as_objects():
    found = minimal_metrics(
        table().astype(dict.fromkeys(("minimal_lost", "minimal_recognised", "minimal_monotone"), object))
    )
    assert found == minimal_metrics(table())
    assert set(found) == {
        *(f"minimal/share_{name}" for name in ("q10", "median", "q90")),
        "minimal/not_lost",
        "minimal/not_monotone",
    }
    assert found["minimal/share_q10"].value == pytest.approx(0.1 + 0.3 * 0.1)
    shares = np.random.default_rng(1).uniform(size=(12, 3))
    flags = {"minimal_recognised": True, "minimal_lost": True, "minimal_monotone": True}
    many = pd.DataFrame({"label": np.repeat(np.arange(12), 3), "share_hidden": shares.ravel(), **flags})
    found = minimal_metrics(many)
    picks = np.random.default_rng(0).integers(0, 12, (2000, 12))
    for name, q in (("q10", 0.1), ("median", 0.5), ("q90", 0.9)):
        low, high = np.quantile([np.quantile(shares[pick], q) for pick in picks], [0.025, 0.975])
        metric = found[f"minimal/share_{name}"]
        assert (metric.low, metric.high) == (pytest.approx(low), pytest.approx(high))


def test_the_columns_that_the_method_notes_are_carried_over_by_their_beginning():
    """`study.rescore` copies what begins so from the run's own table."""
    assert all(name.startswith(NOTED) for name in table() if name not in ("label", "share_hidden"))


def test_where_nothing_was_lost_or_known_there_is_a_reason_instead_of_a_figure():
    kept = table().assign(minimal_lost=False)
    assert minimal_metrics(kept)["minimal/share_median"].reason == "no image was lost"
    unknown = table().assign(minimal_recognised=False)
    for name in ("not_lost", "not_monotone"):
        assert minimal_metrics(unknown)[f"minimal/{name}"].reason == "nothing was recognised on the originals"


def test_other_methods_have_no_such_figures():
    assert minimal_metrics(table()[["label", "share_hidden"]]) == {}
