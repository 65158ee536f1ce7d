"""From labelled faces to a fitted recogniser, and the key that says when two fits are the same."""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from privacy_exp.cache.keys import file_digest, has_effect
from privacy_exp.cache.sources import sources
from privacy_exp.data.base import FaceData
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.checkpoint import (
    CHECKPOINT,
    FORMAT,
    checkpoint_file,
    checkpoint_identities,
    load_checkpoint,
    load_trunk,
    save_checkpoint,
)
from privacy_exp.recognition.module import RecognitionModule
from privacy_exp.types import Faces, UserError

__all__ = [
    "CHECKPOINT",
    "Fit",
    "checkpoint_identities",
    "clean_accuracy",
    "fit_key",
    "fit_recognizer",
    "load_checkpoint",
    "save_checkpoint",
]

NOT_WORTH_A_WARNING = (
    ".*does not have many workers.*",  # how many load photos is the user's `data.num_workers`
    ".*have no `val_dataloader`.*",  # a split without validation photos is the user's choice
    r".*module\(s\) in eval mode at the start.*",  # a frozen trunk is meant to be
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning's own use of torch
)


@dataclass(frozen=True)
class Fit:
    """A finished fit.

    Attributes:
        recognizer: fitted, in evaluation mode, on the CPU.
        seconds: wall-clock time of the fit.
        epochs: how many were run.
        val_accuracy: of the epoch that was kept; None without validation photos.
    """

    recognizer: Recognizer
    seconds: float
    epochs: int
    val_accuracy: float | None


def fit_recognizer(
    data: FaceData,
    net: Callable[..., Recognizer],
    module: Callable[[Recognizer], RecognitionModule],
    trainer: Callable[..., Trainer],
    seed: int,
    out_dir: str | os.PathLike[str],
    init_from: str | os.PathLike[str] | None = None,
    loggers: Sequence[Logger] = (),
) -> Fit:
    """Builds a recogniser for the people of `data` and fits it to the training photos.

    The same arguments give the same weights on one machine's CPU. The caller's random state is left as it was.

    Args:
        data: after `setup()`.
        net: builds the recogniser from `num_classes` and `template`.
        module: wraps it for training.
        trainer: builds the Lightning trainer from `max_epochs`, `logger` and the like.
        seed: of weights, order and augmentation.
        out_dir: where Lightning may write; nothing by default.
        init_from: a checkpoint (file or run folder) whose trunk to start from; its head is dropped.
        loggers: receive the curves.
    """
    started = time.perf_counter()
    with isolate_rng(), _determinism_restored(), warnings.catch_warnings():
        for message in NOT_WORTH_A_WARNING:
            warnings.filterwarnings("ignore", message=message)
        seed_everything(seed, verbose=False)
        recognizer = net(num_classes=len(data.identities), template=data.template())
        if init_from is not None:
            load_trunk(recognizer, init_from)
        task = module(recognizer)
        has_val = len(data.photos[task.validate_on]) > 0
        if not has_val:
            task.patience = None
        runner = trainer(
            max_epochs=task.max_epochs,
            logger=list(loggers) if loggers else False,
            default_root_dir=os.fspath(out_dir),
        )
        validation = data.val_dataloader() if task.validate_on == "val" else data.train_dataloader()
        runner.fit(task, data.train_dataloader(), validation if has_val else None)
        if runner.interrupted:
            raise KeyboardInterrupt
        recognizer.to(runner.strategy.root_device).eval()
        recognizer.set_identity_means(_features(task, data.batches("train")))
        recognizer.to("cpu")
    return Fit(recognizer, time.perf_counter() - started, runner.current_epoch, task.keep_best.best)


@torch.no_grad()
def _features(task: RecognitionModule, batches: Iterable[Faces]) -> Iterator[tuple[Tensor, Tensor]]:
    """Features and labels of photos that are known to have labels, on the recogniser's device."""
    device = next(task.recognizer.parameters()).device
    for faces in batches:
        if faces.labels is not None:
            yield task.features(faces._replace(images=faces.images.to(device))), faces.labels.to(device)


@contextmanager
def _determinism_restored() -> Iterator[None]:
    """Lightning's `deterministic` is a switch of the whole process; masking and inpainting have their own wishes."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@torch.inference_mode()
def clean_accuracy(recognizer: Recognizer, batches: Iterable[Faces]) -> float:
    """Share of photos whose highest logit is their own identity's; runs where the recogniser is.

    Raises:
        UserError: no photos, or photos without labels.
    """
    device = next(recognizer.parameters()).device
    recognizer.eval()
    right = total = 0
    for faces in batches:
        if faces.labels is None:
            raise UserError("`batches` must carry labels to count right answers.")
        right += int((recognizer(faces.images.to(device)).argmax(1).cpu() == faces.labels.cpu()).sum())
        total += len(faces.ids)
    if not total:
        raise UserError("`batches` holds no photo, so there is no accuracy; raise that part's share in `data.split`.")
    return right / total


def fit_key(
    data: FaceData,
    net: Mapping[str, Any],
    module: Mapping[str, Any],
    trainer: Mapping[str, Any],
    seed: int,
    init_from: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """All that a fit's weights depend on, as plain values: equal keys, equal fits.

    Files are named by the hash of their bytes: a moved file is the same, a changed one is not.

    Args:
        data: after `setup()`.
        net: the config that `net` was built from, as a plain dict.
        module: the config that `module` was built from.
        trainer: the config that `trainer` was built from.
        seed: see `fit_recognizer`.
        init_from: see `fit_recognizer`.

    Raises:
        FileNotFoundError: no checkpoint at `init_from`.
    """
    return {
        "schema": FORMAT,
        "code": [sources(__name__), sources(type(data))],
        "data": data.digest(("train", "val")),  # the test photos are for others
        "template": data.template().tolist(),
        "batch_size": data.batch_size,
        "net": {name: _value(value) for name, value in net.items()},
        "module": dict(module),
        "trainer": {name: value for name, value in trainer.items() if has_effect(name)},
        "init_from": None if init_from is None else _value(str(checkpoint_file(init_from))),
        "seed": seed,
    }


def _value(value: Any) -> Any:
    """The SHA-256 of a file's bytes where `value` is the path of a file, else `value`."""
    if not isinstance(value, str) or not Path(value).expanduser().is_file():
        return value
    return file_digest(Path(value).expanduser())
