"""Rates by attribute value: does it protect some people less?"""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from privacy_exp.evaluation.measure import Outcome
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.types import Metric

ATTRIBUTE = "attribute/"
"""Prefix of the table's columns that hold attributes of the photo, named as in the data."""

RATES = re.compile(r"recognised/|judge/.*/tar_cross_|utility/detected$")
"""Columns of the table that hold a rate, besides the target's own."""

FEWEST_IMAGES = 5
"""An attribute is shown only if both of its values have so many images."""


def rates_by_attribute(
    table: pd.DataFrame, strongest: Outcome | None, gate: float, flags: Mapping[str, str] | None = None
) -> dict[str, Metric]:
    """Accuracy, fool rate and the strongest observer's hits, apart for photos with and without each attribute.

    - by/Male=1/accuracy: the target's on the originals of photos with the attribute; Male=0 of those without;
    - by/Male=1/fool_rate: recognised before, not after, among those recognised before;
    - by/Male=1/strongest_observer_accuracy: rank 1 of the strongest observer on the results; None where its probes are
      other photos;
    - by/Male=1/recognised/<observer>, by/Male=1/judge/<name>/tar_cross_…, by/Male=1/utility/detected: means of what the
      table holds of each photo.

    the target's own are left out where the table has no `pred`.

    Args:
        table: one row per image with `identity, label, pred, pred_anonymized` and `attribute/<Name>` columns.
        strongest: the observer that `strongest_observer` names, or None.
        gate: clean accuracy over all photos; below it the target's fool rates are flagged "below_gate".
        flags: why observers take no part in `strongest_observer`, by name; their rates carry it.
    """
    people = table["identity"].to_numpy(str)
    metrics: dict[str, Metric] = {}
    for column in table.columns[table.columns.str.startswith(ATTRIBUTE)]:
        present = table[column].to_numpy(bool)
        if min(present.sum(), (~present).sum()) < FEWEST_IMAGES:
            continue
        for value in (0, 1):
            which = present == bool(value)
            name = f"by/{column.removeprefix(ATTRIBUTE)}={value}"
            if "pred" in table:
                metrics |= {f"{name}/{key}": metric for key, metric in _of_c(table, people, which, gate).items()}
            metrics[f"{name}/strongest_observer_accuracy"] = _of_strongest(strongest, people, which)
            for rate in filter(RATES.match, table.columns):
                hits = table[rate].to_numpy(np.float64)
                rows = which & np.isfinite(hits)
                whose = rate.removeprefix("recognised/") if rate.startswith("recognised/") else rate.rpartition("/")[0]
                found = clustered_rate(hits[rows], people[rows])
                metrics[f"{name}/{rate}"] = replace(found, reason=found.reason or (flags or {}).get(whose))
    return metrics


def _of_c(table: pd.DataFrame, people: np.ndarray, which: np.ndarray, gate: float) -> dict[str, Metric]:
    right, right_anonymized = ((table[column] == table["label"]).to_numpy() for column in ("pred", "pred_anonymized"))
    flag = "below_gate" if len(table) and float(right.mean()) < gate else None
    known = which & right
    fooled = clustered_rate(~right_anonymized[known], people[known], "nothing was recognised on the originals")
    return {
        "accuracy": clustered_rate(right[which], people[which]),
        "fool_rate": replace(fooled, reason=fooled.reason or flag),
    }


def _of_strongest(strongest: Outcome | None, people: np.ndarray, which: np.ndarray) -> Metric:
    n = int(which.sum())
    if strongest is None:
        return Metric(None, None, None, n, "no observer passed its gate")
    rows = np.arange(len(people)) if strongest.rows is None else strongest.rows
    if not np.array_equal(strongest.identity.astype(str), people[rows]):
        return Metric(None, None, None, n, f"{strongest.name} was not asked about these photos one by one")
    asked = which[rows]
    return clustered_rate(strongest.anonymized[asked], people[rows][asked])
