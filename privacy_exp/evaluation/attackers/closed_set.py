"""What attackers that name the run's own people share: fits, counts of who is named, findings."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.measure import Findings, Outcome, Scene, recovered_share
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.fit import clean_accuracy
from privacy_exp.types import Metric, UserError

Array = np.ndarray

LAST_STAGE_OPEN = "early"
"""What `freeze` becomes for an attacker who may train more of a frozen trunk."""


@dataclass(frozen=True)
class Attempt:
    """One fit of an attacker.

    Attributes:
        recognizer: fitted, in evaluation mode.
        val_accuracy: on the attacker's own validation part; None where it has none.
        freeze: what was frozen.
    """

    recognizer: Recognizer
    val_accuracy: float | None
    freeze: str


def attempts(scene: Scene, data: FaceData) -> list[Attempt]:
    """Fits on `data`, the best first: as the target was fitted, and with a frozen trunk's last stage open as well.

    Without validation photos nothing could choose between the two, so only the first is made.

    Args:
        scene: the run.
        data: pictures to learn from, after `setup()`.
    """
    frozen = scene.recognizer.freeze == "trunk" and len(data.photos["val"]) > 0
    found = [attempt(scene, data, freeze) for freeze in ([None, LAST_STAGE_OPEN] if frozen else [None])]
    return sorted(found, key=lambda a: -(a.val_accuracy or 0.0))  # stable: of equals, the target's own way comes first


def attempt(scene: Scene, data: FaceData, freeze: str | None = None) -> Attempt:
    """One fit on `data` as the target was fitted; `freeze` replaces the net's own."""
    assert scene.fit is not None  # noqa: S101  a scene that can anonymise can fit
    recognizer = scene.fit(data, freeze)
    has_val = len(data.photos["val"]) > 0
    accuracy = clean_accuracy(recognizer, data.batches("val")) if has_val else None
    return Attempt(recognizer, accuracy, recognizer.freeze)


@torch.inference_mode()
def names_right(recognizer: Recognizer, data: FaceData, table: pd.DataFrame) -> Bool[Array, " n"]:
    """Whether the highest logit of each test picture is its own identity's, in the order of the table.

    Args:
        recognizer: fitted.
        data: its test part holds the pictures, after `setup()`.
        table: a row a picture with `image_id, label`.

    Raises:
        UserError: logits that are no numbers.
    """
    device = next(recognizer.parameters()).device
    found: dict[str, int] = {}
    for faces in data.batches("test"):
        logits = recognizer(faces.images.to(device))
        if not logits.isfinite().all():
            raise UserError(f"an attacker's recogniser gives NaN or infinite logits, first among {faces.ids[:3]}.")
        found |= dict(zip(faces.ids, logits.argmax(1).tolist(), strict=True))
    right: Bool[Array, " n"] = np.array([found[i] for i in table["image_id"]]) == table["label"].to_numpy()
    return right


def named(scene: Scene, name: str, right: Bool[Array, " n"]) -> Outcome:
    """What a closed-set attacker recognised, beside what the target recognises on the originals."""
    table = scene.table
    clean: Float[Array, " n"] = (table["pred"] == table["label"]).to_numpy(np.float64)
    excluded = "below_gate" if float(clean.mean()) < scene.gate else None
    people = table["identity"].to_numpy(str)
    return Outcome(name, people, clean, right.astype(np.float64), 1 / len(scene.identities), excluded)


def flagged(metric: Metric, outcome: Outcome) -> Metric:
    """The metric with the reason why its observer takes no part, where there is one."""
    return Metric(metric.value, metric.low, metric.high, metric.n, metric.reason or outcome.excluded)


def findings(scene: Scene, name: str, right: Bool[Array, " n"]) -> Findings:
    """Recovered accuracy and share, and the outcome of a closed-set attacker."""
    seen = named(scene, name, right)
    return Findings(
        metrics={
            f"{name}/accuracy": flagged(clustered_rate(right, scene.table["label"].to_numpy()), seen),
            f"{name}/recovered_share": recovered_share(seen),
        },
        outcomes=[seen],
    )
