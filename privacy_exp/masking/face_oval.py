"""The face before its surroundings."""

from dataclasses import dataclass

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.recognition.detection import five_points
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False)
class FaceOval(Masker):
    """From the middle of the face outwards, in ovals around the five points.

    Args:
        aspect: height of the oval / its width.

    Example:
        >>> points = torch.tensor([[[10.0, 12.0], [22.0, 12.0], [16.0, 18.0], [12.0, 24.0], [20.0, 24.0]]])
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32), landmarks=points)
        >>> masks = FaceOval().mask(faces, mask_ratio=0.25)
        >>> int(masks.sum())
        256
    """

    blind = True
    draws = False

    aspect: float = 1.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.aspect > 0:
            raise UserError(f"`aspect` must be positive, but got {self.aspect}.")

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Minus the distance to the mean of the five points, measured along the upright and the eyes' line."""
        del recognizer, generators  # blind by design, and nothing is drawn
        points = five_points(faces)
        height, width = faces.images.shape[-2:]
        y = torch.arange(height).to(points)[:, None]
        x = torch.arange(width).to(points)[None]
        rows = []
        for face in points:
            across = face[1] - face[0]
            unit = across / across.norm().clamp(min=1e-6)
            dx, dy = x - face[:, 0].mean(), y - face[:, 1].mean()
            along, upright = dx * unit[0] + dy * unit[1], -dx * unit[1] + dy * unit[0]
            rows.append(-torch.sqrt(along**2 + (upright / self.aspect) ** 2))
        return torch.stack(rows)[:, None]
