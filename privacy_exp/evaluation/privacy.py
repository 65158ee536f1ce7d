"""The oblivious observer: how often the fine-tuned recogniser still names the person."""

from dataclasses import replace

import numpy as np
import pandas as pd

from privacy_exp.evaluation.measure import Outcome
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.types import Metric


def privacy_metrics(table: pd.DataFrame, gate: float) -> dict[str, Metric]:
    """Accuracy and fool rates of the target recogniser, with intervals over identities.

    - accuracy = mean[c(x) = y]; accuracy_anonymized = mean[c(a) = y];
    - fool_rate = #{c(x) = y, c(a) ≠ y} / #{c(x) = y}; None where nothing was recognised;
    - fool_rate_at_5: the true identity left the top five;
    - control_fool_rate = #{c(x) = y, c(v) ≠ y} / #{c(x) = y} and
      fool_rate_net = #{c(x) = c(v) = y, c(a) ≠ y} / #{c(x) = c(v) = y}, v being the same mask filled by one encode and
      decode of the autoencoder; the original where there is none;
    - draw_1/fool_rate and so on: the same for further pictures of each face, where a run painted several;

    Args:
        table: one row per image with `label, pred, pred_anonymized, pred_control, rank`; `rank` is the true identity's
            on the anonymised image, 1 = first.
        gate: clean accuracy below it flags every privacy figure "below_gate".
    """
    labels = table["label"].to_numpy()
    right, right_anonymized, right_control = (
        (table[column] == table["label"]).to_numpy() for column in ("pred", "pred_anonymized", "pred_control")
    )
    recognised = "nothing was recognised on the originals"

    def among(which: np.ndarray, fooled: np.ndarray) -> Metric:
        return clustered_rate(fooled[which], labels[which], empty=recognised)

    metrics = {
        "accuracy": clustered_rate(right, labels),
        "accuracy_anonymized": clustered_rate(right_anonymized, labels),
        "fool_rate": among(right, ~right_anonymized),
        "fool_rate_at_5": among(right, (table["rank"] > 5).to_numpy()),
        "control_fool_rate": among(right, ~right_control),
        "fool_rate_net": among(right & right_control, ~right_anonymized),
    }
    for column in table.columns[table.columns.str.startswith("pred_draw_")]:
        right_drawn = (table[column] == table["label"]).to_numpy()
        name = f"draw_{column.removeprefix('pred_draw_')}"
        metrics[f"{name}/accuracy_anonymized"] = clustered_rate(right_drawn, labels)
        metrics[f"{name}/fool_rate"] = among(right, ~right_drawn)
    accuracy = metrics["accuracy"].value
    if accuracy is not None and accuracy < gate:
        flagged = {n: replace(m, reason=m.reason or "below_gate") for n, m in metrics.items() if n != "accuracy"}
        metrics = {"accuracy": metrics["accuracy"], **flagged}
    return metrics


def outcome(table: pd.DataFrame, num_classes: int, gate: float) -> Outcome:
    """What the target recognised, for `strongest_observer`; excluded below its gate.

    Args:
        table: see `privacy_metrics`.
        num_classes: identities that the target knows; chance is 1 / num_classes.
        gate: lowest clean accuracy with which the target takes part.
    """
    clean, anonymized = ((table[c] == table["label"]).to_numpy(np.float64) for c in ("pred", "pred_anonymized"))
    excluded = "below_gate" if float(clean.mean()) < gate else None
    return Outcome("target", table["identity"].to_numpy(str), clean, anonymized, 1 / num_classes, excluded)
