"""Square patches in random order."""

from dataclasses import dataclass

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.budget import block_index
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False)
class RandomPatches(Masker):
    """Square patches in random order: the control that every guided method must beat.

    Args:
        patch_size: side of a patch, in pixels.

    Example:
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32))
        >>> masks = RandomPatches().mask(faces, mask_ratio=0.25)
        >>> int(masks.sum())
        256

    Reference: He et al., Masked Autoencoders Are Scalable Vision Learners, 2022.
    """

    blind = True

    patch_size: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_size < 1:
            raise UserError(f"`patch_size` must be at least 1 pixel, but got {self.patch_size}.")

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """One random number a patch."""
        del recognizer  # blind by design
        return random_patches(faces, self.patch_size, generators)


def random_patches(faces: Faces, side: int, generators: list[Generator]) -> Scores:
    """Uniform random numbers, constant on squares of `side` pixels, each image's from its own generator."""
    height, width = faces.images.shape[-2:]
    patches, count = block_index(height, width, side)
    return torch.stack([torch.rand(count, generator=g)[patches] for g in generators])[:, None]
