"""How little must be hidden: what `masking=minimal` found, over people."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float

from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.types import Metric

NOTED = "minimal_"
"""How the columns begin that `Minimal` notes."""

QUANTILES = {"minimal/share_q10": 0.1, "minimal/share_median": 0.5, "minimal/share_q90": 0.9}


def minimal_metrics(table: pd.DataFrame) -> dict[str, Metric]:
    """Quantiles of the smallest shares, and how often there was none; nothing for runs of other methods.

    - minimal/share_q10, _median, _q90: of the shares hidden, over images that the recogniser knew and lost;
    - minimal/not_lost: share of the known images that it still knew at the cap;
    - minimal/not_monotone: share of the known images that it lost at one share and knew again at a larger one.

    Args:
        table: one row per image with `label, share_hidden` and what `Minimal` notes.
    """
    if "minimal_recognised" not in table:
        return {}
    known = table[table["minimal_recognised"].astype(bool)]
    lost = known[known["minimal_lost"].astype(bool)]
    clusters, empty = known["label"].to_numpy(), "nothing was recognised on the originals"
    metrics = {
        name: _bootstrap(lost, lambda shares, q=q: np.quantile(shares, q), "no image was lost")
        for name, q in QUANTILES.items()
    }
    metrics["minimal/not_lost"] = clustered_rate(~known["minimal_lost"].to_numpy(bool), clusters, empty)
    metrics["minimal/not_monotone"] = clustered_rate(~known["minimal_monotone"].to_numpy(bool), clusters, empty)
    return metrics


def _bootstrap(
    table: pd.DataFrame, statistic: Callable[[Float[np.ndarray, " n"]], float], empty: str, draws: int = 2000
) -> Metric:
    """A statistic of the hidden shares with a percentile interval over identities drawn with replacement."""
    if table.empty:
        return Metric(None, None, None, 0, empty)
    people = [rows["share_hidden"].to_numpy() for _, rows in table.groupby("label")]
    random = np.random.default_rng(0)
    picks = random.integers(0, len(people), (draws, len(people)))
    drawn = [statistic(np.concatenate([people[i] for i in pick])) for pick in picks]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Metric(float(statistic(table["share_hidden"].to_numpy())), float(low), float(high), len(table))
