"""Which patch, when greyed, moves the embedding most."""

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.budget import block_index
from privacy_exp.masking.target import embedding_change
from privacy_exp.types import Faces, Scores


class Occlusion(Masker):
    """Greys one patch after the other and asks how far the embedding moves: works on black boxes.

    Args:
        patch_size: side of the patch, in pixels.
        stride: step between patches, in pixels.
        batch_size: occluded images at a time.
        granularity: see `Masker`.
        region: see `Masker`.

    Reference: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014.
    """

    draws = False

    def __init__(
        self, patch_size: int, stride: int, batch_size: int, granularity: int = 8, region: str = "frame"
    ) -> None:
        super().__init__(granularity, region)
        for name, value in (("patch_size", patch_size), ("stride", stride), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, but got {value}.")
        self.patch_size, self.stride, self.batch_size = patch_size, stride, batch_size

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Mean change of the embedding over the patches that cover a pixel."""
        del generators  # nothing is drawn
        height, width = faces.images.shape[-2:]
        cells, _ = block_index(height, width, self.stride)
        tops = range(0, max(height - self.patch_size, 0) + self.stride, self.stride)
        lefts = range(0, max(width - self.patch_size, 0) + self.stride, self.stride)
        windows = []
        for top in tops:
            for left in lefts:
                window = torch.zeros_like(cells, dtype=torch.bool)
                window[top : top + self.patch_size, left : left + self.patch_size] = True
                windows.append(window)
        hidden = torch.stack([w for w in windows if w.any()]).to(faces.images.device)
        changes = embedding_change(recognizer, faces.images, hidden.expand(len(faces.ids), -1, -1, -1), self.batch_size)
        covered = hidden.float().flatten(1)
        scores = (changes @ covered) / covered.sum(0).clamp(min=1)
        return scores.view(-1, 1, height, width)
