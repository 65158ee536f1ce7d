"""Which patch, when greyed, moves the embedding most."""

from dataclasses import dataclass

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.target import embedding_change
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False)
class Occlusion(Masker):
    """Greys one patch after the other and asks how far the embedding moves: works on black boxes.

    Args:
        patch: side of the patch as a share of the frame's shorter side, in (0, 1]; rounded to pixels. A share, so that
            large frames do not cost more forward passes than small ones.
        stride: step between patches, as a share of the same side.
        batch_size: occluded images at a time.

    Example:
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> masks = Occlusion(stride=0.25).mask(Faces(["a"], torch.rand(1, 3, 32, 32)), net, mask_ratio=0.25)
        >>> int(masks.sum())
        256

    Reference: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014.
    """

    draws = False

    patch: float = 0.25
    stride: float = 0.125
    batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("patch", self.patch), ("stride", self.stride)):
            if not 0 < value <= 1:
                raise UserError(f"`{name}` is a share of the shorter side and must lie in (0, 1], but got {value}.")
        if self.batch_size < 1:
            raise UserError(f"`batch_size` must be at least 1, but got {self.batch_size}.")

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
