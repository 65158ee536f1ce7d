"""Face detection by MTCNN, in batches: is there a face, and where are its five points."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from facenet_pytorch import MTCNN
from jaxtyping import Bool, Float

from privacy_exp.cache.rows import Rows
from privacy_exp.cache.sources import sources
from privacy_exp.cache.store import Store
from privacy_exp.data.points import celeba_template, resized_points
from privacy_exp.types import Faces, Images, Landmarks

log = logging.getLogger(__name__)

SCALE = 2
"""Pictures are enlarged by this factor first: MTCNN looks for faces of 20 pixels and more."""


@dataclass(frozen=True)
class Detections:
    """The largest face of each picture.

    Attributes:
        found: whether there is one.
        landmarks: its five points in pixels of the pictures given; 0 where there is none.
        boxes: left, top, right, bottom in the same pixels; 0 where there is none.
    """

    found: Bool[torch.Tensor, " n"]
    landmarks: Landmarks
    boxes: Float[torch.Tensor, "n 4"]


@torch.inference_mode()
def detect_faces(images: Images, device: torch.device | str = "cpu", batch_size: int = 32) -> Detections:
    """Finds the largest face of each picture with MTCNN at twice the size and its default thresholds.

    Args:
        images: RGB in [0, 1].
        device: what MTCNN runs on; the result lies on the CPU.
        batch_size: pictures at a time.

    Reference: Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded CNNs, 2016; weights of
        facenet-pytorch, which come with the package.
    """
    found = torch.zeros(len(images), dtype=torch.bool)
    landmarks, boxes = torch.zeros(len(images), 5, 2), torch.zeros(len(images), 4)
    detector = _mtcnn(str(device))
    for start in range(0, len(images), batch_size):
        large = F.interpolate(images[start : start + batch_size].float(), scale_factor=SCALE, mode="bilinear")
        pixels = (large * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        own_boxes, _, own_points = detector.detect(pixels, landmarks=True)
        for i, (box, points) in enumerate(zip(own_boxes, own_points, strict=True), start):
            if box is not None:
                found[i] = True
                landmarks[i], boxes[i] = _own_pixels(points[0]), _own_pixels(box[0].reshape(2, 2)).reshape(4)
    return Detections(found, landmarks, boxes)


class StoredDetections:
    """Detections from the store where they are there, else made and kept, photo by photo.

    Args:
        store: where they lie.

    Attributes:
        rows: counts how many were read and computed.
    """

    def __init__(self, store: Store) -> None:
        self.rows = Rows(store.open_folder("detections", {"code": sources(__name__)}), "detections")

    def __call__(self, names: Sequence[str], images: Images, device: torch.device | str = "cpu") -> Detections:
        """As `detect_faces`.

        Args:
            names: digests of the pictures.
            images: RGB in [0, 1].
            device: what MTCNN runs on.
        """
        rows = self.rows(names, lambda: {k: v.numpy() for k, v in vars(detect_faces(images, device)).items()})
        return Detections(*(torch.from_numpy(rows[field.name]) for field in fields(Detections)))


def five_points(faces: Faces) -> Landmarks:
    """Five points of each face: the data's own, else those that MTCNN finds, else CelebA's template, with a warning.

    Args:
        faces: with or without landmarks.
    """
    if faces.landmarks is not None:
        return faces.landmarks
    seen = detect_faces(faces.images)
    template = celeba_template(*faces.images.shape[-2:])
    if not seen.found.all():
        lost = [name for name, found in zip(faces.ids, seen.found.tolist(), strict=True) if not found]
        log.warning(
            "no face is found in %d of %d photos without landmarks, such as %s: it is taken to lie as in CelebA's.",
            len(lost),
            len(faces.ids),
            lost[0],
        )
    return torch.where(seen.found[:, None, None], seen.landmarks, template).to(faces.images)


def _own_pixels(points: np.ndarray) -> Float[torch.Tensor, "k 2"]:
    """Points of the enlarged picture in pixels of the original."""
    return resized_points(torch.from_numpy(points.astype(np.float32)), 1 / SCALE)


@lru_cache(maxsize=2)
def _mtcnn(device: str) -> MTCNN:
    return MTCNN(device=torch.device(device)).eval()
