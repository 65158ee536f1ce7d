"""Looking again at a treated photo: is there a face, and is it still the same person?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from privacy_exp.cache.keys import content_key
from privacy_exp.evaluation.judges.embedder import Embedder, embed_batches
from privacy_exp.photos.crops import frame_points
from privacy_exp.types import Images, UserError

THRESHOLDS: Mapping[str, tuple[float, float]] = {
    "4b842b1b7baabe8fd50f": (0.2630, 0.3561),  # MobileFaceNet
    "6a15eaf94c1949f53753": (0.9120, 0.9305),  # dlib
}
"""Content key of an embedder's fields to its thresholds at FAR 1 % and 0.1 %; docs/results/photo_thresholds.md."""


@dataclass(frozen=True)
class Watcher:
    """A recogniser that looks at faces before and after.

    Attributes:
        name: the config's.
        embedder: what it sees with.
        threshold: cosine similarity from which two faces count as one person, at FAR 1 % over strangers.
        strict: the same at FAR 0.1 %.
    """

    name: str
    embedder: Embedder
    threshold: float
    strict: float

    def embed(self, crops: Images) -> Float[np.ndarray, "n d"]:
        """Unit embeddings of aligned crops, RGB in [0, 1]; NaN where embedding fails."""
        size = (int(crops.shape[2]), int(crops.shape[3]))
        self.embedder.face_points = {size: frame_points(size)}
        return embed_batches(self.embedder, crops.split(32)).vectors


def cosines(before: Float[np.ndarray, "n d"], after: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Cosine similarity of each face before and after, of unit embeddings; -1 where one can't be embedded."""
    return np.nan_to_num((before * after).sum(1), nan=-1.0)


def watcher(name: str, embedder: Embedder, threshold: float | None = None) -> Watcher:
    """A judge's embedder as a watcher.

    Args:
        name: the config's.
        embedder: of a judge that comes trained.
        threshold: cosine similarity from which two faces count as one person; None takes the one that was measured for
            these weights.

    Raises:
        UserError: no threshold is known for these weights.
    """
    known = THRESHOLDS.get(content_key(embedder.fields()))
    if threshold is not None:
        return Watcher(name, embedder, threshold, max(threshold, known[1]) if known else threshold)
    if known is None:
        raise UserError(
            f"`judge.{name}`: no threshold has been measured for these weights. Give the cosine similarity from which "
            f"two faces count as one person: threshold.{name}=0.4, or measure it with scripts/photo_thresholds.py."
        )
    return Watcher(name, embedder, *known)


def measured(vectors: Float[np.ndarray, "n d"], people: np.ndarray, far: float) -> float:
    """The similarity that a share `far` of pairs of strangers reaches.

    Args:
        vectors: unit embeddings of originals.
        people: who is on each.
        far: false accept rate, in (0, 1).
    """
    alike = torch.from_numpy(vectors) @ torch.from_numpy(vectors).T
    strangers: Tensor = alike[torch.from_numpy(people)[:, None] < torch.from_numpy(people)[None]]
    return float(np.quantile(strangers.numpy(), 1 - far))
