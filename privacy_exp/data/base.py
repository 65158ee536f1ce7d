"""What every data set offers: an index of photos, pixels on demand, and a split within each identity."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from privacy_exp.data.identity_split import Split, read_manifest, split_identities
from privacy_exp.types import Faces

CELEBA_TEMPLATE = ((69.5, 111.0), (108.0, 111.0), (88.5, 134.5), (72.5, 152.5), (105.5, 152.5))
"""The five points that CelebA's 178x218 frames are aligned to, in pixels."""


@dataclass(frozen=True)
class Photo:
    """One photo's row in the index; no pixels.

    Attributes:
        id: see `safe_id`.
        identity: who it shows, as the data names them; None where unknown.
        group: photos of one group (same shoot, near-duplicates) stay on one side of the split; None: on its own.
        landmarks: five (x, y) points in pixels of the image as `FaceData.read` returns it, or None.
        attributes: named booleans, or None.
    """

    id: str
    identity: str | None
    group: str | None = None
    landmarks: tuple[tuple[float, float], ...] | None = None
    attributes: dict[str, bool] | None = None


def safe_id(relative_path: str) -> str:
    """The image id of a relative path: without suffix, every byte outside [A-Za-z0-9_] as %XX."""
    stem = relative_path.rsplit(".", 1)[0] if "." in relative_path.rsplit("/", 1)[-1] else relative_path
    return "".join(chr(b) if chr(b).isalnum() and b < 128 or b == 95 else f"%{b:02X}" for b in stem.encode())


class BadImageError(ValueError):
    """A photo that cannot be read; the message names the file and what is wrong with it."""


class FaceData(LightningDataModule, ABC):
    """Photos of known people, split within each identity.

    A subclass implements `index` (all photos, no pixels) and `read` (one photo's pixels), and passes the keys below on.

    Args:
        split: shares of train, validation and test within each identity; they sum to 1.
        split_seed: decides which photo goes where; independent of the order of files.
        max_identities: keep the first so many identities of a seeded order; None keeps all.
        min_images_per_identity: identities with fewer photos are left out and counted.
        max_test_images: keep so many test photos, spread evenly over identities; None keeps all.
        manifest: a `manifest.csv` that an earlier run wrote; it replaces the split.
        on_bad_image: "error" stops at the first unreadable photo; "skip" leaves it out, counts and lists it.
        batch_size: photos a batch of the loaders.
        num_workers: loading processes; 0 loads in the main process.

    After `setup()`:
        photos: {"train", "val", "test"} to lists of `Photo`.
        identities: label index to the data's own name of the identity.
        skipped: what was left out, a line each.
    """

    def __init__(
        self,
        *,
        split: Sequence[float] = (0.6, 0.2, 0.2),
        split_seed: int = 0,
        max_identities: int | None = None,
        min_images_per_identity: int = 5,
        max_test_images: int | None = None,
        manifest: str | None = None,
        on_bad_image: str = "error",
        batch_size: int = 32,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
