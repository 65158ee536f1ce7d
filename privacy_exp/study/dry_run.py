"""What a cell would cost, measured on a few images instead of guessed."""

import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from privacy_exp.cache.keys import content_key
from privacy_exp.cache.store import Store
from privacy_exp.evaluation.evaluate import evaluate
from privacy_exp.evaluation.measure import Cost
from privacy_exp.evaluation.score import score_folder
from privacy_exp.inpainting.controls import MeanFill
from privacy_exp.masking.base import OwnArea
from privacy_exp.masking.center import Center
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.fit import fit_key
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.grid import write_grid
from privacy_exp.study.fit_cost import fit_seconds, fits_of
from privacy_exp.study.implied import implied
from privacy_exp.study.job import Job
from privacy_exp.study.scene import scene_of
from privacy_exp.study.stages import Fitted, anonymize
from privacy_exp.tracking.stages import NOBODY, watched
from privacy_exp.types import Faces

log = logging.getLogger(__name__)

SAMPLE = 8
"""Images that are masked, painted and scored to measure the pace."""

_cells: list[tuple[int, float, float]] = []  # images, seconds and bytes of the cells that this process has estimated
_known: dict[str, Any] = {}  # what it has measured, by all that decides it
_fits_counted: set[Path] = set()
_in_fits: list[tuple[float, float]] = []  # how many, and the seconds of one
_finished: list[str] = []  # keys of the cells that the cache has


@dataclass(frozen=True)
class Scoring:
    """Seconds of a run's end: for each photo, and whatever their number."""

    photo: float
    fixed: float


def estimate(job: Job) -> str:
    """What all runs so far will take, in one sentence: photos, time and disk, attackers included.

    Each distinct cost is measured once: a method's masks, a painter's batch, scoring, and a batch of each kind of fit.
    What the cache has is taken off.

    Args:
        job: built, nothing run.
    """
    total, cost = len(job.data.photos["test"]), job.cost()
    mask, (paint, size), end = _masking(job), _painting(job), _scoring(job)
    further = _further_pictures(job, cost, job.store)
    fits = fits_of(job, cost.fits)
    own = _own_fit(job)
    fits += [(1.0, fit_seconds(job, job.study.recognizer, job.study.recipe))] if own is not None else []
    checkpoints = (sum(count for count, _ in fits) + _apart(job)) * _checkpoint_size(job)
    in_fits = sum(count * seconds for count, seconds in fits)
    _in_fits.extend(fits)
    seconds = total * (mask + paint + end.photo) + end.fixed + further * (mask + paint) + in_fits
    if not job.place.rerun and job.store.folder("cell", {"key": job.key()}).is_dir():
        _finished.append(job.key())
        seconds, checkpoints = 0.0, _apart(job) * _checkpoint_size(job)
    _cells.append((total, seconds, (total + further) * size + checkpoints))
    images, seconds, space = (sum(column) for column in zip(*_cells, strict=True))
    notes = [f"{_count(len(_finished), 'run')} of them finished before"] if _finished else []
    if _in_fits:
        together = sum(count * each for count, each in _in_fits)
        notes.append(f"{_count(sum(count for count, _ in _in_fits), 'fit')} of {duration(together)} in all")
    elif job.study.checkpoint is None and not _fits_counted:
        notes.append("the recogniser is in the cache")
    notes += [f"{further} further pictures for attackers"] if further else []
    told = f": {'; '.join(notes)}" if notes else ""
    return f"{_count(len(_cells), 'run')}, {images} photos: about {duration(seconds)} and {space / 1e9:.2f} GB{told}"


def duration(seconds: float) -> str:
    """In minutes, or in hours where there are many."""
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _own_fit(job: Job) -> Path | None:
    """Where the recogniser of this run will lie, where it still has to be fitted and no run before fits it."""
    study = job.study
    if study.checkpoint is not None:
        return None
    keywords = study.trainer_keywords
    fields = fit_key(job.data, study.recognizer, study.recipe, keywords, job.seed, study.init_from)
    folder = job.store.folder("recognizer", fields)
    if folder.is_dir() or folder in _fits_counted:
        return None
    _fits_counted.add(folder)
    return folder


def _once(name: str, fields: Mapping[str, Any], measure: Callable[[], Any]) -> Any:
    """What was measured before under the same conditions, or is measured now."""
    key = content_key({"name": name, **fields})
    if key not in _known:
        _known[key] = measure()
    return _known[key]


def _conditions(job: Job) -> dict[str, Any]:
    return {"data": job.data.digest(), "device": str(job.study.device), "recognition": job.config.get("recognition")}


def _painter(job: Job) -> dict[str, Any]:
    """The configuration of a painter as far as its pace goes: of guidance matters only whether there is any."""
    config = dict(job.config["inpainting"])
    scale = config.get("guidance_scale")
    live = isinstance(scale, int | float) and scale > 1
    return config | {"guidance_scale": live, "guidance": job.inpainter.guidance if live else "off"}


def _checkpoint_size(job: Job) -> int:
    """Bytes of a fitted recogniser's weights."""
    found: int = _once("weights", _conditions(job), lambda: _weights(job))
    return found


def _weights(job: Job) -> int:
    """Bytes of a fitted recogniser's weights."""
    network = job.study.recognizer.for_people(len(job.data.identities), job.data.template())
    given = [value for value in network.fitted.values() if isinstance(value, torch.Tensor)]
    return sum(value.numel() * value.element_size() for value in (*network.state_dict().values(), *given))


