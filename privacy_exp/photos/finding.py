"""Finds every face of a whole photo, with five points each."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN
from jaxtyping import Float, UInt8

from privacy_exp.cache.configured import Configured
from privacy_exp.types import UserError

Pixels = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True)
class Found:
    """A face in a photo.

    Attributes:
        box: left, top, right, bottom, in pixels.
        score: of the detector, in [0, 1].
        landmarks: five points, in pixels; pixel centres at whole numbers.
        doubtful: the score lies below the upper threshold: the face is treated, and listed for a person to look at.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: Float[np.ndarray, "5 2"]
    doubtful: bool

    @property
    def size(self) -> float:
        """The shorter side of the box, in pixels."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])


class FaceFinder(Configured, ABC):
    """Finds faces of at least `min_size` pixels; a subclass looks at one photo.

    Args:
        min_size: shorter side of the smallest face, in pixels of the photo.
        sure: score from which a face is not doubtful.
        doubt: score from which a face is treated.
        max_megapixels: larger photos are looked at in this size, which bounds memory.
    """

    def __init__(
        self, min_size: int = 32, sure: float = 0.95, doubt: float = 0.7, max_megapixels: float = 24.0
    ) -> None:
        if not isinstance(min_size, int | float) or min_size < 16:
            raise UserError(f"`detector.min_size` must be at least 16 pixels, but got {min_size}.")
        if not max_megapixels > 0:
            raise UserError(f"`detector.max_megapixels` must be above 0, but got {max_megapixels}.")
        if not 0 < doubt <= sure <= 1:
            raise UserError(f"`detector.doubt` and `sure` must rise within (0, 1], but got {doubt} and {sure}.")
        self.min_size, self.sure, self.doubt, self.max_megapixels = min_size, sure, doubt, max_megapixels

    def find(self, pixels: Pixels) -> list[Found]:
        """All faces of a photo, the largest first.

        Args:
            pixels: RGB, upright.
        """
        height, width = pixels.shape[:2]
        scale = min(1.0, (self.max_megapixels * 1e6 / (height * width)) ** 0.5)
        seen = pixels
        if scale < 1:
            size = (round(width * scale), round(height * scale))
            seen = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
        found = []
        for box, score, points in self.look(seen, self.min_size * scale):
            own = tuple((np.asarray(box, np.float64).reshape(2, 2) + 0.5) / scale - 0.5)
            left, top, right, bottom = (float(v) for v in np.concatenate(own))
            landmarks = ((np.asarray(points, np.float64) + 0.5) / scale - 0.5).astype(np.float32)
            face = Found((left, top, right, bottom), float(score), landmarks, float(score) < self.sure)
            if face.size >= self.min_size * 0.9 and _five_points(landmarks):
                found.append(face)
        return sorted(found, key=lambda face: -face.size)

    @abstractmethod
    def look(self, pixels: Pixels, min_size: float) -> list[tuple[np.ndarray, float, np.ndarray]]:
        """Box, score and five points of each face whose score is at least `doubt`.

        Args:
            pixels: RGB.
            min_size: of the smallest face, in these pixels.
        """


class MTCNNFinder(FaceFinder):
    """MTCNN with its own pyramid; its weights come with facenet-pytorch.

    Reference: Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded CNNs, 2016.
    """

    def look(self, pixels: Pixels, min_size: float) -> list[tuple[np.ndarray, float, np.ndarray]]:
        """See `FaceFinder.look`."""
        smallest = max(20, round(min_size * 0.75))
        if min(pixels.shape[:2]) < smallest:  # MTCNN fails on a picture that is smaller than any face it looks for
            return []
        with torch.inference_mode():
            boxes, scores, points = _mtcnn(smallest, self.doubt).detect(pixels, landmarks=True)
        return [] if boxes is None else list(zip(boxes, scores, points, strict=True))


@lru_cache(maxsize=4)
def _mtcnn(min_size: int, doubt: float) -> MTCNN:
    return MTCNN(keep_all=True, min_face_size=min_size, thresholds=[0.6, 0.7, doubt], device="cpu").eval()


def _five_points(points: Float[np.ndarray, "5 2"]) -> bool:
    return bool(np.isfinite(points).all()) and float(np.ptp(points, axis=0).max()) > 2


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - both
    return both / area if area > 0 else 0.0
