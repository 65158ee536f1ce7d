"""Further pairs of a tool, which attackers learn from in place of an anonymiser that they could ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from jaxtyping import UInt8

from privacy_exp.data.base import FaceData
from privacy_exp.data.files import examine_image, read_image
from privacy_exp.data.identity_split import PARTS, Split, by_identity, seeded_order
from privacy_exp.data.photo import Examined, Photo
from privacy_exp.evaluation.measure import Measure
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import UserError

HELD_BACK = 0.2
"""Share of a person's training pairs that are for validation."""

NO_PAIRS = (
    "it learns from anonymised photos, and a folder of finished pictures has none: give train_originals=DIR "
    "train_anonymized=DIR"
)
NO_TARGET = (
    "it asks a recogniser of the people, and none was chosen: give recognition=NAME, which is fitted to train_originals"
)


LEARNERS = (
    "gallery",
    "parrot",
    "mask_aware",
    "parrot_open",
    "several_photos",
    "linkage",
    "reconstruction",
    "whole_frame",
)
"""Attackers that a reader may miss where there is nothing to learn from."""


@dataclass(frozen=True)
class Learnt:
    """What attackers may learn from.

    Attributes:
        originals: folder of pictures of the same people, other photos than those that are scored.
        anonymized: folder of what the tool made of them.
        recognizer: is fitted to these originals as the target, which parrots repeat; None: nobody to repeat.
        recipe: how; None takes the recogniser's own.
    """

    originals: str | Path
    anonymized: str | Path
    recognizer: Recognizer | None = None
    recipe: FitRecipe | None = None


@final
class PairedFaces(FaceData):
    """Originals of run folders as a data set: training and validation pairs, and the scored ones as "test".

    Args:
        folders: part to a folder with `original`.
        people: image id to who is on it.
    """

    made_of_checked_photos: ClassVar[bool] = True

    def __init__(self, folders: Mapping[str, RunFolder], people: Mapping[str, str]) -> None:
        super().__init__(min_images_per_identity=1)
        self._people = dict(people)
        self._files = {part: {i: f for i, (f, _) in folders[part].list("original").items()} for part in folders}
        self._paths = {i: path for own in self._files.values() for i, path in own.items()}

    def index(self) -> list[Photo]:
        """All pairs of all parts."""
        return [Photo(i, self._people[i]) for i in self._paths]

    def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
        """The original."""
        return read_image(self._paths[photo.id])

    def examine(self, photo: Photo) -> Examined:
        """Hash and size of the original's file."""
        return examine_image(self._paths[photo.id])

    def _choose(self, photos: list[Photo]) -> Split:
        own = {part: [p for p in photos if p.id in self._files.get(part, ())] for part in PARTS}
        return Split({part: self._readable(own[part]) for part in PARTS}, sorted(set(self._people.values())), [])


def parts_of(people: Mapping[str, str]) -> dict[str, list[str]]:
    """Ids of training pairs, and of those of each person that are held back for validation.

    Args:
        people: image id to who is on it.

    Example:
        >>> {part: len(ids) for part, ids in parts_of({str(i): "ann" for i in range(10)}).items()}
        {'train': 8, 'val': 2}
    """
    found: dict[str, list[str]] = {"train": [], "val": []}
    for own in by_identity(Photo(i, who) for i, who in people.items()).values():
        order = seeded_order([photo.id for photo in own], 0, "held back")
        count = int(HELD_BACK * len(order))
        found["val"] += order[:count]
        found["train"] += order[count:]
    return found


def askable(measures: Mapping[str, Measure], learnt: Learnt | None) -> tuple[dict[str, Measure], dict[str, str]]:
    """Measures that can look at pairs, and why each other one cannot.

    Args:
        measures: by group and name.
        learnt: what attackers may learn from, if there is anything.

    Raises:
        UserError: only attackers were chosen that cannot be asked.
    """
    lacking = {}
    for name, measure in measures.items():
        if name.startswith("attacker/") and measure.needs_data:
            if learnt is None:
                lacking[name] = NO_PAIRS
            elif learnt.recognizer is None and measure.needs_target:
                lacking[name] = NO_TARGET
    if len(lacking) == len(measures):
        name, reason = next(iter(lacking.items()))
        raise UserError(f"{name} cannot be asked: {reason}.")
    return {name: measure for name, measure in measures.items() if name not in lacking}, lacking
