"""The oblivious observer: how often the fine-tuned recogniser still names the person."""

from dataclasses import replace

import numpy as np
import pandas as pd

from privacy_exp.evaluation.statistics import Metric, clustered_rate, normalised_top1


def privacy_metrics(table: pd.DataFrame, num_classes: int, floor: float) -> dict[str, Metric]:
    """Accuracy and fool rates of recogniser c, with intervals over identities.

    - accuracy = mean[c(x) = y]; accuracy_anonymized = mean[c(a) = y];
    - fool_rate = #{c(x) = y, c(a) ≠ y} / #{c(x) = y}; None where nothing was recognised;
    - fool_rate_at_5: the true identity left the top five;
    - control_fool_rate = #{c(x) = y, c(v) ≠ y} / #{c(x) = y} and
      fool_rate_net = #{c(x) = c(v) = y, c(a) ≠ y} / #{c(x) = c(v) = y}, v being the same mask filled by one encode and
      decode of the autoencoder; the original where there is none;
    - draw_1/fool_rate and so on: the same for further pictures of each face, where a run painted several;
    - worst_observer = (top-1 on a - chance) / (clean top-1 - chance) of the strongest observer; here c alone took part.

    Args:
        table: a row an image with `label, pred, pred_anonymized, pred_control, rank`; `rank` is the true identity's on
            the anonymised image, 1 = first.
        num_classes: identities that c knows; chance is 1 / num_classes.
        floor: clean accuracy below it flags every privacy figure "below_gate" and leaves c out of `worst_observer`.
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
        "worst_observer": normalised_top1(right, right_anonymized, labels, chance=1 / num_classes),
    }
    for column in table.columns[table.columns.str.startswith("pred_draw_")]:
        right_drawn = (table[column] == table["label"]).to_numpy()
        name = f"draw_{column.removeprefix('pred_draw_')}"
        metrics[f"{name}/accuracy_anonymized"] = clustered_rate(right_drawn, labels)
        metrics[f"{name}/fool_rate"] = among(right, ~right_drawn)
    accuracy = metrics["accuracy"].value
    if accuracy is not None and accuracy < floor:
        flagged = {n: replace(m, reason=m.reason or "below_gate") for n, m in metrics.items() if n != "accuracy"}
        none_left = Metric(None, None, None, len(table), "below_gate: no observer passed its gate")
        metrics = {"accuracy": metrics["accuracy"], **flagged, "worst_observer": none_left}
    return metrics
