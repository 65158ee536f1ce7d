"""What attackers that name the run's own people share: fits, counts of who is named, findings."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.measure import Findings, Fits, Outcome, Scene, recovered_share
from privacy_exp.evaluation.statistics.intervals import clustered_rate, design_effect
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.fit import clean_accuracy
from privacy_exp.types import Metric, UserError

Array = np.ndarray

SHUFFLES = 5
"""Fits on shuffled labels that are pooled."""

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


def attempts(scene: Scene, data: FaceData, times: int = 1) -> list[Attempt]:
    """Fits on `data`, the best first: as the target was fitted, and with a frozen trunk's last stage open as well.

    Without validation photos nothing could choose between the two, so only the first is made.

    Args:
        scene: the run.
        data: pictures to learn from, after `setup()`.
        times: the epochs of the target's fit.
    """
    frozen = scene.recognizer.freeze == "trunk" and len(data.photos["val"]) > 0
    found = [attempt(scene, data, freeze, times) for freeze in ([None, LAST_STAGE_OPEN] if frozen else [None])]
    return sorted(found, key=lambda a: -(a.val_accuracy or 0.0))  # stable: of equals, the target's own way comes first


def fits_of_attempts(data: FaceData, recognizer_frozen: bool, times: int = 1) -> tuple[Fits, ...]:
    """What `attempts` trains.

    Args:
        data: the run's, after `setup()`.
        recognizer_frozen: whether the target's trunk is frozen.
        times: the epochs of the target's fit.
    """
    also = recognizer_frozen and len(data.photos["val"]) > 0
    return (Fits(times), Fits(times, LAST_STAGE_OPEN)) if also else (Fits(times),)


def attempt(scene: Scene, data: FaceData, freeze: str | None = None, times: int = 1) -> Attempt:
    """One fit on `data` as the target was fitted, or so many times as long; `freeze` replaces the net's own."""
    assert scene.fit is not None  # noqa: S101  a scene that can anonymise can fit
    recognizer = scene.fit(data, freeze) if times == 1 else scene.fit(data, freeze, times=times)
    has_val = len(data.photos["val"]) > 0
    accuracy = clean_accuracy(recognizer, data.batches("val")) if has_val else None
    return Attempt(recognizer, accuracy, recognizer.freeze)


@torch.inference_mode()
def names_right(recognizer: Recognizer, data: FaceData, table: pd.DataFrame) -> Bool[Array, " n"]:
    """Whether the highest logit of each test picture is its own identity's, in the order of the table.

    Args:
        recognizer: fitted.
        data: its test part holds the pictures, after `setup()`.
        table: one row per picture with `image_id, label`.

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


def add_ceiling(scene: Scene, name: str, found: Findings, right: Bool[Array, " n"]) -> None:
    """Adds the accuracy of the same attacker on originals, having learnt from originals.

    Args:
        scene: the run.
        name: the attacker's.
        found: its findings.
        right: whether it named each original rightly.
    """
    found.metrics[f"{name}/ceiling"] = clustered_rate(right, scene.table["label"].to_numpy())


def add_shuffled(scene: Scene, name: str, found: Findings, look: Callable[[int], Bool[Array, " n"]]) -> None:
    """Adds the pooled accuracy of fits to shuffled labels, and a warning where it is not near chance.

    Args:
        scene: the run.
        name: the attacker's.
        found: its findings.
        look: from the seed of the shuffle to whether each result was named rightly.
    """
    hits = np.concatenate([look(shuffle) for shuffle in range(SHUFFLES)])
    labels = np.tile(scene.table["label"].to_numpy(), SHUFFLES)
    metric, report = chance_metric(hits, labels, 1 / len(scene.identities))
    found.metrics[f"{name}/shuffled_labels"] = flagged(metric, found.outcomes[0])
    found.details["shuffled_labels"] = report
    if not report["within"]:
        found.warnings.append(
            f"{name}: fits to shuffled labels name {metric.value:.3f} of the people right, more than 3 standard "
            f"errors from chance ({report['chance']:.3f}): something leaks."
        )


def chance_metric(hits: np.ndarray, labels: np.ndarray, chance: float) -> tuple[Metric, dict[str, Any]]:
    """The pooled accuracy of fits to shuffled labels, and whether it lies within 3 standard errors of chance.

    The standard error is that of a guess, sqrt(deff · chance · (1 - chance) / n), deff being clustered by identity.

    Args:
        hits: of all shuffles together.
        labels: the true ones, repeated for each shuffle.
        chance: of one guess.
    """
    error = math.sqrt(design_effect(hits, labels) * chance * (1 - chance) / len(hits))
    metric = clustered_rate(hits, labels)
    within = abs(float(np.mean(hits)) - chance) <= 3 * error
    return metric, {"chance": chance, "standard_error": error, "within": within, "shuffles": SHUFFLES}
