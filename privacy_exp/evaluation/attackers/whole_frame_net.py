"""A9, learnt: a small network that sees the whole frame, trained on anonymised photos of the same people."""

from typing import Any, final

import numpy as np
from jaxtyping import Bool

from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.attackers.anonymized_faces import AnonymizedFaces
from privacy_exp.evaluation.attackers.closed_set import SHUFFLES, add_ceiling, add_shuffled, findings, names_right
from privacy_exp.evaluation.attackers.pictures import (
    check_photos,
    check_seed,
    lacks,
    nothing_found,
    own_cost,
    own_pictures,
)
from privacy_exp.evaluation.measure import Cost, Findings, Fits, Measure, Scene
from privacy_exp.recognition.frame_net import FrameNet
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import UserError

Array = np.ndarray


@final
class WholeFrameNet(Measure):
    """Trains a small network from random weights on whole anonymised frames of the same people; mirrors, shifts.

    It shares neither crop nor weights with the target. The epoch is chosen on the attacker's validation photos.

    Args:
        image_size: side in pixels of the square that the frame is squeezed into; at least 16.
        max_epochs: length of the one-cycle schedule.
        seed: of the attacker's masks and noise, added to the run's; at least 1.
        ceiling: also train on the originals and look at them: the most that the attacker can recover.
        shuffled_labels: also train on shuffled labels, five times: what it recovers where nothing can be learnt.

    Raises:
        UserError: a value out of range.

    Example:
        >>> WholeFrameNet(max_epochs=10).recipe.max_epochs
        10
    """

    def __init__(
        self,
        image_size: int = 48,
        max_epochs: int = 30,
        seed: int = 1,
        ceiling: bool = False,
        shuffled_labels: bool = False,
    ) -> None:
        if max_epochs < 1:
            raise UserError(f"`max_epochs` must be at least 1, but got {max_epochs}.")
        self.net = FrameNet(image_size)
        self.recipe = FitRecipe(**{**FrameNet.recipe.arguments, "max_epochs": max_epochs})
        self.seed = check_seed(seed)
        self.ceiling = ceiling
        self.shuffled_labels = shuffled_labels

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo."""
        check_photos(data)

    def cost(self, data: FaceData, recognizer_frozen: bool, seed: int) -> Cost:
        """One fit of its own network, one more for a ceiling, five for shuffled labels."""
        del recognizer_frozen
        count = 1 + self.ceiling + SHUFFLES * self.shuffled_labels
        return own_cost(data, seed + self.seed, Fits(count, net=self.net, recipe=self.recipe))

    def measure(self, scene: Scene, name: str) -> Findings:
        """Recovered accuracy and share; the ceiling's and the shuffled labels' accuracy where they were asked for."""
        if reason := lacks(scene, painted=True):
            return nothing_found(scene, name, reason)
        folders = own_pictures(scene, name, self.seed)
        found = findings(scene, name, self._look(scene, folders))
        if self.ceiling:
            add_ceiling(scene, name, found, self._look(scene, folders, kind="original"))
        if self.shuffled_labels:
            add_shuffled(scene, name, found, lambda shuffle: self._look(scene, folders, shuffle=shuffle))
        return found

    def _look(self, scene: Scene, folders: dict[str, RunFolder], **keys: Any) -> Bool[Array, " n"]:
        assert scene.data is not None  # noqa: S101  `own_pictures` has refused a scene without data
        assert scene.fit is not None  # noqa: S101  a scene that can anonymise can fit
        data = AnonymizedFaces(scene.data, folders, **keys)
        data.setup()
        return names_right(scene.fit(data, None, self.net, self.recipe), data, scene.table)