def _apart(job: Job) -> bool:
    """Whether run folder and cache lie on two file systems, so that a checkpoint cannot be one file in both."""
    return _device(job.folder) != _device(job.store.root)


def _device(path: Path) -> int:
    """The file system that a path lies on, or will."""
    there = next(place for place in (path, *path.resolve().parents) if place.exists())
    return there.stat().st_dev


def tell_cost(job: Job) -> None:
    """Says what a run's attackers cost, where they cost anything."""
    if (line := attack_cost(job)) is not None:
        log.info("%s", line)


def attack_cost(job: Job) -> str | None:
    """One line on what the chosen attackers cost, measured before anything starts; None where they cost nothing.

    Args:
        job: built, nothing run.
    """
    cost = job.cost()
    further = _further_pictures(job, cost)
    if not further and not cost.fits:
        return None
    pace, size = _painting(job) if further else (0.0, 0.0)
    pace += _masking(job) if further else 0.0
    fits = fits_of(job, cost.fits)
    names = ", ".join(name.rpartition("/")[2] for name in job.measures if name.startswith("attacker/"))
    minutes = (sum(count * seconds for count, seconds in fits) + further * pace) / 60
    trained = ", ".join(f"{_count(count, 'fit')} of about {seconds:.0f} s" for count, seconds in fits)
    return (
        f"attackers {names}: {trained or 'no fit'} and {further} further pictures at "
        f"{pace:.2f} s: about {minutes:.1f} minutes and {further * size / 1e6:.1f} MB, less what the store has"
    )


def _count(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _further_pictures(job: Job, cost: Cost, store: Store | None = None) -> int:
    """Pictures that attackers want besides the test photos, less those that the store has."""
    parts = [(part, seed) for part, seed in cost.pictures if store is None or not job.has_part(part, seed)]
    return sum(len(job.data.photos[part]) for part, _ in parts)


def _sample(job: Job) -> tuple[Faces, Recognizer]:
    """A few test photos, and a recogniser that stands in for the fitted one: it costs the same."""
    data = job.data
    recognizer = job.study.recognizer.for_people(len(data.identities), data.template()).to(job.study.device).eval()
    faces = data.faces(data.photos["test"][:SAMPLE])
    assert faces.labels is not None  # noqa: S101  a cell's photos have labels
    with torch.no_grad():
        features = recognizer.features(faces.images.to(job.study.device))
        recognizer.set_identity_means([(features, faces.labels.to(job.study.device))])
    return faces, recognizer


def _masking(job: Job) -> float:
    """Seconds of a mask."""

    def measure() -> float:
        faces, recognizer = _sample(job)
        masker, faces = job.masker, faces.to(job.study.device)
        masker.fit(job.data.batches("train"), recognizer)
        for few in (Faces.__getitem__(faces, [0]), faces):  # the first one warms up
            started = time.perf_counter()
            if isinstance(masker, OwnArea):
                masker.mask(few, recognizer, seed=job.seed)
            else:
                masker.mask(few, recognizer, mask_ratio=job.mask_ratio or 0.0, seed=job.seed)
        return (time.perf_counter() - started) / len(faces.ids)

    ratio = job.mask_ratio if not isinstance(job.masker, OwnArea) else None
    found: float = _once("mask", _conditions(job) | {"masking": job.config["masking"], "region": ratio == 0}, measure)
    return found


def _painting(job: Job) -> tuple[float, float]:
    """Seconds and bytes a picture: painted and saved, over one small batch, its masks left out."""

    def measure() -> tuple[float, float]:
        faces, recognizer = _sample(job)
        job.inpainter.fit(job.data.batches("train"))
        centre = implied(Center(), job.inpainter)
        for few in (Faces.__getitem__(faces, [0]), faces):  # the first one warms up
            with tempfile.TemporaryDirectory() as name:
                folder = RunFolder(name, job.config["image_format"])
                started = time.perf_counter()
                with watched(NOBODY):
                    anonymize([few], len(few.ids), recognizer, centre, job.inpainter, 0.25, job.seed, folder)
                pace = (time.perf_counter() - started) / len(few.ids)
                size = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file()) / len(few.ids)
        return pace, size

    found: tuple[float, float] = _once(
        "paint", _conditions(job) | {"painter": _painter(job), "format": job.config["image_format"]}, measure
    )
    return found


def _scoring(job: Job) -> Scoring:
    """What recognising the pictures and resampling people takes; judges and attackers aside."""

    def measure() -> Scoring:
        faces, recognizer = _sample(job)
        with tempfile.TemporaryDirectory() as name, watched(NOBODY):
            folder = RunFolder(name, job.config["image_format"])
            anonymize([faces], len(faces.ids), recognizer, Center(), MeanFill(), 0.25, job.seed, folder)
            started = time.perf_counter()
            table = score_folder(folder, recognizer, job.data.identities)
            scored = time.perf_counter()
            scene = replace(scene_of(job, table, Fitted(recognizer, Path(name), 0.0, reused=True)), folder=folder)
            measures = {n: m for n, m in job.measures.items() if n.startswith("utility/")}
            evaluate(scene, measures, float(job.config["evaluation"]["gate"]))
            write_grid(folder, Path(name) / "grid.png")
            ended = time.perf_counter()
        return Scoring((scored - started) / len(faces.ids), ended - scored)

    fields = {"measures": sorted(job.measures), "evaluation": job.config["evaluation"]}
    found: Scoring = _once("score", _conditions(job) | fields, measure)
    return found
