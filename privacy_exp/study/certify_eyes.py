"""What one judge, and attackers before it, see of a certificate's people."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from privacy_exp.cache.sources import sources
from privacy_exp.data.photo import Photo
from privacy_exp.evaluation.certifying import View
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.evaluation.measure import Scene
from privacy_exp.evaluation.verification import thresholds
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.calibrating import table_of
from privacy_exp.study.certify_attackers import Aside, linked, washed
from privacy_exp.study.pairs import NoRecognizer
from privacy_exp.study.question import Question
from privacy_exp.study.study import Study
from privacy_exp.types import UserError

BATCH = 16
"""Photos at a time."""


@dataclass(frozen=True)
class People:
    """Who calibrates, and who sets thresholds or is told from them; photos in the order of ids."""

    calibrating: list[Photo]
    aside: list[Photo]


class Eyes:
    """One judge: what it sees of the originals, and where its threshold is from."""

    def __init__(
        self, name: str, judge: Judge, study: Study, people: People, question: Question, teaching: Aside | None
    ) -> None:
        self.question, self.teaching = question, teaching
        self.judge, self.study, self.warnings = judge, study, list[str]()
        folder = _originals(study, people)
        self.scene = _scene(study, people, folder)
        judge.fit(self.scene)
        files = {i: path for i, (path, _) in folder.list("original").items()}
        self.originals, aside = (
            judge.viewer.files(self.scene, [files[photo.id] for photo in photos]).vectors if photos else None
            for photos in (people.calibrating, people.aside)
        )
        self.aside = {} if aside is None else dict(zip((p.id for p in people.aside), aside, strict=True))
        usable = None if aside is None else aside[np.isfinite(aside).all(axis=1)]
        self.distractors = usable if question.by == "rank_1" else None
        self.threshold, where = question.threshold.get(name), "given"
        if question.by == "verification" and self.threshold is None:
            assert aside is not None and usable is not None  # noqa: S101, PT018  `_check` has refused it
            owners = np.array([str(p.identity) for p in people.aside])[np.isfinite(aside).all(axis=1)]
            found = thresholds(usable, owners, [question.far])[0]
            if found.value is None:
                raise UserError(
                    f"`judge` {name} has no threshold at a false accept rate of {question.far:g}: the people set aside "
                    f"give {found.reason}. Raise `aside` or `far`, or give `threshold.{name}`, measured on others."
                )
            self.threshold, where = found.value, f"{len(set(owners))} people set aside, {found.pairs} pairs"
            if found.few_people:
                self.warnings.append(
                    f"{name}: few pairs of people decide its threshold; others would put it elsewhere."
                )
        self.told: dict[str, Any] = {
            "by": question.by,
            "threshold": self.threshold if question.by == "verification" else None,
            "from": where if question.by == "verification" else f"{0 if usable is None else len(usable)} distractors",
            "embedder": judge.viewer.embedder.fields(),
        }

    def views(self, folder: RunFolder, lesson: RunFolder | None, who: np.ndarray, groups: np.ndarray) -> Iterator[View]:
        """What it sees of one painting, and what it sees behind each attacker."""
        plain = self._view(folder, who, groups)
        yield plain
        if "purification" in self.question.attackers:
            yield from washed(self.judge, plain, folder, self.study.seed)
        if lesson is not None and self.teaching is not None:
            listing = lesson.list("results")
            paths = [listing[photo.id][0] for photo in self.teaching.teachers]
            taught = self.judge.viewer.files(self.scene, paths).vectors
            yield linked(plain, self.teaching, taught, self.aside, self.question, self.study.seed)

    def _view(self, folder: RunFolder, who: np.ndarray, groups: np.ndarray) -> View:
        assert self.originals is not None  # noqa: S101  there are calibrating people
        paths = [path for path, _ in folder.list("results").values()]
        probes = self.judge.viewer.files(self.scene, paths).vectors
        threshold = None if self.distractors is not None else self.threshold
        return View(probes, self.originals, who, groups, threshold, self.distractors)


def _scene(study: Study, people: People, folder: RunFolder) -> Scene:
    names = sorted({str(photo.identity) for photo in people.calibrating})
    table = table_of(people.calibrating)
    return Scene(folder, table, names, NoRecognizer(), study.store, study.seed, study.device, study.data)


def _originals(study: Study, people: People) -> RunFolder:
    """All photos as a run saves them, so that originals and results share a format."""
    fields = {"data": study.data.digest(), "reader": sources(type(study.data)), "code": sources(RunFolder.__module__)}

    def compute(folder: Path) -> None:
        photos = sorted([*people.calibrating, *people.aside], key=lambda photo: photo.id)
        for start in range(0, len(photos), BATCH):
            faces = study.data.faces(photos[start : start + BATCH])
            RunFolder(folder, "jpg").save("original", faces.ids, None, faces.images)

    return RunFolder(study.store.fetch("originals", fields, compute)[0])
