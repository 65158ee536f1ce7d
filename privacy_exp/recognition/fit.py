"""From labelled faces to a fitted recogniser, and the key that says when two fits are the same."""

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from privacy_exp.cache.configured import description
from privacy_exp.cache.keys import file_digest, has_effect, scientific
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
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.tracking.stages import stage
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
    "GPU available but not used.*",  # which device computes is the user's `trainer`
    ".*does not have many workers.*",  # how many load photos is the user's `data.num_workers`
    ".*have no `val_dataloader`.*",  # a split without validation photos is the user's choice
    r".*module\(s\) in eval mode at the start.*",  # a frozen trunk is meant to be
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning's own use of torch
)


log = logging.getLogger(__name__)


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
    recognizer: Recognizer,
    recipe: FitRecipe,
    trainer: Callable[..., Trainer],
    seed: int,
    out_dir: str | os.PathLike[str],
    init_from: str | os.PathLike[str] | None = None,
    loggers: Sequence[Logger] = (),
) -> Fit:
    """Builds `recognizer` for the people of `data` and fits it to the training photos.

    The same arguments give the same weights on one machine's CPU: the order of photos and what is drawn for each are
    functions of seed, epoch and id. The caller's random state is left as it was.

    Args:
        data: after `setup()`.
        recognizer: what to fit; it stays as it is, `Fit.recognizer` is another.
        recipe: how; `recognizer.recipe` is its own.
        trainer: builds the Lightning trainer from `max_epochs`, `logger` and the like.
        seed: of weights, order and augmentation.
        out_dir: where Lightning may write; nothing by default.
        init_from: a checkpoint (file or run folder) whose trunk to start from; its head is dropped.
        loggers: receive the curves.
    """
    started = time.perf_counter()
    with isolate_rng(), determinism_restored(), warnings.catch_warnings():
        for message in NOT_WORTH_A_WARNING:
            warnings.filterwarnings("ignore", message=message)
        seed_everything(seed, verbose=False)
        if recognizer.aligns and data.known_template() is None:
            log.warning(
                "the photos have no landmarks: faces are taken to lie as in CelebA's frames. If they do not, give "
                "landmarks.csv, or crop them alike."
            )
        fitted = recognizer.for_people(len(data.identities), data.template())
        fitted.fitted_on(*data.image_size, data.template())
        if init_from is not None:
            load_trunk(fitted, init_from)
        task = RecognitionModule(fitted, recipe, seed)
        has_val = len(data.photos[recipe.validate_on]) > 0
        if not has_val:
            task.patience = None
        runner = trainer(
            max_epochs=recipe.max_epochs,
            logger=list(loggers) if loggers else False,
            default_root_dir=os.fspath(out_dir),
        )
        validation = data.loader(recipe.validate_on)
        training = data.train_dataloader(seed)
        steps = recipe.max_epochs * (len(training) + (len(validation) if has_val else 0))
        with _one_bar(runner, steps):
            runner.fit(task, training, validation if has_val else None)
        if runner.interrupted:
            raise KeyboardInterrupt
        fitted.to(runner.strategy.root_device).eval()
        fitted.set_identity_means(_features(task, data.batches("train")))
        fitted.to("cpu")
    return Fit(fitted, time.perf_counter() - started, runner.current_epoch, task.keep_best.best)


@contextmanager
def _one_bar(runner: Trainer, steps: int) -> Iterator[None]:
    """One bar over all epochs in place of Lightning's, which begins anew with each of them."""
    bars = [own for own in runner.callbacks if isinstance(own, ProgressBar)]  # type: ignore[attr-defined]
    if not bars:  # switched off
        yield
        return
    with stage("fitting", steps, "batch") as advance:
        others = [own for own in runner.callbacks if own not in bars]  # type: ignore[attr-defined]
        runner.callbacks = [*others, _Steps(advance)]  # type: ignore[attr-defined]
        yield


class _Steps(Callback):
    """Tells each batch that a fit has finished."""

    def __init__(self, advance: Callable[[int], object]) -> None:
        self.advance = advance

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self.advance(1)

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        self.advance(1)


@torch.no_grad()
def _features(task: RecognitionModule, batches: Iterable[Faces]) -> Iterator[tuple[Tensor, Tensor]]:
    """Features and labels of photos that are known to have labels, on the recogniser's device."""
    device = next(task.recognizer.parameters()).device
    for faces in batches:
        if faces.labels is not None:
            yield task.features(faces._replace(images=faces.images.to(device))), faces.labels.to(device)


@contextmanager
def determinism_restored() -> Iterator[None]:
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
    recognizer: Recognizer,
    recipe: FitRecipe,
    trainer: Mapping[str, Any],
    seed: int,
    init_from: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """All that a fit's weights depend on, as plain values: equal keys, equal fits.

    Files are named by the hash of their bytes: a moved file is the same, a changed one is not.

    Args:
        data: after `setup()`.
        recognizer: see `fit_recognizer`.
        recipe: see `fit_recognizer`.
        trainer: the keywords that `trainer` was built from.
        seed: see `fit_recognizer`.
        init_from: see `fit_recognizer`.

    Raises:
        FileNotFoundError: no checkpoint at `init_from`.
    """
    return {
        "schema": FORMAT,
        "code": [sources(__name__), sources(type(data))],
        "data": data.fit_digest(),
        "template": data.template().tolist(),
        "batch_size": data.batch_size,
        "net": scientific(description(recognizer, keys_only=True)),
        "module": scientific(description(recipe, keys_only=True)),
        "trainer": {name: value for name, value in trainer.items() if has_effect(name)},
        "init_from": None if init_from is None else file_digest(checkpoint_file(init_from)),
        "seed": seed,
    }
