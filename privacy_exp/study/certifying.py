"""Paints the photos of calibrating people at each ratio, and asks every observer whom it still recognises."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from privacy_exp.cache.configured import description
from privacy_exp.cache.keys import file_digest, scientific
from privacy_exp.cache.sources import sources
from privacy_exp.data.base import FaceData
from privacy_exp.data.identity_split import PARTS, by_identity, groups_of, seeded_order
from privacy_exp.data.photo import Photo
from privacy_exp.evaluation.certifying import FEWEST, View, lines, losses_of, recognised
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.evaluation.measure import Scene
from privacy_exp.evaluation.verification import thresholds
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.domain import check_domain
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.checkpoint import checkpoint_file, checkpoint_identities, load_checkpoint
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.run import load_run
from privacy_exp.study.asked import named, stem_of
from privacy_exp.study.calibrating import groups_by_photo, members_of, table_of
from privacy_exp.study.certificate import Certificate
from privacy_exp.study.implied import implied
from privacy_exp.study.pairs import NoRecognizer
from privacy_exp.study.question import Question
from privacy_exp.study.stages import anonymize
from privacy_exp.study.stems import part
from privacy_exp.study.study import Measures, Part, Study
from privacy_exp.types import UserError

log = logging.getLogger(__name__)

BATCH = 16

Rows = dict[tuple[str, str | None], dict[float | None, np.ndarray]]
"""Method and group of people to ratio to losses."""


@dataclass(frozen=True)
class People:
    """Who calibrates, and who sets thresholds or is told from them; photos in the order of ids."""

    calibrating: list[Photo]
    aside: list[Photo]


def certify(
    study: Study, masking: "Part | Sequence[Part]", inpainting: "Part", judges: "Measures", question: Question
) -> Certificate:
    """The smallest ratio at which at most α of people are recognised; see `Study.certify`.

    Raises:
        UserError: input from which nothing could be certified.
    """
    inpainter = part("inpainting", inpainting)
    asked = [masking] if isinstance(masking, str) or not isinstance(masking, Sequence) else list(masking)
    methods = {stem_of(m, m): implied(part("masking", m), inpainter) for m in asked}
    observers = {name: _judge(name, judge) for name, judge in named("judge", judges).items()}
    check_domain(inpainter, study.data.domain)
    _check(study, methods, inpainter, observers, question)
    people = _people(study.data, question, study.seed)
    steered = inpainter.asks_recognizer or not all(m.blind for m in methods.values())
    _check_chosen(study, steered, question, {str(photo.identity) for photo in people.calibrating})
    members = members_of(people.calibrating, question.groups)
    table = table_of(people.calibrating)
    who, groups = table["identity"].to_numpy(str), groups_by_photo(people.calibrating)
    eyes = {name: _Eyes(name, judge, study, people, question) for name, judge in observers.items()}
    losses: dict[str, dict[float | None, dict[str, float]]] = {}
    for name, masker in methods.items():
        for ratio in [None] if isinstance(masker, OwnArea) else sorted(question.ratios, reverse=True):
            folder = _painted(study, people, masker, inpainter, ratio)
            hits = [recognised(eye.view(folder, who, groups)) for eye in eyes.values()]
            losses.setdefault(name, {})[ratio] = losses_of(hits, who)
            log.info("%s at %s: %.1f %%", name, ratio, 100 * np.mean(list(losses[name][ratio].values())))
    rows: Rows = {(name, None): {r: np.array([*own.values()]) for r, own in at.items()} for name, at in losses.items()}
    by_group: Rows = {
        (name, group): {r: np.array([own[u] for u in own if u in own_people]) for r, own in at.items()}
        for name, at in losses.items()
        for group, own_people in members.items()
    }
    left_out = sorted({str(photo.identity) for photo in people.calibrating} - set(next(iter(losses[name].values()))))
    warnings = [note for eye in eyes.values() for note in eye.warnings] + list(study.data.doubts)
    if left_out:
        warnings.append(f"{len(left_out)} people without two photos of different groups took no part.")
    return Certificate(
        question,
        lines(rows, question.alpha, question.delta),
        lines(by_group, question.alpha, question.delta) if by_group else [],
        {name: eye.told for name, eye in eyes.items()},
        description(inpainter) | {"keys": inpainter.keys()},
        {name: description(masker) for name, masker in methods.items()},
        {name: {"own area" if r is None else f"{r:g}": own for r, own in at.items()} for name, at in losses.items()},
        {
            "data_digest": study.data.digest(),
            "seed": study.seed,
            "people_calibrating": len(next(iter(losses[name].values()))),
            "people_aside": len({photo.identity for photo in people.aside}),
        },
        warnings,
    )


class _Eyes:
    """One judge: what it sees of the originals, and where its threshold is from."""

    def __init__(self, name: str, judge: Judge, study: Study, people: People, question: Question) -> None:
        self.judge, self.study, self.warnings = judge, study, list[str]()
        folder = _originals(study, people)
        self.scene = _scene(study, people, folder)
        judge.fit(self.scene)
        files = {i: path for i, (path, _) in folder.list("original").items()}
        self.originals, aside = (
            judge.viewer.files(self.scene, [files[photo.id] for photo in photos]).vectors if photos else None
            for photos in (people.calibrating, people.aside)
        )
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

    def view(self, folder: RunFolder, who: np.ndarray, groups: np.ndarray) -> View:
        """What it sees of one painting."""
        assert self.originals is not None  # noqa: S101  there are calibrating people
        paths = [path for path, _ in folder.list("results").values()]
        probes = self.judge.viewer.files(self.scene, paths).vectors
        threshold = None if self.distractors is not None else self.threshold
        return View(probes, self.originals, who, groups, threshold, self.distractors)


def _judge(name: str, judge: Any) -> Judge:
    if not isinstance(judge, Judge) or judge.viewer.embedder.parts_seen:
        raise UserError(
            f"`judge` must be observers whom nobody of the data has taught, but {name} learns from the data's people: "
            "take one that comes trained, such as judge=[onnx] or judge=[dlib]."
        )
    return judge


def _check(
    study: Study, methods: Mapping[str, Any], inpainter: Any, observers: Mapping[str, Judge], question: Question
) -> None:
    """Refuses what could certify nothing, before anything is painted."""
    if not methods or not all(isinstance(m, Masker | OwnArea) for m in methods.values()):
        raise UserError(f"`masking` must be masking methods or stems of their yamls, but got {list(methods.values())}.")
    if not isinstance(inpainter, Inpainter):
        raise UserError(f"`inpainting` must be an inpainter or the stem of its yaml, but got {inpainter!r}.")
    if not observers:
        raise UserError("`judge` must name at least one observer, such as judge=[onnx]: nobody recognises nobody.")
    if odd := sorted(set(question.threshold) - set(observers)):
        raise UserError(f"`threshold.{odd[0]}` is of no chosen judge; they are {', '.join(observers)}.")
    if not study.data.identities:
        raise UserError("`data.labelled=false` leaves nobody to recognise: a certificate counts people.")
    learns = type(inpainter).fit is not Inpainter.fit or any(type(m).fit is not _NOTHING for m in methods.values())
    if question.aside == 0 and (learns or (question.by == "verification" and set(observers) - set(question.threshold))):
        raise UserError(
            "`aside` must be above 0: thresholds and methods that learn need people who do not calibrate; or give "
            "`threshold` for every judge, measured on other people."
        )
    for name, masker in methods.items():
        if not masker.blind and study.checkpoint is None:
            raise UserError(
                f"`masking` {name} explains a recogniser: give one that was trained on other people with "
                "recognition.checkpoint=RUN_OR_FILE, or take a method that needs none, such as face_oval."
            )


_NOTHING = Masker.fit


def _check_chosen(study: Study, steered: bool, question: Question, calibrating: set[str]) -> None:
    """Refuses people who calibrate what they have taught or chosen."""
    taught: dict[str, set[str]] = {}
    if study.checkpoint is not None and steered:
        taught["trained the recogniser that steers masks or noise"] = set(checkpoint_identities(study.checkpoint) or ())
    for run in question.chosen_with:
        taught[f"chose the method ({run})"] = set(load_run(Path(run)).table["identity"].astype(str))
    for what, people in taught.items():
        if both := sorted(people & calibrating):
            raise UserError(
                f"people who calibrate may not be those who {what}, but {len(both)} are, such as {both[0]!r}: a "
                "certificate would be of people whom the method knows. Take other people."
            )


def _people(data: FaceData, question: Question, seed: int) -> People:
    order = seeded_order(data.identities, seed, "set aside")
    aside = set(order[: round(question.aside * len(order))])
    photos = sorted((photo for name in PARTS for photo in data.photos[name]), key=lambda photo: photo.id)
    people = People([p for p in photos if p.identity not in aside], [p for p in photos if p.identity in aside])
    able = [own for own in by_identity(people.calibrating).values() if len(groups_of(own)) > 1]
    if len(able) < FEWEST:
        raise UserError(
            f"a certificate needs at least {FEWEST} people with two photos that are not of one group, but {len(able)} "
            f"of {len(order)} are left to calibrate. Take more people, or lower `aside`."
        )
    return people


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


def _painted(
    study: Study, people: People, masker: Masker | OwnArea, inpainter: Inpainter, ratio: float | None
) -> RunFolder:
    """The calibrating people's photos, painted once for every certificate and observer."""
    recognizer: Recognizer | None = None
    checkpoint = None if masker.blind and not inpainter.asks_recognizer else study.checkpoint
    parts = {"masking": scientific(description(masker)), "inpainting": scientific(description(inpainter))}
    fields = parts | {
        "keys": inpainter.keys(),
        "masking_keys": masker.keys(),
        "mask_ratio": ratio,
        "seed": study.seed,
        "data": study.data.digest(),
        "photos": [photo.id for photo in people.calibrating],
        "recognizer": None if checkpoint is None else file_digest(checkpoint_file(checkpoint)),
        "target_layer": study.target_layer,
        "code": [sources("privacy_exp.study.stages"), sources(type(study.data))],
    }
    if checkpoint is not None:
        recognizer = load_checkpoint(checkpoint)
        recognizer.meet_frames(*study.data.image_size, study.data.known_template())
        recognizer.choose_target_layer(study.target_layer)
        recognizer.to(study.device)

    def batches(photos: Sequence[Photo]) -> Any:
        return (study.data.faces(photos[i : i + BATCH]) for i in range(0, len(photos), BATCH))

    def compute(folder: Path) -> None:
        inpainter.fit(batches(people.aside))
        masker.fit(batches(people.aside), recognizer)
        unknown = (faces._replace(labels=None) for faces in batches(people.calibrating))
        target = RunFolder(folder, "jpg")
        total = len(people.calibrating)
        anonymize(unknown, total, recognizer, masker, inpainter, ratio or 0.0, study.seed, target, control=False)

    return RunFolder(study.store.fetch("certified", fields, compute, resumable=True)[0])
