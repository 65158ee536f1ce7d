"""Small blocks in random order."""

from dataclasses import dataclass, field

from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.random_patches import random_patches
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False)
class RandomPixels(Masker):
    """Blocks of a few pixels in random order: masks without any connected hole.

    Args:
        block_size: side of a block, in pixels; it is the granularity as well.
        region: see `InBlocks`.

    Example:
        >>> masks = RandomPixels().mask(Faces(["a"], torch.rand(1, 3, 32, 32)), mask_ratio=0.25)
        >>> int(masks.sum())
        256
    """

    blind = True

    block_size: int = 2
    granularity: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        if self.block_size < 1:
            raise UserError(f"`block_size` must be at least 1 pixel, but got {self.block_size}.")
        self.granularity = self.block_size
        super().__post_init__()

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """One random number per block."""
        del recognizer  # blind by design
        return random_patches(faces, self.block_size, generators)
