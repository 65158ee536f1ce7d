"""The photos that an inpainter is trained on: read once, kept in memory and on disk."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
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
        frame: (height, width) of the data's frames, before they were resized.
        held_out: photos of people who are not trained on, not mirrored.
        held_out_phrases: what can be said about them.
        crop: largest share of the frame's side that `draw` cuts off, in [0, 1).
        colour: `draw` changes brightness, contrast and saturation by up to this share, in [0, 1).
    """

    pixels: Pixels
    phrases: list[list[str]]
    points: Float[Tensor, "5 2"]
    frame: tuple[int, int]
    held_out: Pixels
    held_out_phrases: list[list[str]]
    crop: float = 0.0
    colour: float = 0.0

    def images(self, rows: Tensor) -> Images:
        """The photos of some rows, RGB in [0, 1].

        Args:
            rows: indices.
        """
        return self.pixels[rows.to(self.pixels.device, non_blocking=True)].float() / 255

    def draw(self, rows: Tensor, draws: Generator) -> Images:
        """The photos of some rows, cropped and coloured at random; as they are where nothing of that was asked for.

        Args:
            rows: indices.
            draws: of this step; a CPU generator, so that a step is the same on every device.
        """
        images = self.images(rows)
        if self.crop:
            images = _cropped(images, self.crop, draws)
        return _coloured(images, self.colour, draws) if self.colour else images

    def of_people_held_out(self) -> "TrainingFaces":
        """Their photos, as they are."""
        return self._replace(pixels=self.held_out, phrases=self.held_out_phrases, crop=0.0, colour=0.0)

    @property
    def varied(self) -> bool:
        """Whether `draw` changes anything."""
        return bool(self.crop or self.colour)

    def to(self, device: torch.device) -> "TrainingFaces":
        """The same with all photos on a device, where steps then find them.

        Args:
            device: with 3 s² bytes of memory for each photo.
        """
        return self._replace(pixels=self.pixels.to(device), held_out=self.held_out.to(device))


def collect(
    data: FaceData,
    parts: Sequence[str],
    size: int,
    mirror: bool,
    limit: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    held_out_people: float = 0.0,
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
        held_out_people: share of the people none of whose photos is trained on; a seeded choice.

    Raises:
        UserError: if the parts hold no photo, or nobody is left to train on or to hold out.
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
        pixels = _read(data, photos, size)
        if file is not None:
            _save(pixels, file)
    aside = people_left_out(photos, held_out_people, seed)
    out = torch.tensor([photo.identity in aside for photo in photos])
    held_out, pixels = pixels[out], pixels[~out] if held_out_people else pixels
    said, unsaid = (
        [phrases(p.attributes or {}) for p, o in zip(photos, out.tolist(), strict=True) if o == side]
        for side in (False, True)
    )
    height, width = data.image_size
    points = data.template() / torch.tensor([width, height])
    if mirror:
        pixels, said = torch.cat([pixels, pixels.flip(-1)]), said + said
    return TrainingFaces(pixels, said, points, (height, width), held_out, unsaid)


def people_left_out(photos: Sequence[Photo], share: float, seed: int) -> set[str]:
    """The people who are held out, a seeded choice.

    Args:
        photos: everybody's.
        share: of the people, in [0, 1).
        seed: of the choice.

    Raises:
        UserError: for a share that leaves nobody to train on.
    """
    people = sorted({photo.identity for photo in photos if photo.identity is not None})
    count = max(1, round(share * len(people))) if share else 0
    if not 0 <= share < 1 or (share and not count < len(people)):
        raise UserError(
            f"`held_out_people` must be a share of known people, in [0, 1), that leaves some to train on, but got "
            f"{share} of {len(people)} people."
        )
    order = torch.randperm(len(people), generator=generator(seed, "held_out_people"))
    return {people[i] for i in order[:count].tolist()}


def _cropped(images: Images, most: float, draws: Generator) -> Images:
    """A square part of each picture, at the size of the whole; bilinear."""
    share, x, y = torch.rand(3, len(images), generator=draws)
    side = 1 - most * share
    matrices = torch.zeros(len(images), 2, 3)  # in grid_sample's frame, which spans [-1, 1]
    matrices[:, 0, 0] = matrices[:, 1, 1] = side
    matrices[:, :, 2] = torch.stack([x, y], 1) * 2 * (1 - side)[:, None] - (1 - side)[:, None]
    matrices = matrices.to(images.device, non_blocking=True)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _coloured(images: Images, most: float, draws: Generator) -> Images:
    """Brightness, contrast and saturation of each picture times a factor in 1 ± `most`."""
    factors = 1 + most * (2 * torch.rand(3, len(images), 1, 1, 1, generator=draws) - 1)
    brightness, contrast, saturation = factors.to(images.device, non_blocking=True)
    images = images * brightness
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + contrast * (images - mean)
    grey = images.mean(dim=1, keepdim=True)
    return (grey + saturation * (images - grey)).clamp(0, 1)


def _read(data: FaceData, photos: Sequence[Photo], size: int, chunk: int = 64) -> Pixels:
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
