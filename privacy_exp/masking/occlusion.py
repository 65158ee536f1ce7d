"""Which patch, when greyed, moves the embedding most."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.target import embedding_change
from privacy_exp.types import Faces, Scores, UserError


class Occlusion(Masker):
    """Greys one patch after the other and asks how far the embedding moves: works on black boxes.

    Args:
        patch: side of the patch as a share of the frame's shorter side, in (0, 1]; rounded to pixels. A share, so that
            large frames do not cost more forward passes than small ones.
        stride: step between patches, as a share of the same side.
        batch_size: occluded images at a time.
        granularity: see `Masker`.
        region: see `Masker`.

    Reference: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014.
    """

    draws = False

    def __init__(
        self, patch: float, stride: float, batch_size: int, granularity: int = 8, region: str = "frame"
    ) -> None:
        super().__init__(granularity, region)
        for name, value in (("patch", patch), ("stride", stride)):
            if not 0 < value <= 1:
                raise UserError(f"`{name}` is a share of the shorter side and must lie in (0, 1], but got {value}.")
        if batch_size < 1:
            raise UserError(f"`batch_size` must be at least 1, but got {batch_size}.")
        self.patch, self.stride, self.batch_size = patch, stride, batch_size

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Mean change of the embedding over the patches that cover a pixel."""
        del generators  # nothing is drawn
        height, width = faces.images.shape[-2:]
        patch, stride = (max(1, round(share * min(height, width))) for share in (self.patch, self.stride))
        windows = []
        for top in range(0, max(height - patch, 0) + stride, stride):
            for left in range(0, max(width - patch, 0) + stride, stride):
                window = torch.zeros(height, width, dtype=torch.bool)
                window[top : top + patch, left : left + patch] = True
                windows.append(window)
        hidden = torch.stack([w for w in windows if w.any()]).to(faces.images.device)
        changes = embedding_change(recognizer, faces.images, hidden.expand(len(faces.ids), -1, -1, -1), self.batch_size)
        covered = hidden.float().flatten(1)
        scores = (changes @ covered) / covered.sum(0).clamp(min=1)
        return scores.view(-1, 1, height, width)
