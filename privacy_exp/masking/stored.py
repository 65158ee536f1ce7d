"""Scores of guided methods, kept per image: computed once, then read for every other budget, region and inpainter."""

import hashlib
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from privacy_exp.cache.files import atomic_file
from privacy_exp.cache.store import CLOSED, FULL, Store
from privacy_exp.masking.base import BaseMasker
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces, Scores


class StoredScores:
    """Scores from files where they are there, else computed and kept: one small file per image, written whole.

    Files of single images are what a job that dies half-way leaves behind in order, what two jobs can write at once
    without a lock, and what takes no more memory for more images. Their container (npz) carries a checksum: a damaged
    file counts as absent and is written anew.

    Args:
        folder: of one method on one recogniser.
        compute: the scores of a batch.

    Attributes:
        read: how many images' scores came from files.
        computed: how many were computed.
    """

    def __init__(self, folder: Path, compute: Callable[[Faces], Scores]) -> None:
        self.folder = folder
        self.compute = compute
        self.read = 0
        self.computed = 0
        self._writable = True

    def __call__(self, faces: Faces) -> Scores:
        """Scores of each face, float32.

        Where one of a batch is missing the whole batch is computed, as it would be without a store, so that a resumed
        job meets the very rounding of an undisturbed one.
        """
        paths = [self._path(faces, i) for i in range(len(faces.ids))]
        known = [_read(path) for path in paths]
        self.read += sum(row is not None for row in known)
        rows = [row for row in known if row is not None]
        if len(rows) < len(known):
            self.computed += len(known) - len(rows)
            fresh = self.compute(faces).detach().float().cpu()
            rows = [new if old is None else old for new, old in zip(fresh, known, strict=True)]
            for path, row in [(p, r) for p, r, old in zip(paths, rows, known, strict=True) if old is None]:
                self._write(path, row)
        return torch.stack(rows).to(faces.images.device)

    def _path(self, faces: Faces, i: int) -> Path:
        """By everything that a method may look at: two photos under one id, or new landmarks, are two entries."""
        total = hashlib.sha256(f"{faces.ids[i]} {tuple(faces.images.shape[1:])}".encode())
        total.update(faces.images[i].cpu().contiguous().numpy().tobytes())
        label = None if faces.labels is None else int(faces.labels[i])
        points = None if faces.landmarks is None else faces.landmarks[i].tolist()
        known = None if faces.attributes is None else {k: bool(v[i]) for k, v in sorted(faces.attributes.items())}
        total.update(repr((label, points, known)).encode())
        name = total.hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.npz"

    def _write(self, path: Path, row: torch.Tensor) -> None:
        if not self._writable:
            return
        try:
            with atomic_file(path) as temporary:
                np.savez(temporary, scores=row.numpy())
        except OSError as error:
            if error.errno not in CLOSED + FULL:
                raise
            self._writable = False
            warnings.warn(f"scores are computed without being kept: {error.strerror}", stacklevel=3)


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


def _read(path: Path) -> torch.Tensor | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return torch.from_numpy(file["scores"])
    except FileNotFoundError:
        return None
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError):
        return None  # damaged: computed anew and replaced
