"""An epoch of the default recogniser's fit against the same steps on one cached batch: what reading photos costs."""

import time
from typing import Any

import torch
from pytorch_lightning import Callback, LightningDataModule, Trainer
from timing import Line, Times, duration, ratio
from torch.utils.data import DataLoader

from privacy_exp.data.drawn.faces import DrawnFaces
from privacy_exp.recognition.facenet import FaceNet
from privacy_exp.recognition.module import RecognitionModule
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.types import Faces


def lines(rounds: int = 5) -> list[Line]:
    """The table of the input pipeline.

    Args:
        rounds: epochs of each kind, in turns, after one of each that warms up.
    """
    data = DrawnFaces(identities=10, photos_per_identity=20, batch_size=16)
    data.setup()
    taken = Turns(data)
    clock = Clock(taken)
    net = FaceNet(image_size=80).for_people(len(data.identities), data.template())
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=2 * (rounds + 1),
        callbacks=[clock],
        enable_progress_bar=False,
        reload_dataloaders_every_n_epochs=1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        **quiet,
    )
    trainer.fit(RecognitionModule(net, FitRecipe(max_epochs=trainer.max_epochs)), taken)
    seconds = {kind: times[1:] for kind, times in clock.seconds.items()}
    read, cached = seconds["read"], seconds["cached"]
    return [
        duration(f"an epoch of {len(data.photos['train'])} photos, read", read),
        duration("the same steps on one cached batch", cached),
        ratio("read over cached", read, cached, bar="≤ 1.1"),
    ]


class Turns(LightningDataModule):
    """Train batches by turns: an epoch of the data's own, an epoch of its first batch over and over.

    Args:
        data: after `setup()`.
    """

    def __init__(self, data: DrawnFaces) -> None:
        super().__init__()
        self.data = data
        self.kind = "cached"
        first = next(iter(data.train_dataloader()))
        full, rest = divmod(len(data.photos["train"]), data.batch_size)
        batches = [first] * full + ([cut(first, rest)] if rest else [])
        # Lightning would take a list for several loaders.
        self.cached = DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)

    def train_dataloader(self) -> Any:
        """The other kind than before."""
        self.kind = "read" if self.kind == "cached" else "cached"
        return self.data.train_dataloader() if self.kind == "read" else self.cached


class Clock(Callback):
    """Seconds of each epoch, by kind.

    Args:
        turns: knows the kind.
    """

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.seconds: Times = {"read": [], "cached": []}
        self.started = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Starts."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stops."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[self.turns.kind].append(time.perf_counter() - self.started)


def cut(faces: Faces, count: int) -> Faces:
    """The first `count` faces."""
    labels = None if faces.labels is None else faces.labels[:count]
    return Faces(faces.ids[:count], faces.images[:count], labels)
