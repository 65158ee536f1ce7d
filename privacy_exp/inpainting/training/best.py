"""The best averaged weights so far, and how long ago they were found."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class BestAverage(nn.Module):
    """Keeps the weights with the highest score; part of the checkpoint, so that a resumed training remembers.

    Args:
        weights: what will be offered, for its shapes.

    Attributes:
        score: the best.
        step: of the best; 0 before the first offer.
        waited: offers since.
        looked_at: step of the last offer.
        stopped: whether the training ended early.
    """

    score: Tensor
    step: Tensor
    waited: Tensor
    looked_at: Tensor
    stopped: Tensor

    def __init__(self, weights: Iterable[Tensor]) -> None:
        super().__init__()
        self.weights = nn.ParameterList([w.detach().clone() for w in weights]).requires_grad_(False)
        self.register_buffer("score", torch.tensor(float("-inf")))
        self.register_buffer("stopped", torch.tensor(False))
        for name in ("step", "waited", "looked_at"):
            self.register_buffer(name, torch.tensor(0))

    @torch.no_grad()
    def offer(self, score: float, step: int, weights: Iterable[Tensor]) -> int:
        """Keeps the weights if their score is higher than any before; returns how many offers ago that was.

        Args:
            score: higher is better.
            step: of the training.
            weights: as many and as large as those of the constructor.
        """
        self.looked_at.fill_(step)
        self.waited += 1
        if score > float(self.score):
            self.score.fill_(score)
            self.step.fill_(step)
            self.waited.zero_()
            for kept, weight in zip(self.weights, weights, strict=True):
                kept.copy_(weight)
        return int(self.waited)
