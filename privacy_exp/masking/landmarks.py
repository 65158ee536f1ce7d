"""Eyes, nose, mouth, then the rest."""

from collections.abc import Sequence

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.recognition.detection import five_points
from privacy_exp.types import Faces, Scores, UserError

PARTS = {"eyes": (0, 1), "nose": (2,), "mouth": (3, 4)}
"""Parts of a face and which of the five points belong to them."""


class Landmarks(Masker):
    """Disks around the parts of the face in a given order, then everything else by its distance to them.

    Args:
        order: parts, first hidden first: a permutation of some of eyes, nose, mouth.
        radius: of a part, in inter-ocular distances.
        granularity: see `Masker`.
        region: see `Masker`.
    """

    blind = True
    draws = False

    def __init__(self, order: Sequence[str], radius: float, granularity: int = 8, region: str = "frame") -> None:
        super().__init__(granularity, region)
        if not order or len(set(order)) != len(order) or not set(order) <= set(PARTS):
            raise UserError(f"`order` must name some of {', '.join(PARTS)}, each once, but got {list(order)}.")
        if radius <= 0:
            raise UserError(f"`radius` must be positive, but got {radius}.")
        self.order, self.radius = list(order), radius

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """The part's place in the order inside its disks; inside and outside, nearer goes first."""
        del recognizer, generators  # blind by design, and nothing is drawn
        points = five_points(faces)
        height, width = faces.images.shape[-2:]
        grid = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), -1).to(points)
        rows = []
        for face in points:
            reach = (self.radius * (face[1] - face[0]).norm()).clamp(min=1e-6)
            scores = torch.full((height, width), -torch.inf).to(points)
            for place, part in enumerate(self.order):
                distance = torch.stack([(grid - face[i]).norm(dim=-1) for i in PARTS[part]]).amin(0) / reach
                # inside its disk a part outranks all later ones; outside only the distance counts
                near = len(self.order) - place + 1 - distance
                scores = torch.maximum(scores, torch.where(distance <= 1, near, -distance))
            rows.append(scores)
        return torch.stack(rows)[:, None]
