"""Finished sweeps made by hand: valid records, tables and pictures, without a network in sight."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from privacy_exp.evaluation.measure import strongest_observer
from privacy_exp.evaluation.privacy import outcome, privacy_metrics
from privacy_exp.evaluation.statistics.intervals import bootstrap_mean
from privacy_exp.runs.record import Record, write_images
from privacy_exp.types import Metric

METHODS = ("random_patches", "grad_cam", "saliency")
KINDS = {"original": "img", "masks": "masks", "results": "generated"}
STRENGTH = {"random_patches": 0.3, "grad_cam": 0.9, "saliency": 0.5}

TARGETS = {"synthetic": "privacy_exp.data.drawn.faces.DrawnFaces", "celeba": "privacy_exp.data.celeba.CelebA"}


@dataclass(frozen=True)
class Sample:
    """What a made sweep is like; every figure in its records follows from the outcomes in its tables."""

    methods: tuple[str, ...] = METHODS
    ratios: tuple[float, ...] = (0.1, 0.25, 0.5)
    scales: tuple[float, ...] = (1.0, 3.0, 7.5)
    people: int = 24
    photos: int = 4  # of each
    right: float = 0.95  # clean accuracy
    size: tuple[int, int] = (32, 40)  # of the pictures: width, height
    data: str = "synthetic"
    pictures: bool = True


def make_sweep(folder: Path, sample: Sample | None = None) -> Path:
    """Writes a run folder a cell and returns the sweep's folder."""
    sample = sample or Sample()
    cells = product(sample.methods, sample.ratios, sample.scales)
    ids = [f"p{person:03d}_{photo}" for person in range(sample.people) for photo in range(sample.photos)]
    pictured: dict[float, Path] = {}  # masks and results of one ratio are the same here: later cells link them
    for number, (method, ratio, scale) in enumerate(cells):
        make_cell(folder / str(number), sample, method, ratio, scale)
        if sample.pictures and ratio in pictured:
            for kind in KINDS:
                shutil.copytree(pictured[ratio] / kind, folder / str(number) / kind, copy_function=os.link)
        elif sample.pictures:
            pictured[ratio] = save_pictures(folder / str(number), sample, ids, ratio)
    return folder


def make_cell(folder: Path, sample: Sample, method: str, ratio: float, scale: float) -> None:
    table, metrics, observers = found(sample, STRENGTH.get(method, 0.4), ratio, scale)
    folder.mkdir(parents=True)
    write_images(folder, table)
    record = Record(
        key=f"{method}-{ratio}-{scale}",
        choices={"data": sample.data, "recognition": "facenet_scratch", "masking": method, "inpainting": "tiny"},
        config={
            "data": {"_target_": TARGETS.get(sample.data, f"elsewhere.{sample.data}"), "image_size": 32},
            "recognition": {"net": {"width": 8}},
            "masking": {"_target_": "x", "granularity": 8},
            "inpainting": {"_target_": "x", "guidance_scale": scale, "num_inference_steps": 20, "batch_size": 16},
            "evaluation": {"gate": 0.8},
        },
        mask_ratio=ratio,
        seed=0,
        n=len(table),
        metrics=metrics,
        observers=observers,
        timing={"fit_s": 0.0, "fit_reused": True, "mask_s": 1.5, "inpaint_s": 20.25, "evaluate_s": 2.0},
        details={"guidance": "live"},
        warnings=["a warning of this run"] if method == "saliency" else [],
    )
    record.write(folder)
    (folder / ".hydra").mkdir()
    overrides = [f"masking={method}", f"mask_ratio={ratio}", f"inpainting.guidance_scale={scale}"]
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))


@cache
def found(sample: Sample, strength: float, ratio: float, scale: float) -> tuple[pd.DataFrame, dict, list[str]]:
    """The table of a cell, and the figures that follow from it."""
    table = outcomes(sample, strength, ratio, scale)
    metrics = privacy_metrics(table, gate=0.8)
    metrics["strongest_observer"], observers = strongest_observer([outcome(table, sample.people, gate=0.8)])
    noise = np.random.default_rng(round(100 * (ratio + scale + strength))).normal(0, 0.03, len(table))
    kept = np.clip(1 - ratio * (0.4 + 0.05 * scale) + noise, 0, 1)
    metrics["utility/ssim"] = bootstrap_mean(kept, table["label"].to_numpy())
    metrics["utility/lpips"] = Metric(None, None, None, 0, "no weights at hand")
    return table, metrics, observers


