"""The photos that an inpainter is trained on: read once, kept in memory and on disk."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from privacy_exp.data.base import FaceData
from privacy_exp.data.photo import Photo
from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.training.captions import phrases
from privacy_exp.types import Images, UserError

Pixels = UInt8[Tensor, "n 3 s s"]


class TrainingFaces(NamedTuple):
    """Photos to train on, at the size the checkpoint paints at.

    Attributes:
        pixels: RGB in 0-255.
        phrases: what can be said about each photo; empty lists where the data has no attributes.
        points: mean landmarks, as shares of the frame.
    """

    pixels: Pixels
    phrases: list[list[str]]
    points: Float[Tensor, "5 2"]

    def images(self, rows: Tensor) -> Images:
        """The photos of some rows, RGB in [0, 1].

        Args:
            rows: indices.
        """
        return self.pixels[rows].float() / 255


def collect(
    data: FaceData,
    parts: Sequence[str],
    size: int,
    mirror: bool,
    limit: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    chunk: int = 64,
) -> TrainingFaces:
    """Reads photos once; frames are resized as the inpainter resizes them, proportions not kept.

    Args:
        data: after `setup()`.
        parts: some of "train", "val" and "test".
        size: side in pixels.
        mirror: add every photo's mirror image.
        limit: take a random choice of so many photos; None takes all.
        seed: of that choice.
        cache: folder that keeps the pixels for the next time.
        chunk: photos read at a time.

    Raises:
        UserError: if the parts hold no photo.
    """
    photos = [photo for part in parts for photo in data.photos[part]]
    if not photos:
        raise UserError(f"`parts` must hold photos, but {', '.join(parts)} of this data are empty. Try parts=[test].")
    if limit is not None and limit < len(photos):
        order = torch.randperm(len(photos), generator=generator(seed, "max_photos"))
        photos = [photos[i] for i in sorted(order[:limit].tolist())]
    name = hashlib.sha256(f"{data.digest()} {list(parts)} {limit} {seed} {size}".encode()).hexdigest()[:16]
    file = None if cache is None else cache / f"faces-{name}.npy"
    if file is not None and file.is_file():
        pixels = torch.from_numpy(np.load(file))
    else:
        pixels = _read(data, photos, size, chunk)
        if file is not None:
            _save(pixels, file)
    said = [phrases(photo.attributes or {}) for photo in photos]
    height, width = data.image_size
    points = data.template() / torch.tensor([width, height])
    if mirror:
        pixels, said = torch.cat([pixels, pixels.flip(-1)]), said + said
    return TrainingFaces(pixels, said, points)


def _read(data: FaceData, photos: Sequence[Photo], size: int, chunk: int) -> Pixels:
    pixels = torch.empty((len(photos), 3, size, size), dtype=torch.uint8)
    loader: DataLoader[Any] = DataLoader(
        photos,  # type: ignore[arg-type]  # a list is a data set: it has a length and items
        batch_size=chunk,
        num_workers=data.num_workers,
        collate_fn=data.faces,
    )
    start = 0
    for faces in tqdm(loader, desc="reading photos", disable=len(photos) < 2000):
        images = faces.images
        if images.shape[-2:] != (size, size):
            images = functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
        pixels[start : start + len(images)] = (images * 255).round().clamp(0, 255).to(torch.uint8)
        start += len(images)
    return pixels


def _save(pixels: Pixels, file: Path) -> None:
    """Under another name first: what a killed process leaves must not pass for the whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.save(stream, pixels.numpy())
    part.replace(file)
