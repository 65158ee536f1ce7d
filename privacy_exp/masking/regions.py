"""Parts of the frame that the landmarks define."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

WIDENED_BY = 0.6
"""How far the face region reaches beyond the hull of the five points, in inter-ocular distances."""


def face_region(landmarks: Float[Tensor, "5 2"], height: int, width: int) -> Bool[Tensor, "h w"]:
    """The face: the convex hull of the five points, widened by 0.6 inter-ocular distances.

    Args:
        landmarks: eyes, nose tip and mouth corners as (x, y), in pixels of the frame.
        height: of the frame, in pixels.
        width: of the frame, in pixels.
    """
    points = landmarks.detach().cpu().numpy().astype(np.float64)
    reach = WIDENED_BY * float(np.linalg.norm(points[1] - points[0]))
    # drawn on a margin, so that a hull which leaves the frame still measures its distances right
    margin = int(np.ceil(reach)) + 1
    canvas = np.ones((height + 2 * margin, width + 2 * margin), np.uint8)
    hull = cv2.convexHull(np.rint(points + margin).astype(np.int32))
    cv2.fillConvexPoly(canvas, hull, 0)
    distance = cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside = distance[margin : margin + height, margin : margin + width] <= reach
    return torch.from_numpy(np.ascontiguousarray(inside))
