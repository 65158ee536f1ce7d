"""Whether the faces of a data set lie at one place and size: recognisers need that, and photos as they come don't."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from privacy_exp.data.base import FaceData
from privacy_exp.data.photo import Photo
from privacy_exp.recognition.detection import detect_faces

PHOTOS = 24
"""Photos that are looked at, spread over the data."""

SPREAD = 0.4
"""Inter-ocular distances from which faces count as unaligned; CelebA's aligned faces have about 0.1."""


def unaligned(data: FaceData) -> str | None:
    """A sentence for the record where the test photos look unaligned, else None.

    Args:
        data: after `setup()`; its landmarks are taken where it has them, else MTCNN's.
    """
    photos = data.photos["test"]
    some = [photos[i] for i in np.unique(np.linspace(0, len(photos) - 1, PHOTOS).astype(int))] if photos else []
    points = _points(data, some)
    if len(some) < 2:
        return None
    bare = len(some) - len(points)
    wide = spread(points) if len(points) > 1 else 0.0
    if 2 * bare <= len(some) and wide < SPREAD:
        return None
    told = f"no face was found in {bare} of {len(some)} photos" if 2 * bare > len(some) else ""
    told = told or f"faces lie {wide:.1f} inter-ocular distances apart from photo to photo"
    return (
        f"the photos look unaligned ({told}), and the recogniser expects faces at one place and size: set "
        "data.align=true, or align them once with `privacy-exp prepare people=DIR out=ALIGNED`."
    )


def spread(points: Float[np.ndarray, "n 5 2"]) -> float:
    """Root mean square distance of each face's points from the mean face's, in inter-ocular distances.

    Args:
        points: in pixels of frames of one size.
    """
    apart = np.linalg.norm(points[:, 0] - points[:, 1], axis=1).mean()
    distances = np.linalg.norm(points - points.mean(0), axis=2)
    return float(np.sqrt(np.square(distances).mean()) / max(apart, 1e-9))


def _points(data: FaceData, photos: Sequence[Photo]) -> Float[np.ndarray, "n 5 2"]:
    """Five points of each photo in which a face is known or found."""
    if all(photo.landmarks is not None for photo in photos):
        return np.array([photo.landmarks for photo in photos], np.float64).reshape(-1, 5, 2)
    pixels = torch.from_numpy(np.stack([data.read(photo) for photo in photos]))
    seen = detect_faces(pixels.permute(0, 3, 1, 2).float() / 255)
    return seen.landmarks[seen.found].numpy().astype(np.float64)
