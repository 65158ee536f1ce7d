"""What the stages of an inpainter's training share: steps that can be repeated, and averaged weights."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Generator, Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.training.best import BestAverage
from privacy_exp.inpainting.training.faces import TrainingFaces
from privacy_exp.inpainting.training.schedule import Schedule
from privacy_exp.types import UserError

log = logging.getLogger(__name__)


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
        compile: compile the networks with torch.compile; minutes at first, then faster.
        schedule: keywords of `Schedule`.
    """

    def __init__(
        self,
        networks: dict[str, nn.Module],
        faces: TrainingFaces,
        stage: str,
        seed: int,
        compile: bool,
        **schedule: Any,
    ) -> None:
        super().__init__()
        self.schedule = Schedule(**schedule)
        looks = self.schedule.validate_every
        if looks is not None and not (looks >= 1 and len(faces.held_out)):
            raise UserError(
                f"`{stage}.validate_every` must be at least 1 and needs people held out, but got {looks} and "
                f"{len(faces.held_out)} photos of such people. Set `held_out_people`, to 0.1 say."
            )
        self.networks = nn.ModuleDict(networks)
        self.average = nn.ParameterList([p.detach().clone() for p in self.trained()]).requires_grad_(False)
        self.best = BestAverage(self.average) if looks is not None else None
        self.strict_loading = False  # what is frozen comes from `init_from`, not from the checkpoint
        self.faces = faces
        self.stage, self.seed = stage, seed
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
    def held_out(self) -> tuple[float, dict[str, float]]:
        """A score of the networks as they are, on people held out, higher is better; and what is worth logging."""

    @abstractmethod
    def compile_networks(self) -> None:
        """Compiles what is run in every step, in place."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step; the batch is drawn here. Before it comes the look at the people held out, where it is due.

        A checkpoint is written after a step: a look there would be lost to a training that resumes from it.

        Args:
            batch: ignored.
            batch_idx: ignored; the optimiser's step counts.
        """
        del batch, batch_idx
        if self.schedule.looks(self.global_step):
            self.log_dict({f"held_out/{name}": value for name, value in self.look().items()}, batch_size=1)
        others = [] if self.trainer.world_size == 1 else [str(self.trainer.global_rank)]
        draws = generator(self.seed, self.stage, str(self.global_step), *others)
        rows = torch.randint(len(self.faces.pixels), (self.schedule.batch_size,), generator=draws)
        values = self.loss(rows, draws)
        logged = {f"train/{name}": value.detach() for name, value in values.items()}
        self.log_dict(logged, batch_size=self.schedule.batch_size)
        return values["loss"]

    def optimizer_step(self, *args: Any, **keys: Any) -> None:
        """Moves the average along with the weights: at the batch's end a checkpoint may have been written already.

        Args:
            args: Lightning's.
            keys: Lightning's.
        """
        super().optimizer_step(*args, **keys)
        decay = self.schedule.decay(self.global_step + 1)  # this step is counted later
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average), self.trained(), 1 - decay)

    def trained(self) -> list[Tensor]:
        """The weights that are trained."""
        return [weight for weight in self.networks.parameters() if weight.requires_grad]

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimiser: all alike, unless a stage says otherwise."""
        return [{"params": self.trained()}]

    def on_train_end(self) -> None:
        """Looks at the people held out once more."""
        if self.best is not None and self.global_step != int(self.best.looked_at):
            shown = "  ".join(f"{name} {value:.4f}" for name, value in self.look().items())
            log.info("at the end, people held out: %s; best at step %d", shown, int(self.best.step))

    @torch.no_grad()
    def look(self) -> dict[str, float]:
        """Measures the average on people held out, keeps it if it is the best, ends the stage if it is time to."""
        assert self.best is not None  # noqa: S101  asked for
        own = [weight.detach().clone() for weight in self.trained()]
        self._put(self.average)
        score, found = self.held_out()
        self._put(own)
        waited = self.best.offer(score, self.global_step, self.average)
        if self.schedule.patience is not None and waited >= self.schedule.patience:
            log.info("%s: ends early; it was best at step %d", self.stage, int(self.best.step))
            self.best.stopped.fill_(True)
            self.trainer.should_stop = True
        return found

    def take_average(self) -> None:
        """Puts the averaged weights into the networks, for good: the best ones, if there was a look."""
        self._put(self.best.weights if self.best is not None and int(self.best.step) else self.average)

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
        lr, decay = self.schedule.lr, self.schedule.weight_decay
        optimizer = torch.optim.AdamW(self.groups(), lr=lr, betas=(0.9, 0.99), weight_decay=decay)
        # a plain function, which checkpoints leave out; of a bound method they would keep the attributes
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.schedule.share_of_lr(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

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
