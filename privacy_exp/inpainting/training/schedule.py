"""How long a stage trains, how fast, and when it looks at the people held out."""

import math
from dataclasses import dataclass

from privacy_exp.types import UserError


@dataclass(frozen=True)
class Schedule:
    """Steps of a stage and what happens at which of them.

    Attributes:
        steps: optimiser steps in all.
        batch_size: photos per step, in each process.
        lr: highest learning rate, reached after `warmup`; it falls to a hundredth along a cosine.
        warmup: steps.
        weight_decay: of AdamW.
        ema: decay of the moving average, in [0, 1); early steps use less.
        validate_every: steps between looks at the people held out, where the average of the weights is kept if it is
            the best so far. None never looks, and the last average counts.
        patience: looks without a better one before the stage ends. None never ends it.

    Raises:
        UserError: a value out of range.

    Example:
        >>> schedule = Schedule(steps=100, batch_size=8, lr=1e-3, warmup=10)
        >>> [round(schedule.share_of_lr(step), 3) for step in (0, 9, 55, 100)]
        [0.1, 1.0, 0.505, 0.01]
    """

    steps: int
    batch_size: int
    lr: float
    warmup: int
    weight_decay: float = 0.0
    ema: float = 0.995
    validate_every: int | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("batch_size", self.batch_size)):
            if value < 1:
                raise UserError(f"`{name}` must be at least 1, but got {value}.")
        if not 0 <= self.ema < 1:
            raise UserError(f"`ema` must lie in [0, 1), but got {self.ema}.")
        if self.patience is not None and (self.validate_every is None or self.patience < 1):
            raise UserError(
                f"`patience` must be at least 1 and needs `validate_every`, but got {self.patience} and "
                f"{self.validate_every}."
            )

    def looks(self, step: int) -> bool:
        """Whether the people held out are looked at before this step."""
        return self.validate_every is not None and step > 0 and step % self.validate_every == 0

    def decay(self, step: int) -> float:
        """Decay of the moving average at a step; the first ones follow the weights closely."""
        return min(self.ema, (1 + step) / (10 + step))

    def share_of_lr(self, step: int) -> float:
        """Learning rate at a step, as a share of the highest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
