"""A9: looks at the whole frame, as no recogniser of faces does: hair, ears, clothes and background identify as well."""

from typing import Any, final

import numpy as np
from jaxtyping import Bool

from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.attackers.anonymized_faces import AnonymizedFaces
from privacy_exp.evaluation.attackers.closed_set import add_ceiling, add_shuffled, findings
from privacy_exp.evaluation.attackers.frame_pixels import Classifier, fit_classifier, pixels_of
from privacy_exp.evaluation.attackers.pictures import (
    LEARNT_FROM,
    check_photos,
    check_seed,
    lacks,
    nothing_found,
    originals,
    own_cost,
    own_pictures,
)
from privacy_exp.evaluation.measure import Cost, Findings, Measure, Scene
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import UserError

Array = np.ndarray

LEARNS_FROM = ("anonymized", "originals")


@final
class WholeFrame(Measure):
    """Names people by the pixels of the whole frame: principal components, then linear discriminants; seconds on a CPU.

    Every other observer looks through the crop of a face recogniser. This one learns from whole frames of the same
    people's training photos. Size and shrinkage are chosen on the validation photos, which it learns from as well.

    Args:
        learns_from: "anonymized": further photos that went through the anonymiser (as `parrot`); "originals": photos as
            they are, which costs no pictures. Without training photos of two people the latter finds nothing.
        seed: of the attacker's masks and noise, added to the run's; at least 1. It has no part in "originals".
        ceiling: also learn from originals and look at them: the most that the attacker can recover.
        shuffled_labels: also learn shuffled labels, five times: what it recovers where nothing can be learnt.

    Raises:
        UserError: a value out of range.

    Example:
        >>> WholeFrame(learns_from="originals").learns_from
        'originals'

    Reference: Belhumeur et al., Eigenfaces vs. Fisherfaces, 1997.
    """

    def __init__(
        self,
        learns_from: str = "anonymized",
        seed: int = 1,
        ceiling: bool = False,
        shuffled_labels: bool = False,
    ) -> None:
        if learns_from not in LEARNS_FROM:
            raise UserError(f"`learns_from` must be one of {', '.join(LEARNS_FROM)}, but got {learns_from!r}.")
        self.learns_from = learns_from
        self.seed = check_seed(seed)
        self.ceiling = ceiling
        self.shuffled_labels = shuffled_labels

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo where it learns from anonymised ones."""
        if self.learns_from == "anonymized":
            check_photos(data)

    def cost(self, data: FaceData, recognizer_frozen: bool, seed: int) -> Cost:
        """Anonymised training and validation photos, none for "originals"; its own fit takes seconds."""
        del recognizer_frozen
        return own_cost(data, seed + self.seed) if self.learns_from == "anonymized" else Cost()

    def measure(self, scene: Scene, name: str) -> Findings:
        """Recovered accuracy and share; the ceiling's and the shuffled labels' accuracy where they were asked for."""
        reason = lacks(scene, painted=self.learns_from == "anonymized")
        if reason is None and self.learns_from == "originals" and scene.data is not None:
            people = {photo.identity for photo in scene.data.photos["train"]}
            if len(people) < 2:
                reason = f"{len(people)} people have training photos to learn from, 2 needed"
        if reason is not None:
            return nothing_found(scene, name, reason)
        folders, kind = self._folders(scene, name)
        right, learnt = _look(scene, folders, kind, "results")
        found = findings(scene, name, right)
        chosen = {"side": learnt.side, "shrinkage": learnt.shrinkage, "val_accuracy": learnt.val_accuracy}
        found.details |= {"learns_from": self.learns_from, **chosen}
        if self.ceiling:
            add_ceiling(scene, name, found, _look(scene, folders, "original", "original")[0])
        if self.shuffled_labels:
            add_shuffled(scene, name, found, lambda shuffle: _look(scene, folders, kind, "results", shuffle=shuffle)[0])
        return found

    def _folders(self, scene: Scene, name: str) -> tuple[dict[str, RunFolder], str]:
        """What is learnt from, by part, and which kind of its pictures."""
        if self.learns_from == "anonymized":
            made = own_pictures(scene, name, self.seed)
            return {part: made[part] for part in LEARNT_FROM if part in made}, "results"
        parts = [part for part in LEARNT_FROM if scene.data is None or scene.data.photos[part]]
        return {part: originals(scene, name, part) for part in parts}, "original"


def _look(
    scene: Scene, folders: dict[str, RunFolder], kind: str, asked: str, **keys: Any
) -> tuple[Bool[Array, " n"], Classifier]:
    """Whether each test picture of the kind `asked` is named rightly by who learnt from `kind`, and who that was."""
    assert scene.data is not None  # noqa: S101  whoever has folders has data
    known = AnonymizedFaces(scene.data, folders, kind, **keys)
    probes = AnonymizedFaces(scene.data, {"test": scene.folder}, asked)
    known.setup()
    probes.setup()
    train, val, test = pixels_of(known, "train"), pixels_of(known, "val"), pixels_of(probes, "test")
    assert train is not None  # noqa: S101  `check` has seen to it
    assert test is not None  # noqa: S101  a run has test photos
    learnt = fit_classifier(train, val)
    names = dict(zip(test.ids, learnt.names(test).tolist(), strict=True))
    right: Bool[Array, " n"] = np.array([names[i] for i in scene.table["image_id"]]) == scene.table["label"].to_numpy()
    return right, learnt
