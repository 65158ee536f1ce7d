"""What a mask, a picture and everything else of a run take, measured on a few photos."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from privacy_exp.cache.keys import content_key
from privacy_exp.cache.store import Store
from privacy_exp.inpainting.controls import MeanFill
from privacy_exp.masking.base import OwnArea
from privacy_exp.masking.center import Center
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.fit import CHECKPOINT, save_checkpoint
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.implied import implied
from privacy_exp.study.job import Job
from privacy_exp.study.stages import anonymize
from privacy_exp.tracking.stages import NOBODY, watched
from privacy_exp.types import Faces

SAMPLE = 8
"""Images that are masked, painted and scored to measure the pace."""

FEWER = 2
"""Images of a second, smaller run: the two tell what a photo takes from what every run takes."""

_known: dict[str, Any] = {}  # what this process has measured, by all that decides it


@dataclass(frozen=True)
class Rest:
    """Seconds of a run besides masks and painting: for each photo, whatever their number, and for the first run."""

    photo: float
    fixed: float
    first: float


def once(name: str, fields: Mapping[str, Any], measure: Callable[[], Any]) -> Any:
    """What was measured before under the same conditions, or is measured now."""
    key = content_key({"name": name, **fields})
    if key not in _known:
        _known[key] = measure()
    return _known[key]


def conditions(job: Job) -> dict[str, Any]:
    """What every pace depends on."""
    return {"data": job.data.digest(), "device": str(job.study.device), "recognition": job.config.get("recognition")}


def painter_of(job: Job) -> dict[str, Any]:
    """The configuration of a painter as far as its pace goes: of guidance matters only whether there is any."""
    config = dict(job.config["inpainting"])
    scale = config.get("guidance_scale")
    live = isinstance(scale, int | float) and scale > 1
    return config | {"guidance_scale": live, "guidance": job.inpainter.guidance if live else "off"}


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


def masking(job: Job) -> tuple[float, float]:
    """Seconds of a mask, and of one whose scores the cache has."""

    def measure() -> tuple[float, float]:
        faces, recognizer = _sample(job)
        masker, faces = job.masker, faces.to(job.study.device)
        masker.fit(job.data.batches("train"), recognizer)
        area: dict[str, Any] = {} if isinstance(masker, OwnArea) else {"mask_ratio": job.mask_ratio or 0.0}
        masker.mask(Faces.__getitem__(faces, [0]), recognizer, seed=job.seed, **area)  # warms up
        started = time.perf_counter()
        scores = None if masker.blind else masker.rank(faces, recognizer, job.seed)
        scored = time.perf_counter()
        masker.mask(faces, recognizer, seed=job.seed, scores=scores, **area)
        ended = time.perf_counter()
        return (ended - started) / len(faces.ids), (ended - scored) / len(faces.ids)

    ratio = job.mask_ratio if not isinstance(job.masker, OwnArea) else None
    found: tuple[float, float] = once(
        "mask", conditions(job) | {"masking": job.config["masking"], "region": ratio == 0}, measure
    )
    return found


def painting(job: Job) -> tuple[float, float, float]:
    """Seconds of a picture, painted and saved; of what its control needs, once; and bytes. Over one small batch."""

    def measure() -> tuple[float, float, float]:
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
        faces = faces.to(job.study.device)
        masks = Center().mask(faces, recognizer, mask_ratio=0.25, seed=job.seed)
        started = time.perf_counter()
        job.inpainter.round_trip(faces, masks)
        trip = (time.perf_counter() - started) / len(faces.ids)
        return max(pace - trip, 0.0), trip, size

    fields = {"painter": painter_of(job), "format": job.config["image_format"]}
    found: tuple[float, float, float] = once("paint", conditions(job) | fields, measure)
    return found


def rest_of(job: Job) -> Rest:
    """What a run does besides: claim and keep its files, load the recogniser, score, resample people, tell trackers.

    Three whole runs with cheap masks and a cheap painter: the first one also loads what all others find loaded.
    Attackers are counted apart.
    """

    def measure() -> Rest:
        _, recognizer = _sample(job)
        with tempfile.TemporaryDirectory() as name, watched(NOBODY), _silence():
            save_checkpoint(Path(name) / CHECKPOINT, recognizer, job.data.identities)
            cold, full, small = (_seconds(_small(job, Path(name), count)) for count in (FEWER, SAMPLE, FEWER))
        photo = max(full - small, 0.0) / (SAMPLE - FEWER)
        return Rest(photo, max(small - FEWER * photo, 0.0), max(cold - small, 0.0))

    fields = {"measures": sorted(job.measures), "evaluation": job.config["evaluation"]}
    found: Rest = once("rest", conditions(job) | fields, measure)
    return found


def _small(job: Job, folder: Path, count: int) -> Job:
    """The same run over a few photos, in a cache of its own, with a checkpoint that stands in for the fitted one."""
    data, study, tracking = copy(job.data), copy(job.study), copy(job.tracking)
    data.photos = {**data.photos, "test": data.photos["test"][:count]}
    study.data, study.store, study._fitted = data, Store(folder / "cache"), None
    study.checkpoint = str(folder / CHECKPOINT)
    if getattr(tracking, "mode", None) == "online":
        vars(tracking)["mode"] = "offline"
    measures = {name: measure for name, measure in job.measures.items() if not name.startswith("attacker/")}
    place = replace(job.place, folder=Path(tempfile.mkdtemp(dir=folder)), tracking=tracking, rerun=True)
    return Job(study, Center(), MeanFill(), measures, job.config, place)


def _seconds(job: Job) -> float:
    started = time.perf_counter()
    job.compute()
    return time.perf_counter() - started


@contextmanager
def _silence() -> Iterator[None]:
    """What a run that only measures would say is of no use to anybody."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
