"""A step at a time, asking again after each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.budget import hide
from privacy_exp.masking.grad_cam import GradCAM
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False)
class Iterative(Masker):
    """Hides a step, asks the base method again about what is left, and so on: the order of hiding is the ranking.

    Args:
        base: any method that ranks; its own granularity and region are not used.
        steps: how often it is asked; each step hides 1 / steps of the frame.

    Example:
        >>> from privacy_exp.masking.center import Center
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32))
        >>> int(Iterative(Center(), steps=4).mask(faces, mask_ratio=0.25).sum())
        256
    """

    base: Masker = GradCAM()  # noqa: RUF009 - scoring leaves a method as it is
    steps: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranks(self.base)
        self.blind = self.base.blind
        if self.steps < 1:
            raise UserError(f"`steps` must be at least 1, but got {self.steps}.")

    def fit(self, train: Iterable[Faces], recognizer: nn.Module | None) -> None:
        """Lets the base method learn."""
        self.base.fit(train, recognizer)

    def scoring_keys(self) -> dict[str, Any]:
        """See `BaseMasker`; the steps hide whole blocks, so here their size decides the scores too."""
        return {**super().scoring_keys(), "granularity": self.granularity}

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Minus the number of the step in which a pixel goes; within a step the base's ranking decides."""
        hidden = torch.zeros_like(faces.images[:, :1], dtype=torch.bool)
        scores = torch.zeros_like(faces.images[:, :1])
        grey = faces.images.mean((2, 3), keepdim=True)
        for step in range(self.steps):
            left = faces._replace(images=torch.where(hidden, grey, faces.images))
            ranking = _ranks(self.base.score(left, recognizer, generators))
            share = (step + 1) / self.steps
            keyed = torch.where(hidden, 2.0, ranking)  # what is hidden stays hidden
            now = [hide(k, share, self.granularity, None, g) for k, g in zip(keyed[:, 0], generators, strict=True)]
            new = torch.stack(now)[:, None].to(hidden.device) & ~hidden
            scores = torch.where(new, ranking - step, scores)
            hidden |= new
        return scores


def check_ranks(base: object) -> None:
    """Nothing, if `base` is a method that ranks.

    Raises:
        UserError: it is not.
    """
    if not isinstance(base, Masker):
        raise UserError(f"`base` must be a method that ranks pixels, but {type(base).__name__} chooses its own area.")


def _ranks(scores: Scores) -> Scores:
    """Ranks of an image's pixels in [0, 1); ties share one, so that they stay ties."""
    rows = []
    for row in scores.flatten(1):
        _, index, counts = row.unique(sorted=True, return_inverse=True, return_counts=True)
        below = counts.cumsum(0) - counts
        rows.append((below + (counts - 1) / 2)[index] / len(row))
    return torch.stack(rows).view_as(scores).to(torch.float32)


def mean_rank(scores: Iterable[Scores]) -> Scores:
    """Mean over several methods of each pixel's rank."""
    return torch.stack([_ranks(s) for s in scores]).mean(0)
