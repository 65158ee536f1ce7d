"""Scores of guided methods, kept per image: computed once, then read for every other budget, region and inpainter."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch

from privacy_exp.cache.rows import Rows
from privacy_exp.cache.store import Store
from privacy_exp.masking.base import BaseMasker
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces, Scores


class StoredScores:
    """Scores from files where they are there, else computed and kept; see `Rows`.

    Args:
        folder: of one method on one recogniser.
        compute: the scores of a batch.

    Attributes:
        rows: counts how many images' scores were read and computed.
    """

    def __init__(self, folder: Path, compute: Callable[[Faces], Scores]) -> None:
        self.compute = compute
        self.rows = Rows(folder, "scores")

    def __call__(self, faces: Faces) -> Scores:
        """Scores of each face, float32."""
        names = [name_of(faces, i) for i in range(len(faces.ids))]
        rows = self.rows(names, lambda: {"scores": self.compute(faces).detach().float().cpu().numpy()})
        return torch.from_numpy(rows["scores"]).to(faces.images.device)


def name_of(faces: Faces, i: int) -> str:
    """By everything that a method may look at: two photos under one id, or new landmarks, are two entries."""
    total = hashlib.sha256(f"{faces.ids[i]} {tuple(faces.images.shape[1:])}".encode())
    total.update(faces.images[i].cpu().contiguous().numpy().data)
    label = None if faces.labels is None else int(faces.labels[i])
    points = None if faces.landmarks is None else faces.landmarks[i].tolist()
    known = None if faces.attributes is None else {k: bool(v[i]) for k, v in sorted(faces.attributes.items())}
    total.update(repr((label, points, known)).encode())
    return total.hexdigest()[:32]


def stored_scores(store: Store, masker: BaseMasker, recognizer: Recognizer | None, seed: int) -> StoredScores | None:
    """The scores of one method on one recogniser; None for blind methods, which cost less than reading a file.

    Args:
        store: where they lie.
        masker: the method; its granularity and region come after scoring and don't matter.
        recognizer: explained by the method.
        seed: matters to methods that draw.
    """
    if masker.blind or recognizer is None:
        return None
    fields = {
        "method": masker.scoring_keys(),
        "recognizer": recognizer.fingerprint(),
        "seed": seed if masker.draws else None,
    }
    return StoredScores(store.open_folder("scores", fields), lambda faces: masker.rank(faces, recognizer, seed))
