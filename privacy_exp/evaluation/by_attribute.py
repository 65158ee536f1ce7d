"""Rates by attribute value: does it protect some people less?"""

from dataclasses import replace

import numpy as np
import pandas as pd

from privacy_exp.evaluation.measure import Sighting
from privacy_exp.evaluation.statistics import Metric, clustered_rate

ATTRIBUTE = "attribute/"
"""Prefix of the table's columns that hold attributes of the photo, named as in the data."""

FEWEST_IMAGES = 5
"""An attribute is shown only if both of its values have so many images."""


def rates_by_attribute(table: pd.DataFrame, strongest: Sighting | None, floor: float) -> dict[str, Metric]:
    """Accuracy, fool rate and the strongest observer's hits, apart for photos with and without each attribute.

    - by/Male=1/accuracy: c's on the originals of photos with the attribute; Male=0 of those without;
    - by/Male=1/fool_rate: recognised before, not after, among those recognised before;
    - by/Male=1/worst_observer_accuracy: rank 1 of the strongest observer on the results; None where its probes are
      other photos.

    Args:
        table: a row an image with `identity, label, pred, pred_anonymized` and `attribute/<Name>` columns.
        strongest: the observer that `worst_observer` names, or None.
        floor: clean accuracy over all photos; below it c's fool rates are flagged "below_gate".
    """
    people = table["identity"].to_numpy(str)
    right, right_anonymized = ((table[column] == table["label"]).to_numpy() for column in ("pred", "pred_anonymized"))
    flag = "below_gate" if len(table) and float(right.mean()) < floor else None
    metrics = {}
    for column in table.columns[table.columns.str.startswith(ATTRIBUTE)]:
        present = table[column].to_numpy(bool)
        if min(present.sum(), (~present).sum()) < FEWEST_IMAGES:
            continue
        for value in (0, 1):
            which = present == bool(value)
            known = which & right
            fooled = clustered_rate(~right_anonymized[known], people[known], "nothing was recognised on the originals")
            name = f"by/{column.removeprefix(ATTRIBUTE)}={value}"
            metrics[f"{name}/accuracy"] = clustered_rate(right[which], people[which])
            metrics[f"{name}/fool_rate"] = replace(fooled, reason=fooled.reason or flag)
            metrics[f"{name}/worst_observer_accuracy"] = _of_strongest(strongest, people, which)
    return metrics


def _of_strongest(strongest: Sighting | None, people: np.ndarray, which: np.ndarray) -> Metric:
    n = int(which.sum())
    if strongest is None:
        return Metric(None, None, None, n, "no observer passed its gate")
    if not np.array_equal(strongest.identity.astype(str), people):
        return Metric(None, None, None, n, f"{strongest.name} was not asked about these photos one by one")
    return clustered_rate(strongest.anonymized[which], people[which])