def outcomes(sample: Sample, strength: float, ratio: float, scale: float) -> pd.DataFrame:
    """A row a photo; whom the recogniser names before is the same in every cell."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(sample.people), sample.photos)
    known = rng.random(len(label)) < sample.right
    pred = np.where(known, label, (label + 1) % sample.people)
    hard = rng.random(len(label))  # how hard a photo is to hide, the same for every method
    fooled = hard < strength * (0.3 + 1.2 * ratio) * (1 + 0.02 * scale)
    after = np.where(fooled, (label + 2) % sample.people, pred)
    return pd.DataFrame(
        {
            "image_id": [f"p{person:03d}_{photo}" for person in range(sample.people) for photo in range(sample.photos)],
            "identity": [f"person {number}" for number in label],
            "label": label,
            "pred": pred,
            "pred_anonymized": after,
            "pred_control": pred,
            "rank": np.where(after == label, 1.0, 7.0),
            "prob": np.where(known, 0.9, 0.1),
            "prob_anonymized": np.where(after == label, 0.8, 0.05),
            "share_asked": ratio,
            "share_hidden": ratio,
            "share_hidden_face": ratio,
            "share_hidden_latent": ratio,
        }
    )


def face(image_id: str, size: tuple[int, int]) -> Image.Image:
    """A flat face that differs from photo to photo: nobody's."""
    rng = np.random.default_rng(int(image_id[1:4]) * 100 + int(image_id[5:]))
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x - width / 2) / (width * 0.35)) ** 2 + ((y - height / 2) / (height * 0.42)) ** 2 < 1
    pixels = np.where(inside[..., None], rng.integers(120, 250, 3), rng.integers(0, 120, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def save_pictures(folder: Path, sample: Sample, ids: list[str], ratio: float) -> Path:
    """Originals, masks that hide the upper part, and results in which it is grey."""
    for kind in KINDS:
        (folder / kind).mkdir()
    width, height = sample.size
    hidden = (0, 0, width, max(1, round(height * ratio)))
    mask = Image.new("L", sample.size, 0)
    mask.paste(255, hidden)
    for image_id in ids:
        original = face(image_id, sample.size)
        result = original.copy()
        result.paste((128, 128, 128), hidden)
        for (kind, word), picture in zip(KINDS.items(), (original, mask, result), strict=True):
            picture.save(folder / kind / f"{image_id}-{word}-label-{int(image_id[1:4])}.jpg", quality=90)
    return folder


def make_pairs(folder: Path, tools: Mapping[str, float], people: int = 8, drawn: bool = False) -> Path:
    """What `evaluate originals= anonymized=` leaves of each tool: name to the share of pairs that a judge accepts."""
    ids = [f"p{person:03d}_{photo}" for person in range(people) for photo in range(2)]
    for level, (tool, tar) in enumerate(tools.items()):
        target, n = folder / tool, len(ids)
        for kind in ("original", "results"):
            (target / kind).mkdir(parents=True)
        for image_id in ids:
            picture = face(image_id, (32, 40))
            for kind in ("original", "results"):
                picture.save(target / kind / f"{image_id}-{KINDS[kind]}-label-{int(image_id[1:4])}.png")
                picture.paste((60 * level, 0, 90), (0, 0, 32, 20))
        label = [int(image_id[1:4]) for image_id in ids]
        who = pd.DataFrame({"image_id": ids, "identity": [f"person {i}" for i in label], "label": label})
        who.to_parquet(target / "evaluation.parquet")
        accepted = Metric(tar, tar - 0.05, tar + 0.05, n)
        metrics = {"judge/onnx/tar_cross_1e-2": accepted, "judge/onnx/rank_1": Metric(tar / 2, 0, 0.5, n)}
        metrics |= {"utility/ssim": Metric(0.7, 0.68, 0.72, n), "strongest_observer": accepted}
        choices = {"data": "pairs", "masking": tool, "judge": ["onnx"]}
        details = {"data_digest": "d", "people": people, **({"drawn": True} if drawn else {})}
        Record(tool, choices, {}, None, 0, n, metrics, ["onnx"], {}, details).write(target)
    return folder


def edit_record(folder: Path, **changes) -> None:
    """Overwrites fields of a record, NaN and all."""
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
