"""Picture grids: face | mask | result, or other kinds of pictures of the same photos beside each other."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision.utils import make_grid

from privacy_exp.cache.files import atomic_file
from privacy_exp.runs.folder import RunFolder, to_pillow
from privacy_exp.types import Images

SHOWN = 12
"""Faces of a grid."""


def write_grid(folder: RunFolder, path: Path, count: int = SHOWN, columns: int = 4, shortest: int = 128) -> Path:
    """Writes the first faces of a run as one picture and returns its path; kinds that the folder lacks are left out.

    Args:
        folder: the run's pictures.
        path: of the picture.
        count: how many faces.
        columns: triples beside each other.
        shortest: small pictures are enlarged by a whole factor until their side reaches this many pixels.
    """
    kinds = [kind for kind in ("original", "masks", "results") if folder.has(kind)]
    listings = [folder.list(kind) for kind in kinds]
    ids = list(listings[0])[:count]
    return write_tiles([folder.read([listing[i][0] for i in ids]) for listing in listings], path, columns, shortest)


def write_tiles(kinds: Sequence[Images], path: Path, columns: int = 4, shortest: int = 128) -> Path:
    """Writes several pictures of each photo beside each other, as one picture, and returns its path.

    Args:
        kinds: batches of pictures of the same photos, in the same order.
        path: of the picture.
        columns: photos beside each other.
        shortest: see `write_grid`.
    """
    columns = min(columns, len(kinds[0]))
    tiles = torch.stack(list(kinds), dim=1).flatten(0, 1)
    factor = max(1, round(shortest / min(tiles.shape[-2:])))
    tiles = F.interpolate(tiles, scale_factor=factor, mode="nearest")
    with atomic_file(path) as temporary:
        to_pillow(make_grid(tiles, nrow=len(kinds) * columns, padding=4, pad_value=1.0)).save(temporary)
    return path
