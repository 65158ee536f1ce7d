"""The original study's random patches."""

from dataclasses import dataclass

import torch
from torch import Generator, nn

from privacy_exp.masking.original_frame import OriginalMethod
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False, kw_only=True)
class OriginalRandom(OriginalMethod):
    """Patches drawn with replacement around the middle: about 26 % of the frame, never 75 %.

    Of the 9 × 9 = 81 patches that can be drawn, 144 draws meet 81 · (1 - (80 / 81)^144) = 67.5 on average, of 256.

    Args:
        patch_size: side of a patch, in pixels of the painted square.
        patches: how many are drawn, with replacement.
        first: first row and column that can be drawn, counted from 0.
        last: last row and column that can be drawn.
        crop: see `OriginalMethod`.
        size: see `OriginalMethod`.
        stretch: see `OriginalMethod`.

    Example:
        >>> masks = OriginalRandom().mask(Faces(["a"], torch.rand(1, 3, 218, 178)))
        >>> masks.shape, bool(0.15 < masks.float().mean() <= 81 / 256)
        (torch.Size([1, 1, 512, 512]), True)
    """

    blind = True

    patch_size: int = 32
    patches: int = 144
    first: int = 4
    last: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_size < 1 or self.size % self.patch_size:
            raise UserError(f"`patch_size` must divide `size` = {self.size}, but got {self.patch_size}.")
        rows = self.size // self.patch_size
        if not 0 <= self.first <= self.last < rows:
            raise UserError(
                f"`first` and `last` must be rows of the grid, 0 to {rows - 1}, but got {self.first}, {self.last}."
            )
        if self.patches < 0:
            raise UserError(f"`patches` must be at least 0, but got {self.patches}.")

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """1 on the drawn patches."""
        del recognizer  # blind by design
        side = self.size // self.patch_size
        grids = torch.zeros(len(faces.ids), side, side)
        for grid, g in zip(grids, generators, strict=True):
            rows, columns = torch.randint(self.first, self.last + 1, (2, self.patches), generator=g)
            grid[rows, columns] = 1
        whole = grids.repeat_interleave(self.patch_size, 1).repeat_interleave(self.patch_size, 2)
        return whole[:, None].to(faces.images.device)
