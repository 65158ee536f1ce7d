"""Random masks, weighted by how far each moves the embedding."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.target import embedding_change
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False)
class RISE(Masker):
    """Greys random coarse masks and averages, at each pixel, how far the embedding moves when it is greyed.

    Args:
        samples: masks an image, each image's from its own generator.
        cells: cells of the coarse grid along a side.
        hidden: share of cells greyed in a mask.
        batch_size: masked images at a time.

    Example:
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> masks = RISE(samples=4).mask(Faces(["a"], torch.rand(1, 3, 32, 32)), net, mask_ratio=0.25)
        >>> int(masks.sum())
        256

    Reference: Petsiuk, Das, Saenko, RISE, 2018.
    """

    samples: int = 64
    cells: int = 6
    hidden: float = 0.5
    batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("samples", self.samples), ("cells", self.cells), ("batch_size", self.batch_size)):
            if value < 1:
                raise UserError(f"`{name}` must be at least 1, but got {value}.")
        if not 0 < self.hidden < 1:
            raise UserError(f"`hidden` must lie in (0, 1), but got {self.hidden}.")

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Mean change of the embedding over the masks that grey a pixel."""
        size = faces.images.shape[-2:]
        masks = torch.stack([self._masks(g, size) for g in generators]).to(faces.images.device)
        changes = embedding_change(recognizer, faces.images, masks, self.batch_size)
        covered = masks.float().flatten(2)
        scores = torch.einsum("nm,nmp->np", changes, covered) / covered.sum(1).clamp(min=1)
        return scores.view(-1, 1, *size)

    def _masks(self, generator: Generator, size: torch.Size) -> torch.Tensor:
        """Coarse random grids, enlarged smoothly and shifted at random, cut at the level that hides the asked share."""
        coarse = torch.rand(self.samples, 1, self.cells + 1, self.cells + 1, generator=generator)
        steps = [-(-side // self.cells) for side in size]
        large = F.interpolate(
            coarse, [steps[i] * (self.cells + 1) for i in (0, 1)], mode="bilinear", align_corners=False
        )[:, 0]
        down = torch.randint(0, steps[0], (self.samples,), generator=generator).tolist()
        right = torch.randint(0, steps[1], (self.samples,), generator=generator).tolist()
        cut = [large[i, y : y + size[0], x : x + size[1]] for i, (y, x) in enumerate(zip(down, right, strict=True))]
        smooth = torch.stack(cut)
        level = smooth.flatten(1).quantile(1 - self.hidden, dim=1)
        return smooth > level[:, None, None]
