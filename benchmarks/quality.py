"""What each key that changes pictures costs and gains: seconds an image, error under the mask, landmarks, fool rate.

Test photos of the default world, masks of the default method at the default share, the default recogniser.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from commands import TRAIN, measured
from generation import painter
from timing import Line, duration, in_turns
from torch import Tensor

from privacy_exp.recognition.checkpoint import load_checkpoint
from privacy_exp.recognition.detection import detect_faces
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import Faces, Images, Masks

TIMED = 8  # images
CHANGES: dict[str, dict[str, Any]] = {
    "default settings": {},
    "10 steps": {"num_inference_steps": 10},
    "50 steps": {"num_inference_steps": 50},
    "without guidance": {"guidance_scale": 1.0},
    "guidance in the first half": {"guidance_interval": [0.0, 0.5]},
    "guidance in the second half": {"guidance_interval": [0.5, 1.0]},
    "DPM-Solver++, 10 steps": {"scheduler": "DPMSolverMultistepScheduler", "num_inference_steps": 10},
    "UniPC, 5 steps": {"scheduler": "UniPCMultistepScheduler", "num_inference_steps": 5},
    "PNDM": {"scheduler": "PNDMScheduler"},
    "bfloat16": {"dtype": "bfloat16"},
}


def lines(rounds: int = 5) -> list[Line]:
    """The table of quality.

    Args:
        rounds: of the times; three at most, since the settings are many.
    """
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        measured([*TRAIN, "tracking=csv", f"hydra.run.dir={run}"], Path(name))
        faces, masks = finished(run)
        recognizer = load_checkpoint(run).eval()
    painters = {what: painter(**changes) for what, changes in CHANGES.items()}
    few = Faces(faces.ids[:TIMED], faces.images[:TIMED])
    timed = {what: lambda one=one: one(few, masks[:TIMED], seed=0) for what, one in painters.items()}
    seconds = in_turns(timed, min(rounds, 3), warm_up=False)
    points, known = clean_points(faces)
    with torch.inference_mode():
        right = recognizer(faces.images).argmax(1) == faces.labels
    found = []
    for what, one in painters.items():
        results = one(faces, masks, seed=0)
        with torch.inference_mode():
            fooled = recognizer(results[right]).argmax(1) != faces.labels[right]
        error, hits = landmark_error(results[known], points[known])
        found += [
            duration(f"{what}: painting", seconds[what], 1000 / TIMED, "ms/image"),
            Line(f"{what}: PSNR under the mask", psnr_inside(results, faces.images, masks), unit="dB"),
            Line(f"{what}: landmark error", error, unit="eye distances", note=f"{hits} of {len(known)} faces detected"),
            Line(f"{what}: fool rate", float(fooled.float().mean()), note=f"of {int(right.sum())} recognised"),
        ]
    return found


def finished(run: Path) -> tuple[Faces, Masks]:
    """The originals and masks of a finished run."""
    folder = RunFolder(run)
    originals, masks = folder.list("original"), folder.list("masks")
    labels = torch.tensor([label for _, label in originals.values()])
    images = folder.read([path for path, _ in originals.values()])
    return Faces(list(originals), images, labels), folder.read_masks([path for path, _ in masks.values()])


def clean_points(faces: Faces) -> tuple[Tensor, Tensor]:
    """Five points of each original by MTCNN, and the rows where it finds a face."""
    seen = detect_faces(faces.images)
    return seen.landmarks, seen.found.nonzero()[:, 0]


def landmark_error(results: Images, points: Tensor) -> tuple[float, int]:
    """Mean distance between MTCNN's points before and after, in distances between the eyes, and the faces it is of."""
    seen = detect_faces(results)
    eyes = (points[:, 0] - points[:, 1]).norm(dim=-1)
    errors = (seen.landmarks - points).norm(dim=-1).mean(dim=1) / eyes
    return float(errors[seen.found].mean()), int(seen.found.sum())


def psnr_inside(results: Images, originals: Images, masks: Masks) -> float:
    """Peak signal-to-noise ratio over the hidden pixels of all images."""
    hidden = masks.expand_as(results)
    return float(-10 * torch.log10((results - originals)[hidden].square().mean()))
