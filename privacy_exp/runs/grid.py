"""A picture grid: face | mask | result, triples beside each other."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision.utils import make_grid

from privacy_exp.cache.files import atomic_file
from privacy_exp.runs.folder import RunFolder, to_pillow


def write_grid(folder: RunFolder, path: Path, count: int = 12, columns: int = 4, shortest: int = 128) -> Path:
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
    columns = min(columns, len(ids))
    tiles = torch.stack([folder.read([listing[i][0] for i in ids]) for listing in listings], dim=1).flatten(0, 1)
    factor = max(1, round(shortest / min(tiles.shape[-2:])))
    tiles = F.interpolate(tiles, scale_factor=factor, mode="nearest")
    with atomic_file(path) as temporary:
        to_pillow(make_grid(tiles, nrow=len(kinds) * columns, padding=4, pad_value=1.0)).save(temporary)
    return path
