"""How a recogniser is trained, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from privacy_exp.cache.configured import Configured
from privacy_exp.types import UserError

OPTIMIZERS = ("adamw", "sgd", "adam")
KEEP = ("best", "last")
VALIDATE_ON = ("val", "train")

TRAINER: Mapping[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "precision": "32-true",
    "deterministic": True,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": True,
}
"""Keywords of Lightning's trainer where none are given: one CPU, the same seed gives the same weights."""


@dataclass(frozen=True)
class FitRecipe(Configured):
    """Loss, optimiser, schedule, augmentation and the choice of an epoch.

    Args:
        max_epochs: the schedule's length; early stopping may end it sooner.
        lr: the peak of the one-cycle schedule, or the start where there are `milestones`.
        weight_decay: of weights; biases, normalisation and single directions are left out.
        optimizer: "adamw", "sgd" (Nesterov, momentum 0.9), or "adam", whose weight decay is part of the gradient.
        label_smoothing: share of the target spread over all identities.
        augment: mirror half of the photos and shift each by up to an eighth of its side. Without it a frozen trunk runs
            once per photo, not once per epoch.
        patience: epochs without a better validation accuracy before the fit stops; None never stops early.
        milestones: epochs after which the learning rate falls to a tenth; None runs the one-cycle schedule.
        keep: "best" epoch by validation accuracy (the later of equals), or the "last".
        validate_on: "val" photos, or "train", the original study's slip: its curve shows photos that were learnt.

    Raises:
        UserError: a value out of range.

    Example:
        >>> FitRecipe(max_epochs=8).lr
        0.001
    """

    max_epochs: int = 4
    lr: float = 1e-3
    weight_decay: float = 0.01
    optimizer: str = "adamw"
    label_smoothing: float = 0.0
    augment: bool = False
    patience: int | None = None
    milestones: Sequence[int] | None = None
    keep: str = "best"
    validate_on: str = "val"

    def __post_init__(self) -> None:
        """Checks every value before anything is computed."""
        for name, value, allowed in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("keep", self.keep, KEEP),
            ("validate_on", self.validate_on, VALIDATE_ON),
        ):
            if value not in allowed:
                raise UserError(f"`{name}` must be one of {', '.join(allowed)}, but got {value!r}.")
        if self.max_epochs < 1:
            raise UserError(f"`max_epochs` must be at least 1, but got {self.max_epochs}.")
        if not 0 <= self.label_smoothing < 1:
            raise UserError(f"`label_smoothing` must lie in [0, 1), but got {self.label_smoothing}.")
        if self.lr <= 0:
            raise UserError(f"`lr` must be positive, but got {self.lr}.")
        if self.patience is not None and self.patience < 1:
            raise UserError(
                f"`patience` must be at least 1 epoch, or null to never stop early, but got {self.patience}."
            )

    def longer(self, times: int) -> "FitRecipe":
        """The same recipe stretched to so many times its epochs, with the same peak of the schedule.

        Args:
            times: at least 1.

        Example:
            >>> FitRecipe(max_epochs=8, milestones=[5]).longer(3).milestones
            [15]
        """
        return replace(
            self,
            max_epochs=times * self.max_epochs,
            patience=None if self.patience is None else times * self.patience,
            milestones=None if self.milestones is None else [times * epoch for epoch in self.milestones],
        )
