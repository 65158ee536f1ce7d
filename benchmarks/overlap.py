"""Whether a painter ever waits: a cell's time against its painting, where painting leaves the processor alone.

usage: python benchmarks/run.py overlap      real photos where CELEBA_DEV and FACE_ONNX are set, else drawn ones

The stand-in painter sleeps 0.2 s a batch of 16, as long as a GPU would work, so that what masks, control, files and
threads cost beside it is all there is to see. Scores are stored before: what is timed is the second cell of a sweep.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timing import Line

from privacy_exp.data.base import FaceData
from privacy_exp.data.celeba import CelebA
from privacy_exp.data.drawn.faces import DrawnFaces
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.masking.filling import mean_of_kept
from privacy_exp.masking.saliency import Saliency
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.onnx import OnnxRecognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.recognition.resnet import SmallResNet
from privacy_exp.study import stages
from privacy_exp.study.job import Job
from privacy_exp.study.study import Study
from privacy_exp.types import Faces, Images, Masks

BATCH = 16
SECONDS = 0.2
PHOTOS = 480


class Sleeper(Inpainter):
    """Mean fill that takes its time without taking the processor's."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds

    def repaint(self, faces: Faces, masks: Masks, generators: list[torch.Generator]) -> Images:
        """Images of one colour each, later."""
        del generators
        time.sleep(self.seconds)
        return mean_of_kept(faces.images, masks).expand_as(faces.images)


def lines(rounds: int = 5, photos: int = PHOTOS) -> list[Line]:
    """The table of overlap.

    Args:
        rounds: cells that are timed each way, in turns, all of other mask ratios.
        photos: of a cell.
    """
    data, net = world(photos)
    data.setup()
    count = len(data.photos["test"])
    painting = SECONDS * -(-count // BATCH)
    ratios = (0.2 + 0.005 * number for number in range(100))
    with tempfile.TemporaryDirectory() as name:
        quiet = {"enable_progress_bar": False}
        study = Study(data, net, out=Path(name) / "out", cache=Path(name) / "store", trainer=quiet)
        timed(study, next(ratios))  # fits, and computes the scores
        beside, in_turns = [], []
        for _ in range(rounds):
            beside.append(timed(study, next(ratios)))
            with one_after_the_other():
                in_turns.append(timed(study, next(ratios)))
    about = f"{count} photos of {data.image_size[1]} × {data.image_size[0]}"
    found = []
    for way, cells, bar in (("", beside, "≤ 1.10"), ("in turns: ", in_turns, None)):
        found += [
            spread(f"{way}cell / (painting + start and scoring)", [c.all / (painting + c.rest) for c in cells], bar),
            spread(f"{way}first photo to last / painting", [c.stages / painting for c in cells], bar),
            spread(f"{way}a cell of {about}", [c.all for c in cells], unit="s"),
            spread(f"{way}its start, scoring and record", [c.rest for c in cells], unit="s"),
        ]
    return [*found, Line("painting alone", painting, unit="s")]


class Seconds(NamedTuple):
    """Of a cell: all, and between its first photo and its last."""

    all: float
    stages: float

    @property
    def rest(self) -> float:
        """Start, scoring and record."""
        return self.all - self.stages


@contextmanager
def one_after_the_other() -> Iterator[None]:
    """The stages of a cell in one thread."""

    @contextmanager
    def at_once() -> Iterator[Callable[..., None]]:
        yield lambda work, *given: work(*given)

    beside = stages.ahead, stages.behind
    stages.ahead, stages.behind = lambda items: (item for item in items), at_once  # type: ignore[assignment]
    try:
        yield
    finally:
        stages.ahead, stages.behind = beside


def timed(study: Study, mask_ratio: float, painter: Inpainter | None = None) -> Seconds:
    """A cell that the store does not have, painted by the stand-in or another."""
    spent: list[float] = []
    anonymize = Job.anonymize

    def watched(self: Job, *given: Any) -> Any:
        started = time.perf_counter()
        try:
            return anonymize(self, *given)
        finally:
            spent.append(time.perf_counter() - started)

    Job.anonymize = watched  # type: ignore[method-assign]
    try:
        started = time.perf_counter()
        study.run(Saliency(), painter or Sleeper(), mask_ratio=mask_ratio)
        total = time.perf_counter() - started
    finally:
        Job.anonymize = anonymize  # type: ignore[method-assign]
    return Seconds(total, spent[0])


def world(photos: int) -> tuple[FaceData, Recognizer]:
    """Photos and the recogniser that is explained."""
    if "CELEBA_DEV" in os.environ and "FACE_ONNX" in os.environ:
        data = CelebA(os.environ["CELEBA_DEV"], split=[0.1, 0.1, 0.8], max_test_images=photos)
        return data, OnnxRecognizer(os.environ["FACE_ONNX"])
    net = SmallResNet()
    net.recipe = FitRecipe(max_epochs=1)
    return DrawnFaces(identities=40, photos_per_identity=15, split=[0.1, 0.1, 0.8], max_test_images=photos), net


def spread(what: str, values: list[float], bar: str | None = None, unit: str = "") -> Line:
    """A line of one figure a cell, its median in front."""
    return Line(what, float(torch.tensor(values).median()), min(values), max(values), unit, len(values), bar)
