"""Eyes, nose, mouth, then the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.recognition.detection import five_points
from privacy_exp.types import Faces, Scores, UserError

PARTS = {"eyes": (0, 1), "nose": (2,), "mouth": (3, 4)}
"""Parts of a face and which of the five points belong to them."""


@dataclass(eq=False)
class LandmarkRegions(Masker):
    """Disks around the parts of the face in a given order, then everything else by its distance to them.

    Args:
        order: parts, first hidden first: a permutation of some of eyes, nose, mouth.
        radius: of a part, in inter-ocular distances.

    Example:
        >>> points = torch.tensor([[[10.0, 12.0], [22.0, 12.0], [16.0, 18.0], [12.0, 24.0], [20.0, 24.0]]])
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32), landmarks=points)
        >>> masks = LandmarkRegions().mask(faces, mask_ratio=0.25)
        >>> int(masks.sum())
        256
    """

    blind = True
    draws = False

    order: Sequence[str] = ("eyes", "nose", "mouth")
    radius: float = 0.45

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.order or len(set(self.order)) != len(self.order) or not set(self.order) <= set(PARTS):
            raise UserError(f"`order` must name some of {', '.join(PARTS)}, each once, but got {list(self.order)}.")
        if not self.radius > 0:
            raise UserError(f"`radius` must be positive, but got {self.radius}.")

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
