"""Shapes, ranges and mask polarity that every stage agrees on.

Everything that passes between stages is one of these. A class that needs another convention (inverted masks,
pixels in [-1, 1], a fixed input size, other channel statistics, an alignment) converts inside.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from privacy_exp import UserError as UserError

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


@dataclass(frozen=True)
class Metric:
    """One figure with its interval; a figure that cannot be had is None with its reason.

    Attributes:
        value: the figure, or None.
        low: lower end of the 95 % interval, or None.
        high: upper end, or None.
        n: how many images it is over.
        reason: why there is no value, or a flag such as "below_gate".

    Example:
        >>> print(Metric(0.48, 0.377, 0.584, 600))
        0.480 (0.377-0.584), n=600
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"no value: {self.reason}, n={self.n}"
        interval = "" if self.low is None or self.high is None else f" ({self.low:.3f}-{self.high:.3f})"
        flag = "" if self.reason is None else f" [{self.reason}]"
        return f"{self.value:.3f}{interval}, n={self.n}{flag}"


class Faces(NamedTuple):
    """A batch of photos: what every stage passes on.

    Attributes:
        ids: relative path without suffix, every byte outside [A-Za-z0-9_] as %XX: unique and safe in file names.
        images: RGB in [0, 1].
        labels: identity indices, or None where identities are unknown.
        landmarks: five points in pixels, pixel centres at whole numbers, or None where the data has none.
        attributes: named booleans, or None where the data has none.
        people: who is on each photo, as the data names them, or None where identities are unknown. Unlike labels, names
            do not depend on who else takes part.

    Example:
        >>> faces = Faces(["a", "b"], torch.rand(2, 3, 64, 64), torch.tensor([0, 1]))
        >>> faces[[1]].ids
        ['b']
        >>> faces.unlabelled().labels is None
        True
    """

    ids: list[str]
    images: Images
    labels: Labels | None = None
    landmarks: Landmarks | None = None
    attributes: Attributes | None = None
    people: list[str] | None = None

    def __getitem__(self, rows: Sequence[int] | slice) -> "Faces":  # type: ignore[override]
        """The faces at these positions, in this order; fields go by name."""
        keep = list(range(len(self.ids))[rows]) if isinstance(rows, slice) else [int(row) for row in rows]

        def pick(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[keep]

        attributes = None if self.attributes is None else {k: v[keep] for k, v in self.attributes.items()}
        chosen = [self.ids[i] for i in keep]
        people = None if self.people is None else [self.people[i] for i in keep]
        return Faces(chosen, self.images[keep], pick(self.labels), pick(self.landmarks), attributes, people)

    def without(self, ids: Collection[str]) -> "Faces":
        """The faces whose ids are not among `ids`; the same object where nothing is taken out."""
        keep = [i for i, name in enumerate(self.ids) if name not in ids]
        return self if len(keep) == len(self.ids) else Faces.__getitem__(self, keep)

    def to(self, device: torch.device | str) -> "Faces":
        """The same faces with every tensor on `device`."""

        def move(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device)

        attributes = None if self.attributes is None else {k: v.to(device) for k, v in self.attributes.items()}
        return Faces(self.ids, self.images.to(device), move(self.labels), move(self.landmarks), attributes, self.people)

    def unlabelled(self) -> "Faces":
        """The same faces without identities."""
        return self._replace(labels=None, people=None)


def number(name: str, value: Any) -> Any:
    """The value, if it is a finite number.

    Raises:
        UserError: for anything else; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise UserError(f"`{name}` must be a finite number, but got {value!r}.")
    return value
