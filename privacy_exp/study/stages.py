"""The stages of a run, shared by the entry points: fit, anonymise, score."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning.loggers import Logger

from privacy_exp.cache.copies import copy_file
from privacy_exp.cache.store import Store
from privacy_exp.data.base import FaceData
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.sanity import Counts
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.masking.original_frame import OriginalMethod
from privacy_exp.masking.regions import face_region
from privacy_exp.masking.stored import StoredScores, stored_scores
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.fit import CHECKPOINT, fit_key, fit_recognizer, load_checkpoint, save_checkpoint
from privacy_exp.runs.batches import finished_batches, whole_batch
from privacy_exp.runs.folder import RunFolder
from privacy_exp.tracking.stages import stage
from privacy_exp.types import Faces, Landmarks, Masks, UserError

log = logging.getLogger(__name__)

HALF_A_LEVEL = 0.5 / 255
"""By how much a pixel of the data must differ to count as changed: rounding to 8 bits changes nothing."""


@dataclass
class Anonymized:
    """What the anonymising stage leaves besides pictures.

    Attributes:
        shares: a row an image with `image_id, share_asked, share_hidden_face, share_hidden_latent`, and
            `share_changed` where the inpainter takes no mask.
        mask_s: seconds spent on masks.
        inpaint_s: seconds spent on repainting, without the control.
    """

    shares: pd.DataFrame
    mask_s: float = 0.0
    inpaint_s: float = 0.0


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
    return Fitted(load_checkpoint(folder / CHECKPOINT), folder / CHECKPOINT, seconds, reused)


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

    A batch is saved whole or not at all. Batches that an earlier, interrupted run left in `folder` are not computed
    again; see `privacy_exp.runs.batches`.

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
        store: keeps the scores of guided methods, so that other budgets and inpainters need not compute them again.

    Raises:
        SanityError: more than 1 % of the results are black or flat.
    """
    device = torch.device("cpu") if recognizer is None else next(recognizer.parameters()).device
    scores = None if store is None else stored_scores(store, masker, recognizer, seed)
    done = {image_id for batch in finished_batches(folder.path) for image_id in batch.rows["image_id"]}
    if done:
        log.info("%d of %d images were painted before; going on with the rest", len(done), total)
    with stage("painting", total) as advance:
        for whole in batches:
            faces = whole.without(done).to(device)
            if faces.ids:
                anonymize_batch(faces, recognizer, masker, inpainter, mask_ratio, seed, folder, control, scores)
            advance(len(whole.ids))
    return summary(folder, inpainter)


def anonymize_batch(
    faces: Faces,
    recognizer: Recognizer | None,
    masker: Masker | OwnArea,
    inpainter: Inpainter,
    mask_ratio: float,
    seed: int,
    folder: RunFolder,
    control: bool = True,
    scores: StoredScores | None = None,
) -> None:
    """Masks and repaints one batch and saves it whole; see `anonymize` for the arguments, and `stored_scores`."""
    with whole_batch(folder, faces.ids) as (staging, batch):
        counted = inpainter.sanity.counts
        started = time.perf_counter()
        known = None if scores is None else scores(faces)
        if isinstance(masker, OwnArea):
            masks = masker.mask(faces, recognizer, seed=seed, scores=known)
        else:
            masks = masker.mask(faces, recognizer, mask_ratio=mask_ratio, seed=seed, scores=known)
        original = masker if isinstance(masker, OriginalMethod) else None
        faces = original.frame(faces) if original else faces
        masked = time.perf_counter()
        results = inpainter(faces, masks, seed)
        results = original.finish(results) if original else results
        painted = time.perf_counter()
        batch.mask_s, batch.inpaint_s = masked - started, painted - masked
        staging.save("original", faces.ids, faces.labels, faces.images)
        staging.save("masks", faces.ids, faces.labels, masks)
        staging.save("results", faces.ids, faces.labels, results)
        for draw in range(1, inpainter.num_draws):
            further = RunFolder(staging.path / "draws" / str(draw), folder.image_format)
            drawn = inpainter(faces, masks, seed, draw)
            further.save("results", faces.ids, faces.labels, original.finish(drawn) if original else drawn)
        if control:
            round_trip = torch.where(masks, inpainter.round_trip(faces, masks).clamp(0, 1), faces.images)
            staging.save("control", faces.ids, faces.labels, round_trip)
        batch.rows = _shares(faces, masks, masker, inpainter, mask_ratio)
        if not inpainter.takes_masks:
            changed = (results - faces.images).abs().amax(dim=1) > HALF_A_LEVEL
            batch.rows["share_changed"] = changed.flatten(1).float().mean(dim=1).cpu().double().numpy()
        batch.sanity = Counts(*(now - then for now, then in zip(inpainter.sanity.counts, counted, strict=True)))


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


def _shares(
    faces: Faces, masks: Masks, masker: Masker | OwnArea, inpainter: Inpainter, mask_ratio: float
) -> pd.DataFrame:
    asked = None if isinstance(masker, OwnArea) else mask_ratio
    return pd.DataFrame(
        {
            "image_id": faces.ids,
            "share_asked": pd.array([asked] * len(faces.ids), dtype="Float64"),
            "share_hidden_face": pd.array(share_of_face(masks, faces.landmarks), dtype="Float64"),
            "share_hidden_latent": inpainter.latent_share(masks).cpu().double().numpy(),
            **masker.facts,
        }
    )


def share_of_face(masks: Masks, landmarks: Landmarks | None) -> list[float | None]:
    """Hidden share of each face region; None where there are no landmarks."""
    if landmarks is None:
        return [None] * len(masks)
    height, width = masks.shape[-2:]
    regions = [face_region(points, height, width) for points in landmarks]
    return [float(m[0].cpu()[r].float().mean()) if r.any() else None for m, r in zip(masks, regions, strict=True)]
