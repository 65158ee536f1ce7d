"""The stages of a run, shared by the entry points: fit, anonymise, score."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning.loggers import Logger

from privacy_exp.cache.copies import copy_file
from privacy_exp.cache.store import Store
from privacy_exp.data.base import FaceData
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.sanity import Counts
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.masking.stored import stored_scores
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.fit import CHECKPOINT, fit_key, fit_recognizer, load_checkpoint, save_checkpoint
from privacy_exp.runs.batches import finished_batches
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.overlap import ahead, behind
from privacy_exp.study.treatment import Masked, Painted, Treatment, stored_round_trips
from privacy_exp.tracking.stages import stage
from privacy_exp.types import Faces, UserError

log = logging.getLogger(__name__)


@dataclass
class Anonymized:
    """What the anonymising stage leaves besides pictures.

    Attributes:
        shares: one row per image with `image_id, share_asked, share_hidden_face, share_hidden_latent`, and
            `share_changed` where the inpainter takes no mask.
        mask_s: seconds spent on masks, by all processes together.
        inpaint_s: the same for repainting, without the control.
        processes: how many worked at once.
    """

    shares: pd.DataFrame
    mask_s: float = 0.0
    inpaint_s: float = 0.0
    processes: int = 1


@dataclass
class Fitted:
    """A recogniser for the data's identities and where it came from.

    Attributes:
        recognizer: fitted, in evaluation mode.
        checkpoint: its file.
        seconds: of the fit; 0 when it was reused.
        reused: whether the store or `recognition.checkpoint` had it.
    """

    recognizer: Recognizer
    checkpoint: Path
    seconds: float
    reused: bool


def fit(
    data: FaceData,
    parts: Mapping[str, Any],
    config: Mapping[str, Any],
    seed: int,
    store: Store,
    loggers: Sequence[Logger] = (),
) -> Fitted:
    """Fits the recogniser, or takes the one that the same data, recogniser, trainer and seed produced before.

    Args:
        data: after `setup()`.
        parts: `net` (a recogniser without people), `module` (a `FitRecipe`) and `trainer`, which makes Lightning's.
        config: `recognition` and `trainer` as plain values, of which the key is made.
        seed: of the fit.
        store: keeps fitted recognisers.
        loggers: take the training curves.
    """
    recognition = config["recognition"]
    if recognition["checkpoint"] is not None:
        recognizer = load_checkpoint(recognition["checkpoint"], identities=data.identities or None)
        recognizer.meet_frames(*data.image_size, data.known_template())
        return Fitted(recognizer, Path(recognition["checkpoint"]), 0.0, reused=True)
    seconds = 0.0

    def compute(folder: Path) -> None:
        nonlocal seconds
        fitted = fit_recognizer(
            data, parts["net"], parts["module"], parts["trainer"], seed, folder, recognition["init_from"], loggers
        )
        save_checkpoint(folder / CHECKPOINT, fitted.recognizer, data.identities)
        seconds = fitted.seconds

    fields = fit_key(data, parts["net"], parts["module"], config["trainer"], seed, recognition["init_from"])
    folder, reused = store.fetch("recognizer", fields, compute)
    stored = folder / CHECKPOINT
    known = stored.stat()
    recognizer = deepcopy(_loaded(stored, (known.st_ino, known.st_size, known.st_mtime_ns)))
    return Fitted(recognizer, stored, seconds, reused)


@lru_cache(maxsize=1)
def _loaded(checkpoint: Path, known: tuple[int, ...]) -> Recognizer:
    """The recogniser that a sweep's runs share: building it takes longer than all else that each begins with.

    Args:
        checkpoint: in the store.
        known: tells the file from others that have lain there.
    """
    del known
    return load_checkpoint(checkpoint)


def keep_checkpoint(fitted: Fitted, folder: Path) -> None:
    """Puts the checkpoint into the run folder, so that the folder is complete wherever it goes."""
    source = fitted.checkpoint / CHECKPOINT if fitted.checkpoint.is_dir() else fitted.checkpoint
    target = folder / CHECKPOINT
    if source.resolve() != target.resolve():
        copy_file(source, target, linked=True)  # large, and nobody edits it


def anonymize(
    batches: Iterable[Faces],
    total: int,
    recognizer: Recognizer | None,
    masker: Masker | OwnArea,
    inpainter: Inpainter,
    mask_ratio: float,
    seed: int,
    folder: RunFolder,
    control: bool = True,
    store: Store | None = None,
) -> Anonymized:
    """Masks and repaints faces batch by batch and saves original, mask, result and control.

    The next batches are read and masked, and the last ones saved, while one is painted. A batch is saved whole or not
    at all. Batches that an earlier, interrupted run left in `folder` are not computed again; see
    `privacy_exp.runs.batches`.

    Args:
        batches: the faces.
        total: how many there are, for the bar.
        recognizer: explained by guided methods.
        masker: decides what to hide.
        inpainter: repaints it.
        mask_ratio: share of the frame to hide.
        seed: of masks and noise.
        folder: takes the pictures.
        control: whether to save the same mask filled by one encode and decode.
        store: keeps the scores of guided methods and the autoencoder's round trips, so that other budgets and
            inpainters need not compute them again.

    Raises:
        SanityError: more than 1 % of the results are black or flat.
    """
    scores = None if store is None else stored_scores(store, masker, recognizer, seed)
    kept = stored_round_trips(store, inpainter) if control and store is not None else None
    treatment = Treatment(recognizer, masker, inpainter, mask_ratio, seed, folder, control, scores, kept)
    done = {image_id for batch in finished_batches(folder.path) for image_id in batch.rows["image_id"]}
    if done:
        log.info("%d of %d images were painted before; going on with the rest", len(done), total)
    inpainter.expect(total - len(done))
    left = (faces for whole in batches if (faces := whole.without(done)).ids)
    with (
        stage("painting", total) as advance,
        closing(ahead(map(treatment.mask, left))) as masked_batches,
        behind() as hand_over,
    ):
        advance(len(done))

        def keep(masked: Masked, painted: Painted) -> None:
            treatment.keep(masked, painted)
            advance(len(masked.faces.ids))

        for masked in masked_batches:
            hand_over(keep, masked, treatment.paint(masked))
    return summary(folder, inpainter)


def summary(folder: RunFolder, inpainter: Inpainter) -> Anonymized:
    """What all finished batches of a folder come to, those of earlier, interrupted runs included.

    Raises:
        SanityError: more than 1 % of the results are black or flat.
        UserError: no batch.
    """
    batches = finished_batches(folder.path)
    if not batches:
        raise UserError("there are no images to anonymise; check `data.split` and `data.max_test_images`.")
    inpainter.sanity.counts = Counts(*(sum(column) for column in zip(*(b.sanity for b in batches), strict=True)))
    inpainter.sanity.check()
    return Anonymized(
        shares=pd.concat([batch.rows for batch in batches], ignore_index=True),
        mask_s=sum(batch.mask_s for batch in batches),
        inpaint_s=sum(batch.inpaint_s for batch in batches),
    )
