"""What the stages of an inpainter's training share: steps that can be repeated, and averaged weights."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Generator, Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.training.faces import TrainingFaces
from privacy_exp.types import UserError


class _Steps(IterableDataset[int]):
    """An endless stream: a step draws its own batch from its number, so that a resumed training repeats it."""

    def __iter__(self) -> Iterator[int]:
        step = 0
        while True:
            yield step
            step += 1


class StepTraining(pl.LightningModule, ABC):
    """A training in which all that is random in a step follows from (seed, stage, step) alone.

    A killed training that resumes from a checkpoint therefore ends with the weights of an undisturbed one. A moving
    average of the weights is kept beside them; it is what gets exported.

    Args:
        networks: what is trained.
        faces: the photos.
        stage: name of the stage.
        seed: decides the batches, masks, noise and captions.
        steps: optimiser steps in all.
        batch_size: photos a step, in each process.
        lr: highest learning rate, reached after `warmup`; it falls to a hundredth along a cosine.
        warmup: steps.
        weight_decay: of AdamW.
        ema: decay of the moving average, in [0, 1); early steps use less.
        compile: compile the networks with torch.compile; minutes at first, then faster.
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        faces: TrainingFaces,
        stage: str,
        seed: int,
        steps: int,
        batch_size: int,
        lr: float,
        warmup: int,
        weight_decay: float,
        ema: float,
        compile: bool,
    ) -> None:
        super().__init__()
        for name, value in (("steps", steps), ("batch_size", batch_size)):
            if value < 1:
                raise UserError(f"`{name}` must be at least 1, but got {value}.")
        if not 0 <= ema < 1:
            raise UserError(f"`ema` must lie in [0, 1), but got {ema}.")
        self.networks = nn.ModuleDict(networks)
        self.average = nn.ParameterList([p.detach().clone() for p in self.trained()]).requires_grad_(False)
        self.strict_loading = False  # what is frozen comes from `init_from`, not from the checkpoint
        self.faces = faces
        self.stage, self.seed, self.steps, self.batch_size = stage, seed, steps, batch_size
        self.lr, self.warmup, self.weight_decay, self.ema = lr, warmup, weight_decay, ema
        if compile:
            self.compile_networks()

    def on_fit_start(self) -> None:
        """Moves the photos to the device: a step then sends there no more than its random numbers."""
        self.faces = self.faces.to(self.device)

    @abstractmethod
    def loss(self, rows: Tensor, generator: Generator) -> dict[str, Tensor]:
        """The loss as "loss" and what else is worth logging, for one batch.

        Args:
            rows: indices into the photos.
            generator: of this step.
        """

    @abstractmethod
    def compile_networks(self) -> None:
        """Compiles what is run in every step, in place."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step; the batch is drawn here.

        Args:
            batch: ignored.
            batch_idx: ignored; the optimiser's step counts.
        """
        del batch, batch_idx
        others = [] if self.trainer.world_size == 1 else [str(self.trainer.global_rank)]
        draws = generator(self.seed, self.stage, str(self.global_step), *others)
        rows = torch.randint(len(self.faces.pixels), (self.batch_size,), generator=draws)
        values = self.loss(rows, draws)
        self.log_dict({f"train/{name}": value.detach() for name, value in values.items()}, batch_size=self.batch_size)
        return values["loss"]

    def optimizer_step(self, *args: Any, **keys: Any) -> None:
        """Moves the average along with the weights: at the batch's end a checkpoint may have been written already.

        Args:
            args: Lightning's.
            keys: Lightning's.
        """
        super().optimizer_step(*args, **keys)
        steps = self.global_step + 1  # this one is counted later
        decay = min(self.ema, (1 + steps) / (10 + steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average), self.trained(), 1 - decay)

    def trained(self) -> list[Tensor]:
        """The weights that are trained."""
        return [weight for weight in self.networks.parameters() if weight.requires_grad]

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimiser: all alike, unless a stage says otherwise."""
        return [{"params": self.trained()}]

    def take_average(self) -> None:
        """Puts the averaged weights into the networks, for good."""
        self._put(self.average)

    @torch.no_grad()
    def _put(self, weights: Iterable[Tensor]) -> None:
        for weight, value in zip(self.trained(), weights, strict=True):
            weight.copy_(value)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leaves out what is frozen: a LoRA's checkpoint needs no second copy of its base.

        Args:
            checkpoint: about to be written.
        """
        frozen = {name for name, weight in self.networks.named_parameters("networks") if not weight.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k not in frozen}

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and a cosine, by step."""
        optimizer = torch.optim.AdamW(self.groups(), lr=self.lr, betas=(0.9, 0.99), weight_decay=self.weight_decay)
        # a plain function, which checkpoints leave out; of a bound method they would keep the attributes
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._share_of_lr(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _share_of_lr(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def train_dataloader(self) -> DataLoader[int]:
        """Step numbers without end; `max_steps` of the trainer stops."""
        return DataLoader(_Steps(), batch_size=None)


def log_line(step: int, steps: int, seconds: float, values: dict[str, float], order: Sequence[str]) -> str:
    """One line of progress.

    Args:
        step: steps done.
        steps: steps in all.
        seconds: since the line before, a step.
        values: logged values by name.
        order: which of them to print.
    """
    shown = "  ".join(f"{name.removeprefix('train/')} {values[name]:.4f}" for name in order if name in values)
    return f"{step:6d}/{steps}  {seconds * 1000:.0f} ms/step  {shown}"
