"""A2 and A5: learns to name the run's people from anonymised pictures of them."""

from typing import Any, final

import numpy as np
from jaxtyping import Bool

from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.attackers.anonymized_faces import AnonymizedFaces
from privacy_exp.evaluation.attackers.closed_set import (
    SHUFFLES,
    add_ceiling,
    add_shuffled,
    attempt,
    attempts,
    findings,
    fits_of_attempts,
    names_right,
)
from privacy_exp.evaluation.attackers.effort import EFFORTS, check_effort
from privacy_exp.evaluation.attackers.pictures import check_photos, check_seed, own_cost, own_pictures
from privacy_exp.evaluation.measure import Cost, Findings, Fits, Measure, Scene
from privacy_exp.runs.folder import RunFolder

Array = np.ndarray


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
        effort: "quick" takes the target's own budget, "default" and "strong" 3 and 10 times its epochs.

    Reference: Newton et al., Preserving Privacy by De-identifying Face Images, 2005 (parrot recognition).
    """

    def __init__(
        self,
        grey_hidden: bool = False,
        seed: int = 1,
        ceiling: bool = False,
        shuffled_labels: bool = False,
        effort: str = "quick",
    ) -> None:
        self.grey_hidden = grey_hidden
        self.seed = check_seed(seed)
        self.ceiling = ceiling
        self.shuffled_labels = shuffled_labels
        self.times = EFFORTS[check_effort(effort)]

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo."""
        check_photos(data)

    def cost(self, data: FaceData, recognizer_frozen: bool, seed: int) -> Cost:
        """One fit, two with a frozen trunk; the same again for a ceiling, five for shuffled labels."""
        own = fits_of_attempts(data, recognizer_frozen, self.times) * (1 + self.ceiling)
        return own_cost(data, seed + self.seed, *own, *[Fits(SHUFFLES * self.times)] * self.shuffled_labels)

    def measure(self, scene: Scene, name: str) -> Findings:
        """Recovered accuracy and share; the ceiling's and the shuffled labels' accuracy where they were asked for."""
        folders = own_pictures(scene, name, self.seed)
        data = _ready(scene, folders, grey_hidden=self.grey_hidden)
        tries = attempts(scene, data, self.times)
        found = findings(scene, name, names_right(tries[0].recognizer, data, scene.table))
        found.details["fits"] = [{"freeze": t.freeze, "val_accuracy": t.val_accuracy} for t in tries]
        if scene.config.get("recognition", {}).get("checkpoint") is not None:
            found.warnings.append(
                f"{name}: the target came from a checkpoint, so the attacker was fitted as recognition.module says, "
                "which may not be the budget that the target had."
            )
        if self.ceiling:
            data = _ready(scene, folders, kind="original")
            add_ceiling(
                scene, name, found, names_right(attempts(scene, data, self.times)[0].recognizer, data, scene.table)
            )
        if self.shuffled_labels:
            add_shuffled(scene, name, found, lambda shuffle: self._shuffled(scene, folders, shuffle))
        return found

    def _shuffled(self, scene: Scene, folders: dict[str, RunFolder], shuffle: int) -> Bool[Array, " n"]:
        data = _ready(scene, folders, grey_hidden=self.grey_hidden, shuffle=shuffle)
        return names_right(attempt(scene, data, times=self.times).recognizer, data, scene.table)


def _ready(scene: Scene, folders: dict[str, RunFolder], **keys: Any) -> AnonymizedFaces:
    assert scene.data is not None  # noqa: S101  `own_pictures` has refused a scene without data
    data = AnonymizedFaces(scene.data, folders, **keys)
    data.setup()
    return data
