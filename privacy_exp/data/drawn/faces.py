"""Drawn faces as a data set: nothing to download, any number of people, and the truth about every pixel."""

import hashlib
from functools import lru_cache
from typing import Unpack

import numpy as np
from jaxtyping import UInt8

from privacy_exp.data.base import FaceData
from privacy_exp.data.drawn.drawing import draw, facts
from privacy_exp.data.keys import DataKeys
from privacy_exp.data.photo import BadDataError, Examined, Photo

DRAWING = 1
"""Version of the drawn pictures: raise it with every change that moves a pixel, so that nothing stored passes for the
new pictures. A test holds it to the pixels."""


class DrawnFaces(FaceData):
    """Drawn people: identity in the inner face, pose, light, expression and what is worn from photo to photo.

    Person and photo depend on `seed` and their numbers alone, so more identities or photos leave the others as they
    are. The shipped inpainting checkpoint was trained on identities from 1,000,000 on.

    Args:
        identities: how many people.
        photos_per_identity: photos of each.
        seed: which population; another seed gives other people.
        image_size: width and height in pixels, at least 32.
        first_identity: number of the first person.
        **keys: see `FaceData`.

    Raises:
        BadDataError: a number that is too small; the message names it.

    Example:
        >>> data = DrawnFaces(identities=3, photos_per_identity=5)
        >>> print(data.summary())
        used 15 of 15 photos of 3 people (9 to train, 3 to validate, 3 to test)
    """

    domain = "drawn"

    def __init__(
        self,
        identities: int = 24,
        photos_per_identity: int = 16,
        seed: int = 0,
        image_size: int = 64,
        first_identity: int = 0,
        **keys: Unpack[DataKeys],
    ) -> None:
        super().__init__(**keys)
        numbers = {
            "identities": (identities, 1),
            "photos_per_identity": (photos_per_identity, 1),
            "seed": (seed, 0),
            "image_size": (image_size, 32),
            "first_identity": (first_identity, 0),
        }
        for name, (value, least) in numbers.items():
            if value < least:
                raise BadDataError(f"`{name}` must be at least {least}, but got {value}.")
        self.count = identities
        self.photos_per_identity = photos_per_identity
        self.seed = seed
        self.first_identity = first_identity
        self.side = image_size

    def index(self) -> list[Photo]:
        """All photos with landmarks and attributes; ids are identity_photo, as in "0003_007"."""
        return [
            _photo(self.seed, identity, k, self.side)
            for identity in range(self.first_identity, self.first_identity + self.count)
            for k in range(self.photos_per_identity)
        ]

    def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
        """One photo's pixels, drawn at most once in a process."""
        return _pixels(self.seed, *numbers_of(photo.id), self.side)

    def examine(self, photo: Photo) -> Examined:
        """Hash of the numbers that turn into pixels and of the drawing's version: nothing is drawn for it."""
        content = f"{DRAWING} {self.seed} {numbers_of(photo.id)} {self.side}"
        return Examined(hashlib.sha256(content.encode()).hexdigest(), (self.side, self.side))


def numbers_of(photo_id: str) -> tuple[int, int]:
    """Identity and photo number behind an id."""
    identity, k = photo_id.split("_")
    return int(identity), int(k)


@lru_cache(maxsize=4096)
def _photo(seed: int, identity: int, k: int, size: int) -> Photo:
    """Kept as the pixels are."""
    points, attributes = facts(seed, identity, k, size)
    landmarks = tuple((float(x), float(y)) for x, y in points)
    return Photo(f"{identity:04d}_{k:03d}", f"{identity:04d}", None, landmarks, attributes)


@lru_cache(maxsize=4096)
def _pixels(seed: int, identity: int, k: int, size: int) -> UInt8[np.ndarray, "h w 3"]:
    """Kept for the cells of a sweep that share a process: they would draw the same photos again."""
    image = draw(seed, identity, k, size).image
    image.setflags(write=False)
    return image
