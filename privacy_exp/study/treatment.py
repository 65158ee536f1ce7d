"""What becomes of a batch of faces, in three stages that may work beside each other: mask, paint, keep."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8

from privacy_exp.cache.rows import Rows, picture_name
from privacy_exp.cache.store import Store
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.sanity import Counts
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.masking.original_frame import OriginalMethod
from privacy_exp.masking.regions import face_region
from privacy_exp.masking.stored import StoredScores
from privacy_exp.recognition.base import Recognizer
from privacy_exp.runs.batches import whole_batch
from privacy_exp.runs.folder import RunFolder, levels
from privacy_exp.types import Faces, Images, Landmarks, Masks

HALF_A_LEVEL = 0.5 / 255
"""By how much a pixel of the data must differ to count as changed: rounding to 8 bits changes nothing."""


Levels = UInt8[np.ndarray, "n h w 3"]
"""Pictures in 8 bits."""


class Masked(NamedTuple):
    """A batch and its masks.

    Attributes:
        faces: as the masking method frames them.
        masks: True = hidden.
        facts: what the method found out about each face.
        seconds: spent on the masks.
        round_trip: the faces after one encode and decode, in 8 bits, where the store has it.
    """

    faces: Faces
    masks: Masks
    facts: Mapping[str, Sequence[Any]]
    seconds: float
    round_trip: Levels | None


class Painted(NamedTuple):
    """What was painted over a batch's masks.

    Attributes:
        draws: results, one batch of pictures a draw.
        round_trip: the hidden pixels after one encode and decode; None where it is known or no control is asked for.
        sanity: counts of results, of black and of flat ones.
        seconds: spent on the first draw.
    """

    draws: list[Images]
    round_trip: Images | None
    sanity: Counts
    seconds: float


@dataclass
class Treatment:
    """How the faces of a run are masked, painted and kept.

    `mask` alone uses masker and recogniser, and `paint` alone the painter's networks, so that the three stages may work
    on three batches at once.

    Args:
        recognizer: explained by guided methods.
        masker: decides what to hide.
        inpainter: repaints it.
        mask_ratio: share of the frame to hide.
        seed: of masks and noise.
        folder: takes the pictures.
        control: whether to save the same mask filled by one encode and decode.
        scores: of guided methods, as they were kept; see `stored_scores`.
        round_trips: what the control needs of each photo, in 8 bits, as it was kept; see `stored_round_trips`.
    """

    recognizer: Recognizer | None
    masker: Masker | OwnArea
    inpainter: Inpainter
    mask_ratio: float
    seed: int
    folder: RunFolder
    control: bool = True
    scores: StoredScores | None = None
    round_trips: Rows | None = None

    def __post_init__(self) -> None:
        if self.recognizer is not None:
            self.inpainter.meet(self.recognizer)

    def __call__(self, faces: Faces) -> None:
        """One batch through all three stages."""
        masked = self.mask(faces)
        self.keep(masked, self.paint(masked))

    def mask(self, faces: Faces) -> Masked:
        """The batch on the recogniser's device, with its masks."""
        started = time.perf_counter()
        masker = self.masker
        device = torch.device("cpu") if self.recognizer is None else next(self.recognizer.parameters()).device
        faces = faces.to(device)
        known = None if self.scores is None else self.scores(faces)
        if isinstance(masker, OwnArea):
            masks = masker.mask(faces, self.recognizer, seed=self.seed, scores=known)
        else:
            masks = masker.mask(faces, self.recognizer, mask_ratio=self.mask_ratio, seed=self.seed, scores=known)
        faces = masker.frame(faces) if isinstance(masker, OriginalMethod) else faces
        seconds = time.perf_counter() - started
        return Masked(faces, masks, dict(masker.facts), seconds, self.known_round_trip(faces))

    def known_round_trip(self, faces: Faces) -> Levels | None:
        """The faces after one encode and decode, in 8 bits, where the store has it."""
        kept = None if self.round_trips is None else self.round_trips.find(_names(faces))
        return None if kept is None else kept["levels"]

    def paint(self, masked: Masked) -> Painted:
        """All draws of a masked batch, and its control."""
        faces, masks, inpainter = masked.faces, masked.masks, self.inpainter
        before, started = inpainter.sanity.counts, time.perf_counter()
        draws = [self._finished(inpainter(faces, masks, self.seed))]
        seconds = time.perf_counter() - started
        draws += [self._finished(inpainter(faces, masks, self.seed, draw)) for draw in range(1, inpainter.num_draws)]
        round_trip = inpainter.round_trip(faces, masks) if self.control and masked.round_trip is None else None
        counts = Counts(*(now - then for now, then in zip(inpainter.sanity.counts, before, strict=True)))
        return Painted(draws, round_trip, counts, seconds)

    def _finished(self, results: Images) -> Images:
        return self.masker.finish(results) if isinstance(self.masker, OriginalMethod) else results

    def keep(self, masked: Masked, painted: Painted) -> None:
        """Saves a batch whole or not at all."""
        save_batch(self.folder, masked, painted, self.control_of(masked, painted), self.rows(masked, painted))

    def control_of(self, masked: Masked, painted: Painted) -> Images | None:
        """The same mask filled by one encode and decode, where that is asked for."""
        if not self.control:
            return None
        return torch.where(masked.masks, self._round_trip(masked, painted), masked.faces.images)

    def _round_trip(self, masked: Masked, painted: Painted) -> Images:
        """As the store keeps it: files have 8 bits, so that nothing is lost for any mask."""
        known = masked.round_trip
        if painted.round_trip is not None:
            fresh = painted.round_trip
            if self.round_trips is None:
                return fresh.clamp(0, 1)
            known = self.round_trips(_names(masked.faces), lambda: {"levels": levels(fresh)})["levels"]
        return torch.from_numpy(known).permute(0, 3, 1, 2).to(masked.faces.images) / 255

    def rows(self, masked: Masked, painted: Painted) -> pd.DataFrame:
        """One row per image, of what the pictures do not tell."""
        count = len(masked.faces.ids)
        asked = None if isinstance(self.masker, OwnArea) else self.mask_ratio
        rows = pd.DataFrame(
            {
                "image_id": masked.faces.ids,
                "share_asked": pd.array([asked] * count, dtype="Float64"),
                "share_hidden_face": pd.array(share_of_face(masked.masks, masked.faces.landmarks), dtype="Float64"),
                "share_hidden_latent": self.inpainter.latent_share(masked.masks).cpu().double().numpy(),
                **masked.facts,
            }
        )
        if not self.inpainter.takes_masks:
            changed = (painted.draws[0] - masked.faces.images).abs().amax(dim=1) > HALF_A_LEVEL
            rows["share_changed"] = changed.flatten(1).float().mean(dim=1).cpu().double().numpy()
        return rows


