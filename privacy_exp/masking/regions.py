"""Parts of the frame in which pixels may be hidden."""

from functools import lru_cache

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import UserError

WIDENED_BY = 0.6
"""How far the face region reaches beyond the hull of the five points, in inter-ocular distances."""


def face_region(landmarks: Float[Tensor, "5 2"], height: int, width: int) -> Bool[Tensor, "h w"]:
    """The face: the convex hull of the five points, widened by 0.6 inter-ocular distances.

    Args:
        landmarks: eyes, nose tip and mouth corners as (x, y), in pixels of the frame.
        height: of the frame, in pixels.
        width: of the frame, in pixels.

    Raises:
        UserError: a point further outside the frame than the frame is wide or high.

    Example:
        >>> points = torch.tensor([[20.0, 20.0], [44.0, 20.0], [32.0, 32.0], [24.0, 44.0], [40.0, 44.0]])
        >>> region = face_region(points, 64, 64)
        >>> bool(region[32, 32]), bool(region[0, 0])
        (True, False)
    """
    points = landmarks.detach().cpu().double().numpy()
    if not ((points >= [-width, -height]) & (points <= [2 * width, 2 * height])).all():
        raise UserError(
            f"`landmarks` must lie on the frame of {width}x{height} pixels (width x height) or near it, but got "
            f"{points.tolist()}; correct them, or use `masking.region=frame`."
        )
    return _face_region(tuple(points.flatten().tolist()), height, width)


@lru_cache(maxsize=256)  # a run asks three times for each image: the largest share, the mask, the share of the face
def _face_region(landmarks: tuple[float, ...], height: int, width: int) -> Bool[Tensor, "h w"]:
    points = np.array(landmarks).reshape(5, 2)
    reach = WIDENED_BY * float(np.linalg.norm(points[1] - points[0]))
    # drawn on a margin, so that a hull which leaves the frame still measures its distances right
    margin = int(np.ceil(reach)) + 1
    canvas = np.ones((height + 2 * margin, width + 2 * margin), np.uint8)
    hull = cv2.convexHull(np.rint(points + margin).astype(np.int32))
    cv2.fillConvexPoly(canvas, hull, 0)
    distance = cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return torch.from_numpy(distance[margin : margin + height, margin : margin + width] <= reach)


def seen_region(recognizer: nn.Module | None, height: int, width: int) -> Bool[Tensor, "h w"]:
    """What the recogniser's crop or alignment shows it of a frame.

    Args:
        recognizer: a `Recognizer`.
        height: of the frame, in pixels.
        width: of the frame, in pixels.

    Raises:
        UserError: no recogniser that can say where it looks.
    """
    if not isinstance(recognizer, Recognizer):
        raise UserError(
            "`region: seen` is what a recogniser's crop shows it: give one with recognition.checkpoint=RUN_OR_FILE, "
            "or use `masking.region=frame`."
        )
    return recognizer.locate(torch.ones(1, 1, 1, 1), height, width)[0, 0] > 0
