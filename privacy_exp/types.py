"""Shapes, ranges and mask polarity that every stage agrees on.

Everything that passes between stages is one of these. A class that needs another convention (inverted masks,
pixels in [-1, 1], a fixed input size, other channel statistics, an alignment) converts inside.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

Images = Float[Tensor, "n 3 h w"]
"""RGB in [0, 1]."""

Masks = Bool[Tensor, "n 1 h w"]
"""True = hidden, to be repainted. At the data's size."""

Scores = Float[Tensor, "n 1 h w"]
"""Higher = hide first, on any scale."""

Labels = Int[Tensor, " n"]
"""Identity index in [0, k)."""

Logits = Float[Tensor, "n k"]
"""One score per identity, before the softmax."""

Embeddings = Float[Tensor, "n d"]
"""Rows of unit Euclidean norm."""

Landmarks = Float[Tensor, "n 5 2"]
"""(x, y) in pixels of the data: the viewer's left eye, right eye, nose tip, left and right mouth corner."""

Attributes = dict[str, Bool[Tensor, " n"]]
"""Named booleans, named as in CelebA (`Smiling`, `Eyeglasses`, ...)."""


class Faces(NamedTuple):
    """A batch of photos: what every stage passes on.

    Attributes:
        ids: relative path without suffix, every byte outside [A-Za-z0-9_] as %XX: unique and safe in file names.
        images: RGB in [0, 1].
        labels: identity indices, or None where identities are unknown.
        landmarks: five points in pixels, or None where the data has none.
        attributes: named booleans, or None where the data has none.
    """

    ids: list[str]
    images: Images
    labels: Labels | None = None
    landmarks: Landmarks | None = None
    attributes: Attributes | None = None
