"""Whole photos: what finding, pasting and files cost beside painting, and whether memory grows with their number."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from commands import measured
from facenet_pytorch import MTCNN
from PIL import Image
from timing import Line, Times, ratio

from privacy_exp.data.drawn.drawing import draw
from privacy_exp.inpainting.controls import Blur
from privacy_exp.masking.face_oval import FaceOval
from privacy_exp.photos.crops import CELEBA_SIZE, cut, frame_points, placement
from privacy_exp.photos.finding import Found, MTCNNFinder
from privacy_exp.photos.folder import anonymize_folder
from privacy_exp.photos.treating import PhotoAnonymizer
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.stages import anonymize
from privacy_exp.study.stems import part
from privacy_exp.types import Faces

SIZES = (50, 500)
FOLDER = [sys.executable, "-m", "privacy_exp.anonymize", "inpainting=blur"]


def lines(rounds: int = 5) -> list[Line]:
    """The table of photos."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        return [*finding(min(rounds, 3)), rest(work), batches(work, min(rounds, 3)), *memory(work)]


def cpu_seconds(candidates: dict[str, Callable[[], object]], rounds: int) -> Times:
    """Seconds of this process on one thread, in turns: what else runs on the machine counts for nothing."""
    seconds: Times = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
    return seconds


def photo(number: int, width: int, height: int, people: int = 1) -> np.ndarray:
    """Drawn heads of 160 to 260 pixels on a ramp with noise."""
    rng = np.random.default_rng(number)
    ramp = np.linspace(60, 180, width)[None, :, None] + np.linspace(-20, 20, height)[:, None, None]
    canvas = Image.fromarray((ramp + rng.normal(0, 4, (height, width, 3))).clip(0, 255).astype(np.uint8))
    for k in range(people):
        side = int(rng.integers(160, 260))
        head = Image.fromarray(draw(0, (number + k) % 40, number % 7, 160).image).resize((side, side))
        canvas.paste(head, (20 + k * width // people, int(rng.integers(10, height - side - 10))))
    return np.asarray(canvas)


def save(root: Path, count: int, width: int, height: int) -> None:
    """A folder of JPEGs with one person each."""
    root.mkdir()
    for number in range(count):
        Image.fromarray(photo(number, width, height)).save(root / f"{number}.jpg", quality=90)


def finding(rounds: int) -> list[Line]:
    """Twelve megapixels with six people."""
    pixels, finder = photo(0, 4000, 3000, 6), MTCNNFinder()
    plain = MTCNN(keep_all=True, min_face_size=finder.min_size, device="cpu").eval()
    with torch.inference_mode():
        found = cpu_seconds(
            {"ours": lambda: finder.find(pixels), "plain": lambda: plain.detect(pixels, landmarks=True)}, rounds
        )
    what = "finding in 12 megapixels over MTCNN's own pyramid for the same smallest face"
    return [ratio(what, found["ours"], found["plain"], bar="≤ 1.5")]


def rest(work: Path, count: int = 200) -> Line:
    """Share of the time in which nothing is found, painted or judged."""
    save(work / "rest", count, 1200, 900)
    finder, painter, spent = MTCNNFinder(), Blur(), [0.0]
    finder.find = timed(finder.find, spent)  # type: ignore[method-assign]
    painter.repaint = timed(painter.repaint, spent)  # type: ignore[method-assign]
    treat = PhotoAnonymizer(FaceOval(aspect=1.3), painter, finder=finder)
    started = time.process_time()
    anonymize_folder(work / "rest", work / "rest_out", treat, {})
    total = time.process_time() - started
    what = f"share of the time on all but finding and painting, {count} photos"
    return Line(
        what, 1 - spent[0] / total, bar="≤ 0.15", note="blur, photos of 1200 × 900 with one face, nobody judges"
    )


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The same function; adds the seconds of each call."""

    def run(*given: Any, **keys: Any) -> Any:
        started = time.process_time()
        try:
            return function(*given, **keys)
        finally:
            spent[0] += time.process_time() - started

    return run


class Known(MTCNNFinder):
    """Knows where the one face of each photo lies, so that painting is what is timed."""

    def find(self, pixels: np.ndarray) -> list[Found]:
        """The face in the middle."""
        points = frame_points(CELEBA_SIZE).numpy() + np.array([40.0, 40.0], np.float32)
        low, high = points.min(0) - 30, points.max(0) + 30
        return [Found((float(low[0]), float(low[1]), float(high[0]), float(high[1])), 0.99, points, False)]


def batches(work: Path, rounds: int, count: int = 60) -> Line:
    """Sixty photos with one face each against the same sixty crops as a data set."""
    save(work / "sixty", count, 300, 320)
    painter = part("inpainting", "tiny", num_inference_steps=8)
    masker, finder = FaceOval(aspect=1.3), Known()
    crops, places = [], []
    for path in sorted((work / "sixty").iterdir()):
        pixels = np.asarray(Image.open(path))
        matrix = placement(finder.find(pixels)[0].landmarks, CELEBA_SIZE)
        crops.append(cut(pixels, matrix, CELEBA_SIZE))
        places.append(path.stem)
    images, points = torch.stack(crops), frame_points(CELEBA_SIZE).expand(count, 5, 2)
    number = iter(range(100))

    def as_photos() -> None:
        treat = PhotoAnonymizer(masker, painter, 0.35, finder=finder)
        anonymize_folder(work / "sixty", work / f"sixty_out{next(number)}", treat, {})

    def as_data() -> None:
        parts = [slice(i, i + 16) for i in range(0, count, 16)]
        some = [Faces(places[rows], images[rows], None, points[rows]) for rows in parts]
        folder = RunFolder(work / f"sixty_run{next(number)}", "png")
        anonymize(some, count, None, masker, painter, 0.35, 0, folder, control=False)

    found = cpu_seconds({"photos": as_photos, "data": as_data}, rounds)
    return ratio(
        "60 photos with one face each over one run of the 60 crops", found["photos"], found["data"], bar="≤ 1.1"
    )


def memory(work: Path) -> list[Line]:
    """Peak memory of folders of two sizes."""
    peaks = {}
    for size in SIZES:
        save(work / f"photos{size}", size, 640, 480)
        where = [f"photos={work}/photos{size}", f"out={work}/out{size}", "detector.min_size=64"]
        _, peaks[size] = measured([*FOLDER, *where], work)
    few, many = SIZES
    shown = [Line(f"{size} photos: peak memory", peaks[size], unit="GiB") for size in SIZES]
    return [*shown, Line(f"peak memory, {many} over {few} photos", peaks[many] / peaks[few], bar="≤ 1.1")]
