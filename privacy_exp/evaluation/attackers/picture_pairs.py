"""Results and originals of the same photos, as an attacker reads them to learn the way back."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.picture import picture_digest
from privacy_exp.types import Embeddings, Masks

Photos = Sequence[tuple[RunFolder, str]]
"""Folders and image ids in them."""


@dataclass(frozen=True)
class Pairs:
    """What an attacker has of some people.

    Attributes:
        results: anonymised, RGB in 0-255: all of them are held in memory.
        originals: of the same photos.
        masks: where they were hidden; None for an attacker who does not know.
        features: embeddings of the originals; None where nobody asks for them.
    """

    results: UInt8[Tensor, "n 3 h w"]
    originals: UInt8[Tensor, "n 3 h w"]
    masks: Masks | None = None
    features: Embeddings | None = None

    def __getitem__(self, rows: Tensor) -> "Pairs":
        """Some of them."""
        masks, features = (None if one is None else one[rows] for one in (self.masks, self.features))
        return Pairs(self.results[rows], self.originals[rows], masks, features)


def pairs_of(folder: RunFolder, ids: Sequence[str], masked: bool) -> Pairs:
    """The pairs of one folder.

    Args:
        folder: with `results`, `original` and `masks`.
        ids: of the photos, in this order.
        masked: whether masks are read.
    """

    def read(kind: str) -> Tensor:
        listing = folder.list(kind)
        return (folder.read([listing[i][0] for i in ids]) * 255).round().byte()

    masks = None
    if masked:
        listing = folder.list("masks")
        masks = folder.read_masks([listing[i][0] for i in ids])
    return Pairs(read("results"), read("original"), masks)


def joined(photos: Photos, masked: bool) -> Pairs:
    """The pairs of several folders, one folder after the other.

    Args:
        photos: at least one.
        masked: whether masks are read.
    """
    parts = [pairs_of(folder, ids, masked) for folder, ids in _by_folder(photos)]
    masks = torch.cat([p.masks for p in parts if p.masks is not None]) if masked else None
    return Pairs(torch.cat([p.results for p in parts]), torch.cat([p.originals for p in parts]), masks)


def digests(photos: Photos, masked: bool) -> str:
    """A digest of all that `joined` reads.

    Args:
        photos: see there.
        masked: see there.
    """
    total = hashlib.sha256()
    for folder, ids in _by_folder(photos):
        for kind in ("results", "original", *(["masks"] if masked else [])):
            listing = folder.list(kind)
            total.update("".join(picture_digest(listing[i][0]) for i in ids).encode())
    return total.hexdigest()[:20]


def _by_folder(photos: Photos) -> list[tuple[RunFolder, list[str]]]:
    paths = dict.fromkeys(folder.path for folder, _ in photos)
    return [(RunFolder(path), [i for folder, i in photos if folder.path == path]) for path in paths]
