"""Pixels of whole frames, and a classical classifier of them: principal components and linear discriminants."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from privacy_exp.data.base import FaceData
from privacy_exp.types import Images

Array = np.ndarray

Sized = Mapping[int, Float[Array, "n _"]]
"""Height of the thumbnails to the thumbnails themselves, one row per picture."""

SIDES = (24, 12, 48)
"""Heights of the thumbnails that are tried, in pixels; without validation pictures the first is taken."""

SHRINKAGES = (0.3, 0.1, 0.5, 0.9)
"""Of the covariance towards a diagonal; likewise."""

FLOOR = 1e-3
"""Noise in standard deviations of a pixel: where a person's pictures are all one, no covariance would teach nothing."""

COMPONENTS = 250
BASIS = 4000
"""Principal components, and pictures at most that they come from."""


@dataclass(frozen=True)
class Pixels:
    """A part's pictures as thumbnails.

    Attributes:
        ids: image ids.
        labels: who is on them.
        sized: their pixels.
        mirrored: the same, left and right exchanged.
    """

    ids: list[str]
    labels: Int[Array, " n"]
    sized: Sized
    mirrored: Sized

    def both(self, side: int) -> Float[Array, "m _"]:
        """The thumbnails and their mirror images."""
        return np.concatenate([self.sized[side], self.mirrored[side]])


def pixels_of(data: FaceData, part: str) -> Pixels | None:
    """The whole frames of a part's pictures at several sizes; None where the part is empty.

    Args:
        data: after `setup()`.
        part: "train", "val" or "test".
    """
    ids, labels = list[str](), list[int]()
    straight, mirrored = ({side: list[Array]() for side in SIDES} for _ in range(2))
    for faces in data.batches(part) if data.photos[part] else ():
        assert faces.labels is not None  # noqa: S101  a run's photos have labels
        ids += faces.ids
        labels += faces.labels.tolist()
        for side in SIDES:
            straight[side].append(_thumbnails(faces.images, side))
            mirrored[side].append(_thumbnails(faces.images.flip(3), side))
    if not ids:
        return None
    sized, turned = ({side: np.concatenate(rows[side]) for side in SIDES} for rows in (straight, mirrored))
    return Pixels(ids, np.array(labels), sized, turned)


def _thumbnails(images: Images, side: int) -> Float[Array, "n _"]:
    height, width = images.shape[-2:]
    tall = min(side, height)
    small = F.adaptive_avg_pool2d(images, (tall, max(1, round(tall * width / height))))
    return small.flatten(1).numpy()


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        side: height of the thumbnails it looks at.
        shrinkage: of its covariance.
        val_accuracy: with which it was chosen; None where nothing could choose.
        basis: principal components; None where all training pictures are one, and it can only guess.
        discriminant: names who is on a picture, from its components.
    """

    side: int
    shrinkage: float
    val_accuracy: float | None
    basis: "Basis | None"
    discriminant: LinearDiscriminantAnalysis | None

    def names(self, pixels: Pixels) -> Int[Array, " n"]:
        """Who is on each picture; always label 0 where it can only guess."""
        if self.basis is None or self.discriminant is None:
            return np.zeros(len(pixels.ids), dtype=np.int64)
        return np.asarray(self.discriminant.predict(self.basis(pixels.sized[self.side])))


class Basis:
    """Principal components of standardised pixels; pixels that never change are left out.

    Args:
        pixels: one row per picture.
    """

    def __init__(self, pixels: Float[Array, "n d"]) -> None:
        some = pixels[np.linspace(0, len(pixels) - 1, min(len(pixels), BASIS)).astype(int)]
        spread = some.std(axis=0)
        self._kept = spread > 1e-6
        self._mean, self._spread = some.mean(axis=0)[self._kept], spread[self._kept]
        self.empty = not self._kept.any()
        if not self.empty:
            self._pca = PCA(min(COMPONENTS, len(some) - 1, int(self._kept.sum())), random_state=0)
            self._pca.fit(self._standard(some))

    def __call__(self, pixels: Float[Array, "n d"]) -> Float[Array, "n k"]:
        """Components of each picture."""
        return np.asarray(self._pca.transform(self._standard(pixels)))

    def _standard(self, pixels: Float[Array, "n d"]) -> Float[Array, "n k"]:
        return (pixels[:, self._kept] - self._mean) / self._spread


def fit_classifier(train: Pixels, val: Pixels | None) -> Classifier:
    """Chooses size and shrinkage on the validation pictures, then learns from these as well; mirror images count, too.

    Args:
        train: pictures to learn from, of two people or more.
        val: pictures to choose by; None takes the first size and shrinkage.
    """
    bases = {side: Basis(train.both(side)) for side in (SIDES if val is not None else SIDES[:1])}
    if bases[SIDES[0]].empty:
        return Classifier(SIDES[0], SHRINKAGES[0], None, None, None)
    best, chosen = None, (SIDES[0], SHRINKAGES[0])
    learnt = [train]
    if val is not None:
        rates = {}
        for side, basis in bases.items():
            seen, asked = basis(train.both(side)), basis(val.sized[side])
            for shrinkage in SHRINKAGES:
                right = _discriminant(seen, np.tile(train.labels, 2), shrinkage).predict(asked) == val.labels
                rates[side, shrinkage] = float(np.mean(right))
        chosen = max(rates, key=lambda one: rates[one])  # of equals the first
        best = rates[chosen]
        learnt.append(val)
    side, shrinkage = chosen
    pixels = bases[side](np.concatenate([part.both(side) for part in learnt]))
    labels = np.concatenate([np.tile(part.labels, 2) for part in learnt])
    return Classifier(side, shrinkage, best, bases[side], _discriminant(pixels, labels, shrinkage))


def _discriminant(
    pixels: Float[Array, "n k"], labels: Int[Array, " n"], shrinkage: float
) -> LinearDiscriminantAnalysis:
    noise = FLOOR * np.random.default_rng(0).standard_normal(pixels.shape)
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(pixels + noise, labels)