def save_batch(folder: RunFolder, masked: Masked, painted: Painted, control: Images | None, rows: pd.DataFrame) -> None:
    """Saves a batch whole or not at all; see `privacy_exp.runs.batches`.

    Args:
        folder: the run's.
        masked: the batch.
        painted: what was painted over its masks.
        control: see `Treatment.control_of`.
        rows: see `Treatment.rows`.
    """
    faces = masked.faces
    with whole_batch(folder, faces.ids) as (staging, batch):
        batch.mask_s, batch.inpaint_s, batch.sanity = masked.seconds, painted.seconds, painted.sanity
        staging.save("original", faces.ids, faces.labels, faces.images)
        staging.save("masks", faces.ids, faces.labels, masked.masks)
        staging.save("results", faces.ids, faces.labels, painted.draws[0])
        for number, drawn in enumerate(painted.draws[1:], 1):
            staging.draw(number).save("results", faces.ids, faces.labels, drawn)
        if control is not None:
            staging.save("control", faces.ids, faces.labels, control)
        batch.rows = rows


def stored_round_trips(store: Store, inpainter: Inpainter) -> Rows | None:
    """What an inpainter's autoencoder makes of each photo; None for inpainters whose control needs no such thing.

    Args:
        store: where it lies.
        inpainter: has the autoencoder.
    """
    fields = inpainter.round_trip_fields()
    return None if fields is None else Rows(store.open_folder("round_trip", fields), "round trips")


def _names(faces: Faces) -> list[str]:
    return [picture_name(image.cpu().numpy()) for image in faces.images]


def share_of_face(masks: Masks, landmarks: Landmarks | None) -> list[float | None]:
    """Hidden share of each face region; None where there are no landmarks."""
    if landmarks is None:
        return [None] * len(masks)
    height, width = masks.shape[-2:]
    regions = [face_region(points, height, width) for points in landmarks]
    return [float(m[0].cpu()[r].float().mean()) if r.any() else None for m, r in zip(masks, regions, strict=True)]
