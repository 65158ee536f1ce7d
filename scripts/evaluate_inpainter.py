"""Measures an inpainting checkpoint on drawn photos of people it has never seen: the figures of its model card.

python scripts/evaluate_inpainter.py [--checkpoint DIR] [--out DIR]

Everything is measured on drawn people 0, 1, ...; training starts at 1,000,000, the judges' at 600,000 and 700,000.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facenet_pytorch import MTCNN
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torchvision.utils import make_grid, save_image

from privacy_exp.data.drawn.drawing import draw
from privacy_exp.evaluation.statistics.intervals import wilson
from privacy_exp.evaluation.utility.frechet import frechet_distance
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.controls import Blur, MeanFill
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.training.autoencoder import psnr
from privacy_exp.inpainting.training.classifier import SmallClassifier, as_targets, drawn, train_classifier
from privacy_exp.inpainting.training.quality import masked_l1, seam_ratio
from privacy_exp.types import Faces, Images, Masks

ASKED = {"Smiling": "smiling", "Mouth_Slightly_Open": "mouth open", "Eyeglasses": "eyeglasses"}
SCALES = (1.0, 3.0, 7.5)
SUBJECT = "a photo of a face"


def main() -> None:
    """Prints the figures and writes them, with a grid of pictures, into --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="privacy_exp/assets/tiny_inpaint")
    parser.add_argument("--out", type=Path, default=Path("outputs/evaluate_inpainter"))
    parser.add_argument("--photos", type=int, default=500, help="drawn photos of unseen people")
    parser.add_argument("--asked", type=int, default=100, help="photos that each guidance rate is of")
    parser.add_argument("--scheduler", default=None, help="a class name of diffusers; default: the checkpoint's own")
    parser.add_argument("--skip", nargs="*", default=[], choices=("quality", "guidance", "speed", "grid"))
    parser.add_argument("--runs", nargs="*", type=Path, default=[], help="run folders whose fool rates to list")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", message=".*does nothing.*")

    painter = load(options.checkpoint, scheduler=options.scheduler)
    size = painter.size[0]
    faces, ovals = photos(options.photos, size)
    figures: dict[str, Any] = {
        "photos": len(faces.ids),
        "size": size,
        "scheduler": type(painter.pipe.scheduler).__name__,
    }
    if "grid" not in options.skip:
        grid(painter, faces, ovals, options.out / "grid.png")
    if "speed" not in options.skip:
        figures |= speed(options.checkpoint, options.scheduler, faces, ovals)
    if "quality" not in options.skip:
        figures |= quality(painter, faces, ovals, options.out)
    if "guidance" not in options.skip:
        figures |= guidance(options.checkpoint, options.scheduler, faces, ovals, options.asked, options.out)
    figures |= fool_rates(options.runs)
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1))
    for name, value in figures.items():
        print(f"{name:48s} {value if not isinstance(value, float) else round(value, 4)}")


def load(checkpoint: str, **keys: Any) -> DiffusionInpainter:
    """The checkpoint with the settings of inpainting=tiny, or others."""
    settings = {"prompt": SUBJECT, "num_inference_steps": 20, "guidance_scale": 3.0, "batch_size": 16} | keys
    return DiffusionInpainter.from_pretrained(checkpoint, **settings)


