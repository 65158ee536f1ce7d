"""Small blocks in random order."""

from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.random_patches import random_patches
from privacy_exp.types import Faces, Scores, UserError


class RandomPixels(Masker):
    """Blocks of a few pixels in random order: masks without any connected hole.

    Args:
        block_size: side of a block, in pixels; it is the granularity as well.
        region: see `Masker`.
    """

    blind = True

    def __init__(self, block_size: int, region: str = "frame") -> None:
        if block_size < 1:
            raise UserError(f"`block_size` must be at least 1 pixel, but got {block_size}.")
        super().__init__(granularity=block_size, region=region)

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """One random number a block."""
        del recognizer  # blind by design
        return random_patches(faces, self.granularity, generators)
