"""Whole photos with known faces: drawn heads on a canvas, which MTCNN finds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from privacy_exp.data.drawn.drawing import draw
from privacy_exp.evaluation.judges.embedder import Embedder


class Canvas:
    """A photo with drawn faces at known places."""

    def __init__(self, width: int, height: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        ramp = np.linspace(60, 180, width)[None, :, None] + np.linspace(-20, 20, height)[:, None, None]
        self.pixels = (ramp + rng.normal(0, 4, (height, width, 3))).clip(0, 255).astype(np.uint8)
        self.boxes: list[tuple[int, int, int, int]] = []

    def add(self, identity: int, left: int, top: int, side: int) -> "Canvas":
        head = Image.fromarray(draw(0, identity, 0, 160).image).resize((side, side), Image.Resampling.LANCZOS)
        self.pixels[top : top + side, left : left + side] = np.asarray(head)
        self.boxes.append((left, top, left + side, top + side))
        return self

    def save(self, path: Path, **keys: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.pixels).save(path, **keys)
        return path


class Colours(Embedder):
    """Stands for an embedder: the mean colour of the middle of the face decides who it is."""

    aligns = False

    def fields(self):
        return {"colours": 1}

    def prepare(self, images, landmarks):
        h, w = images.shape[-2:]
        return images[..., h // 3 : 2 * h // 3, w // 3 : 2 * w // 3]

    def features(self, crops):
        small = torch.nn.functional.adaptive_avg_pool2d(crops, 8).flatten(1)
        return small - small.mean(1, keepdim=True)


@pytest.fixture(scope="session")
def party() -> Canvas:
    """Two people side by side, 200 and 140 pixels wide."""
    return Canvas(560, 320).add(3, 30, 60, 200).add(7, 340, 110, 140)
