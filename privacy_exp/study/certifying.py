"""Paints the photos of calibrating people at each ratio, and asks every observer whom it still recognises."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from privacy_exp.cache.configured import description
from privacy_exp.cache.keys import file_digest, scientific
from privacy_exp.cache.sources import sources
from privacy_exp.data.base import FaceData
from privacy_exp.data.identity_split import PARTS, by_identity, groups_of, seeded_order
from privacy_exp.data.photo import Photo
from privacy_exp.evaluation.certifying import FEWEST, lines, losses_of, recognised
from privacy_exp.evaluation.judges.judge import Judge
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
from privacy_exp.study.certify_attackers import Aside
from privacy_exp.study.certify_eyes import BATCH, Eyes, People
from privacy_exp.study.implied import implied
from privacy_exp.study.question import Question
from privacy_exp.study.stages import anonymize
from privacy_exp.study.stems import part
from privacy_exp.study.study import Measures, Part, Study
from privacy_exp.types import UserError

log = logging.getLogger(__name__)

Rows = dict[tuple[str, str | None], dict[float | None, np.ndarray]]
"""Method and group of people to ratio to losses."""


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
    linking = "linkage" in question.attackers
    teaching = Aside.of(people.aside, people.calibrating, study.seed) if linking else None
    eyes = {name: Eyes(name, judge, study, people, question, teaching) for name, judge in observers.items()}
    losses: dict[str, dict[float | None, dict[str, float]]] = {}
    for name, masker in methods.items():
        for ratio in [None] if isinstance(masker, OwnArea) else sorted(question.ratios, reverse=True):
            folder = _painted(study, people, masker, inpainter, ratio, people.calibrating)
            lesson = None if teaching is None else _painted(study, people, masker, inpainter, ratio, teaching.teachers)
            views = (view for eye in eyes.values() for view in eye.views(folder, lesson, who, groups))
            hits = [recognised(view) for view in views]
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
        {
            name if way is None else f"{way} before {name}": eye.told
            for name, eye in eyes.items()
            for way in (None, *question.attackers)
        },
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


def _painted(
    study: Study,
    people: People,
    masker: Masker | OwnArea,
    inpainter: Inpainter,
    ratio: float | None,
    photos: Sequence[Photo],
) -> RunFolder:
    """Some people's photos, painted once for every certificate and observer."""
    recognizer: Recognizer | None = None
    checkpoint = None if masker.blind and not inpainter.asks_recognizer else study.checkpoint
    parts = {"masking": scientific(description(masker)), "inpainting": scientific(description(inpainter))}
    fields = parts | {
        "keys": inpainter.keys(),
        "masking_keys": masker.keys(),
        "mask_ratio": ratio,
        "seed": study.seed,
        "data": study.data.digest(),
        "photos": [photo.id for photo in photos],
        "recognizer": None if checkpoint is None else file_digest(checkpoint_file(checkpoint)),
        "target_layer": study.target_layer,
        "code": [sources("privacy_exp.study.stages"), sources(type(study.data))],
    }
    if checkpoint is not None:
        recognizer = load_checkpoint(checkpoint)
        recognizer.meet_frames(*study.data.image_size, study.data.known_template())
        recognizer.choose_target_layer(study.target_layer)
        recognizer.to(study.device)

    def batches(some: Sequence[Photo]) -> Any:
        return (study.data.faces(some[i : i + BATCH]) for i in range(0, len(some), BATCH))

    def compute(folder: Path) -> None:
        inpainter.fit(batches(people.aside))
        masker.fit(batches(people.aside), recognizer)
        unknown = (faces._replace(labels=None) for faces in batches(photos))
        target = RunFolder(folder, "jpg")
        anonymize(unknown, len(photos), recognizer, masker, inpainter, ratio or 0.0, study.seed, target, control=False)

    return RunFolder(study.store.fetch("certified", fields, compute, resumable=True)[0])