def photos(count: int, size: int) -> tuple[Faces, Masks]:
    """Four photos each of people 0, 1, ..., and the masks that hide each whole inner face."""
    made = [(i, k, draw(0, i, k, size)) for i in range(-(-count // 4)) for k in range(4)][:count]
    images = torch.stack([torch.from_numpy(one.image).permute(2, 0, 1) for _, _, one in made]).float() / 255
    attributes = {name: torch.tensor([one.attributes[name] for _, _, one in made]) for name in made[0][2].attributes}
    ovals = torch.stack([torch.from_numpy(one.oval) for _, _, one in made])[:, None]
    return Faces([f"{i:04d}_{k:03d}" for i, k, _ in made], images, None, None, attributes), ovals


def quality(painter: DiffusionInpainter, faces: Faces, ovals: Masks, out: Path) -> dict[str, Any]:
    """Autoencoder, detection, error, seams and Fréchet distance, with mean fill and blur beside them."""
    painters: dict[str, Inpainter] = {"tiny": painter, "mean_fill": MeanFill(), "blur": Blur(sigma=0.1)}
    results = {name: one(faces, ovals, seed=0) for name, one in painters.items()}
    judge, accuracy = recognizer(faces.images.shape[-1], out)
    with torch.inference_mode():
        real = judge.features(faces.images).numpy()
        distances = {name: frechet_distance(real, judge.features(result).numpy()) for name, result in results.items()}
    found = detected(results["tiny"])
    low, high = wilson(found, len(faces.ids))
    errors = {name: masked_l1(result, faces.images, ovals) for name, result in results.items()}
    return {
        "autoencoder_psnr_db": psnr(painter.pipe.vae, faces.images),
        "mtcnn_clean": detected(faces.images),
        "mtcnn_inner_face_repainted": found,
        "mtcnn_interval": [low, high],
        "l1_in_mask": errors["tiny"],
        "l1_over_mean_fill": errors["tiny"] / errors["mean_fill"],
        "frechet_recognizer_accuracy": accuracy,
        **{f"frechet_{name}": distance for name, distance in distances.items()},
        "frechet_over_mean_fill": distances["tiny"] / distances["mean_fill"],
        "frechet_over_blur": distances["tiny"] / distances["blur"],
        "seam_ratio": seam_ratio(results["tiny"], ovals),
        "seam_ratio_originals": seam_ratio(faces.images, ovals),
        **patch_seams(painter, faces),
    }


def patch_seams(painter: DiffusionInpainter, faces: Faces) -> dict[str, Any]:
    """Seams of patches that follow no contour of a face, with and without the blend, on the first 128 photos."""
    part = some(faces, range(min(128, len(faces.ids))))
    masks = patches(len(part.ids), faces.images.shape[-1])
    figures: dict[str, Any] = {"seam_ratio_patches_originals": seam_ratio(part.images, masks)}
    kept = painter.canvas
    for name, seamless in (("seam_ratio_patches", True), ("seam_ratio_patches_unblended", False)):
        painter.canvas = replace(kept, seamless=seamless)
        figures[name] = seam_ratio(painter(part, masks, seed=0), masks)
    painter.canvas = kept
    return figures


def patches(count: int, size: int) -> Masks:
    """Half of an 8×8 grid hidden, at random."""
    noise = torch.rand((count, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    return functional.interpolate((noise < 0.5).float(), size=(size, size)) > 0.5


def detected(images: Images) -> float:
    """Share of pictures, enlarged twice, in which MTCNN finds a face with its default thresholds."""
    detector = MTCNN(device="cpu")
    hits = 0
    for part in images.split(64):
        large = functional.interpolate(part, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)
        boxes, _ = detector.detect((large * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
        hits += sum(box is not None for box in boxes)
    return hits / len(images)


def recognizer(size: int, out: Path) -> tuple[SmallClassifier, float]:
    """A recogniser of 80 other people and its accuracy on photos of them that it was not trained on."""

    def fit() -> tuple[SmallClassifier, list[float]]:
        images, _, labels = drawn(600_000, 80, 20, size)
        held_out = torch.arange(len(images)) % 20 >= 16
        judge = train_classifier(images[~held_out], labels[~held_out], 80, epochs=30)
        with torch.inference_mode():
            right = judge(images[held_out]).argmax(dim=1) == labels[held_out]
        return judge, [float(right.float().mean())]

    judge, accuracy = kept(out / f"recognizer-{size}.safetensors", SmallClassifier(80, size), fit)
    return judge, accuracy[0]


def classifier(size: int, out: Path) -> tuple[SmallClassifier, dict[str, float]]:
    """A classifier of the asked attributes and its accuracies on 500 photos of other people."""
    names = list(ASKED)

    def fit() -> tuple[SmallClassifier, list[float]]:
        images, rows, _ = drawn(700_000, 1500, 2, size)
        judge = train_classifier(images[:2500], as_targets(rows[:2500], names), len(names), epochs=14)
        with torch.inference_mode():
            right = (judge(images[2500:]) > 0) == (as_targets(rows[2500:], names) > 0.5)
        return judge, right.float().mean(dim=0).tolist()

    judge, accuracies = kept(out / f"classifier-{size}.safetensors", SmallClassifier(len(names), size), fit)
    return judge, dict(zip(names, accuracies, strict=True))


def kept(
    file: Path, judge: SmallClassifier, fit: Callable[[], tuple[SmallClassifier, list[float]]]
) -> tuple[SmallClassifier, list[float]]:
    """A judge that an earlier call left in --out, else a new one."""
    if file.is_file():
        with safe_open(file, "pt") as stored:
            judge.load_state_dict({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
            return judge.eval(), json.loads(stored.metadata()["accuracy"])
    judge, accuracy = fit()
    save_file(judge.state_dict(), file, metadata={"accuracy": json.dumps(accuracy)})
    return judge, accuracy


def guidance(
    checkpoint: str, scheduler: str | None, faces: Faces, ovals: Masks, count: int, out: Path
) -> dict[str, Any]:
    """How often an attribute appears where it is asked for, over scales, and with the empty prompt."""
    judge, accuracies = classifier(faces.images.shape[-1], out)
    figures: dict[str, Any] = {f"classifier_accuracy_{name}": value for name, value in accuracies.items()}
    attributes = faces.attributes or {}
    for column, (name, words) in enumerate(ASKED.items()):
        rows = (~attributes[name]).nonzero()[:count, 0]
        part, masks = some(faces, rows.tolist()), ovals[rows]
        asked = {f"at_{scale:g}": (f"{SUBJECT}, {words}", scale) for scale in SCALES}
        pictures = {}
        for case, (prompt, scale) in ({"empty_prompt": ("", 7.5)} | asked).items():
            painter = load(checkpoint, scheduler=scheduler, prompt=prompt, guidance_scale=scale)
            pictures[case] = painter(part, masks, seed=0)
            with torch.inference_mode():
                rate = float((judge(pictures[case])[:, column] > 0).float().mean())
            figures[f"{name}_{case}"] = [rate, *(round(bound, 4) for bound in wilson(rate, len(rows)))]
        figures[f"{name}_difference_3_to_7.5"] = float((pictures["at_3"] - pictures["at_7.5"]).abs().max())
    return figures


def some(faces: Faces, rows: Sequence[int]) -> Faces:
    """Some of the faces, without attributes."""
    return Faces([faces.ids[row] for row in rows], faces.images[list(rows)])


def speed(checkpoint: str, scheduler: str | None, faces: Faces, ovals: Masks) -> dict[str, Any]:
    """Seconds an image at 20 guided steps and batch 16: the best of three batches."""
    painter = load(checkpoint, scheduler=scheduler, guidance_scale=7.5)
    part, times = some(faces, range(16)), []
    for draw_ in range(3):
        start = time.perf_counter()
        painter(part, ovals[:16], seed=0, draw=draw_)
        times.append((time.perf_counter() - start) / 16)
    return {"seconds_an_image": min(times), "threads": torch.get_num_threads()}


def grid(painter: DiffusionInpainter, faces: Faces, ovals: Masks, path: Path) -> None:
    """Original, mask and result of 32 faces: inner face, patches and blocks hidden in turn."""
    rows = np.linspace(0, len(faces.ids) - 1, 32).round().astype(int).tolist()
    part = some(faces, rows)
    size = faces.images.shape[-1]
    masks = torch.where((torch.arange(32) % 4 == 3)[:, None, None, None], patches(32, size), ovals[rows])
    shown = [part.images, torch.where(masks, 0.5, part.images), painter(part, masks, seed=0)]
    tiles: Tensor = torch.stack(shown, dim=1).flatten(0, 1)
    save_image(make_grid(functional.interpolate(tiles, scale_factor=2), nrow=12, padding=4, pad_value=1.0), path)


def fool_rates(runs: Sequence[Path]) -> dict[str, Any]:
    """Fool rates that `python -m privacy_exp.train` recorded, by masking method and ratio."""
    records = [json.loads((run / "record.json").read_text()) for run in runs]
    return {
        f"fool_rate_{one['choices']['masking']}_{one['mask_ratio']}": one["metrics"]["fool_rate"]["value"]
        for one in records
    }


if __name__ == "__main__":
    main()
