"""The original study's random patches."""

import torch
from torch import Generator, nn

from privacy_exp.masking.original_frame import OriginalMethod
from privacy_exp.types import Faces, Scores, UserError


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
    """

    blind = True

    def __init__(
        self, patch_size: int, patches: int, first: int, last: int, crop: int | None, size: int, stretch: bool
    ) -> None:
        super().__init__(crop, size, stretch)
        if patch_size < 1 or size % patch_size:
            raise UserError(f"`patch_size` must divide `size` = {size}, but got {patch_size}.")
        if not 0 <= first <= last < size // patch_size:
            raise UserError(
                f"`first` and `last` must be rows of the grid, 0 to {size // patch_size - 1}, but got {first}, {last}."
            )
        if patches < 0:
            raise UserError(f"`patches` must be at least 0, but got {patches}.")
        self.patch_size, self.patches, self.first, self.last = patch_size, patches, first, last

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
