"""A2 and A5: learns to name the run's people from anonymised pictures of them."""

import math
from typing import Any, final

import numpy as np

from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.attackers.anonymized_faces import AnonymizedFaces
from privacy_exp.evaluation.attackers.closed_set import attempt, attempts, findings, flagged, names_right
from privacy_exp.evaluation.attackers.pictures import check_photos, check_seed, own_cost, own_pictures
from privacy_exp.evaluation.measure import Cost, Findings, Measure, Scene
from privacy_exp.evaluation.statistics.intervals import clustered_rate, design_effect
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import Metric

SHUFFLES = 5
"""Fits on shuffled labels that are pooled."""


@final
class Parrot(Measure):
    """Repeats the recogniser's fit on anonymised photos of the same people, and is tried on the run's.

    Same initial weights, same order, same budget as the target; training and validation photos are anonymised with a
    seed of the attacker's own. Where the target's trunk is frozen, a second fit opens its last stage; the better of the
    two on the attacker's validation part counts.

    Args:
        grey_hidden: hidden pixels are greyed in training and probing: the attacker knows the mask (A5); else A2.
        seed: of the attacker's masks and noise, added to the run's; at least 1.
        ceiling: also fit on the originals in the same way: the most that the attacker can recover.
        shuffled_labels: also fit to shuffled labels, five times: what it recovers where nothing can be learnt.

    Reference: Newton et al., Preserving Privacy by De-identifying Face Images, 2005 (parrot recognition).
    """

    def __init__(
        self, grey_hidden: bool = False, seed: int = 1, ceiling: bool = False, shuffled_labels: bool = False
    ) -> None:
        self.grey_hidden = grey_hidden
        self.seed = check_seed(seed)
        self.ceiling = ceiling
        self.shuffled_labels = shuffled_labels

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo."""
        check_photos(data)

    def cost(self, data: FaceData, recognizer_frozen: bool, seed: int) -> Cost:
        """One fit, two with a frozen trunk; the same again for a ceiling, five for shuffled labels."""
        own = 2 if recognizer_frozen and data.photos["val"] else 1
        return own_cost(data, seed + self.seed, own * (1 + self.ceiling) + SHUFFLES * self.shuffled_labels)

    def measure(self, scene: Scene, name: str) -> Findings:
        """Recovered accuracy and share; the ceiling's and the shuffled labels' accuracy where they were asked for."""
        folders = own_pictures(scene, name, self.seed)
        data = _ready(scene, folders, grey_hidden=self.grey_hidden)
        tries = attempts(scene, data)
        found = findings(scene, name, names_right(tries[0].recognizer, data, scene.table))
        found.details["fits"] = [{"freeze": t.freeze, "val_accuracy": t.val_accuracy} for t in tries]
        if scene.config.get("recognition", {}).get("checkpoint") is not None:
            found.warnings.append(
                f"{name}: the target came from a checkpoint, so the attacker was fitted as recognition.module says, "
                "which may not be the budget that the target had."
            )
        if self.ceiling:
            self._add_ceiling(scene, name, folders, found)
        if self.shuffled_labels:
            self._add_shuffled(scene, name, folders, found)
        return found

    def _add_ceiling(self, scene: Scene, name: str, folders: dict[str, RunFolder], found: Findings) -> None:
        data = _ready(scene, folders, kind="original")
        best = attempts(scene, data)[0]
        right = names_right(best.recognizer, data, scene.table)
        found.metrics[f"{name}/ceiling"] = clustered_rate(right, scene.table["label"].to_numpy())

    def _add_shuffled(self, scene: Scene, name: str, folders: dict[str, RunFolder], found: Findings) -> None:
        hits = []
        for shuffle in range(SHUFFLES):
            data = _ready(scene, folders, grey_hidden=self.grey_hidden, shuffle=shuffle)
            hits.append(names_right(attempt(scene, data).recognizer, data, scene.table))
        labels = np.tile(scene.table["label"].to_numpy(), SHUFFLES)
        metric, report = chance_metric(np.concatenate(hits), labels, 1 / len(scene.identities))
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


def _ready(scene: Scene, folders: dict[str, RunFolder], **keys: Any) -> AnonymizedFaces:
    assert scene.data is not None  # noqa: S101  `own_pictures` has refused a scene without data
    data = AnonymizedFaces(scene.data, folders, **keys)
    data.setup()
    return data
