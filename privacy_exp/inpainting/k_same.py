"""k-Same: each person is shown as the mean face of a group of k people."""

from collections.abc import Iterable
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.types import Faces, Images, Masks, UserError, number

SHOWN = ("own", "furthest")
"""Whose mean a person is shown as: that of the own group, or of the one furthest from it."""


@final
class KSame(Inpainter):
    """Paints the hidden pixels from the mean of k people's aligned faces, which k people then share.

    Frames are averaged as the data aligns them: crops that are not aligned give a blur.

    The training identities' mean faces are divided into groups of at least k by the greedy rule of the source: the
    first identity left and its k - 1 nearest form a group; the last group takes all that remain. A face is painted from
    the group of its identity, or, without a label, from the group whose nearest member's mean face is nearest to it.
    Holds one mean picture for each training identity in memory.

    Args:
        k: smallest group, in identities.
        shown: "own" paints the mean of the person's own group, "furthest" that of the group whose mean is furthest from
            it (k-Same-furthest): people are shown as somebody whom they do not resemble.
        select: an attribute of the data, such as Male: groups are formed among people of one value (k-Same-Select), so
            that the mean face keeps it; None forms them among all.

    References: Newton, Sweeney and Malin, Preserving Privacy by De-identifying Face Images, 2005; Gross et al.,
        Integrating Utility into Face De-identification, 2005 (select); Meng et al., Retaining Expressions on
        De-identified Faces, 2014 (furthest).

    Example:
        >>> greys = torch.tensor([0.2, 0.4])[:, None, None, None]
        >>> people = Faces(["a", "b"], greys.expand(2, 3, 8, 8), torch.arange(2))
        >>> k_same = KSame(k=2)
        >>> k_same.fit([people])
        >>> round(k_same(people, torch.ones(2, 1, 8, 8, dtype=torch.bool)).mean().item(), 3)
        0.3
    """

    reads_hidden = True  # without labels: the nearest group is chosen by the whole face

    def __init__(self, k: int = 5, shown: str = "own", select: str | None = None) -> None:
        if number("k", k) < 2 or k != int(k):
            raise UserError(
                f"`k` must be a whole number of at least 2 identities, for a group of one hides nobody, but got {k}."
            )
        if shown not in SHOWN:
            raise UserError(f"`shown` must be one of {', '.join(SHOWN)}, but got {shown!r}.")
        self.k, self.shown, self.select = k, shown, select
        self.members: Images = torch.empty(0, 3, 0, 0)
        self.groups: Images = torch.empty(0, 3, 0, 0)
        self.group_of: Int[Tensor, " k"] = torch.empty(0, dtype=torch.long)

    def fit(self, train: Iterable[Faces]) -> None:
        """Learn each identity's mean face and the groups.

        Args:
            train: the training photos in batches, with labels.

        Raises:
            UserError: without labels, or with fewer than k identities.
        """
        sums: dict[int, Tensor] = {}
        counts: dict[int, int] = {}
        votes: dict[int, int] = {}
        for faces in train:
            if faces.labels is None:
                raise UserError("`k_same` averages people's faces, but the training faces have no labels.")
            flags = self._flags(faces)
            for label, image, flag in zip(faces.labels.tolist(), faces.images, flags, strict=True):
                sums[label] = sums.get(label, torch.zeros_like(image)) + image
                counts[label] = counts.get(label, 0) + 1
                votes[label] = votes.get(label, 0) + (1 if flag else -1)
        if len(sums) < self.k:
            raise UserError(
                f"`k` = {self.k} needs as many training identities, but got {len(sums)}. "
                "Lower `inpainting.k` or take more identities."
            )
        labels = sorted(sums)
        self.members = torch.stack([sums.pop(label) / counts[label] for label in labels])
        groups = self._grouped(torch.tensor([votes[label] > 0 for label in labels]))
        self.groups = torch.stack([self.members[groups == index].mean(dim=0) for index in range(int(groups.max()) + 1)])
        if self.shown == "furthest":
            means = self.groups.flatten(1).double()
            self.groups = self.groups[torch.cdist(means, means).argmax(dim=1)]
        self.group_of = torch.full((max(labels) + 1,), -1, dtype=torch.long)
        self.group_of[labels] = groups
        self._labels = torch.tensor(labels)

    def _flags(self, faces: Faces) -> list[bool]:
        """The attribute by which people are kept apart, photo by photo."""
        if self.select is None:
            return [False] * len(faces.ids)
        if self.select not in (faces.attributes or {}):
            known = ", ".join(sorted(faces.attributes or {})) or "none"
            raise UserError(f"`select` must be an attribute of the data ({known}), but got {self.select!r}.")
        flags: list[bool] = (faces.attributes or {})[self.select].tolist()
        return flags

    def _grouped(self, flags: Tensor) -> Int[Tensor, " n"]:
        """The index of each person's group; with `select` among people of the same value."""
        groups = torch.empty(len(flags), dtype=torch.long)
        index = 0
        for value in flags.unique().tolist():
            own = flags == value
            if int(own.sum()) < self.k:
                raise UserError(
                    f"`k` = {self.k} needs as many training identities of each value of `select`, but {self.select} = "
                    f"{bool(value)} has {int(own.sum())}. Lower `inpainting.k` or take more identities."
                )
            groups[own] = group(self.members[own].flatten(1), self.k) + index
            index = int(groups[own].max()) + 1
        return groups

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """The mean faces of the groups.

        Raises:
            RuntimeError: before `fit`.
            UserError: for faces of another size than the training faces, or a label that has no training photo.
        """
        del masks, generators
        if not len(self.members):
            raise RuntimeError("`k_same` learns from the training split: call `fit(train)` before repainting.")
        if faces.images.shape[1:] != self.members.shape[1:]:
            raise UserError(
                f"`faces` must have the size {tuple(self.members.shape[2:])} of the training faces, "
                f"but got {tuple(faces.images.shape[2:])}."
            )
        if faces.labels is None:
            distances = torch.cdist(faces.images.flatten(1).cpu(), self.members.flatten(1).cpu())
            return self.groups[self.group_of[self._labels[distances.argmin(dim=1)]]]
        labels = faces.labels.cpu()
        known = (labels >= 0) & (labels < len(self.group_of))
        chosen = torch.where(known, self.group_of[labels.clamp(0, len(self.group_of) - 1)], -1)
        if (chosen < 0).any():
            missing = sorted(set(labels[chosen < 0].tolist()))
            raise UserError(f"`faces` hold the labels {missing}, which have no training photo to average.")
        return self.groups[chosen]


def group(points: Float[Tensor, "n d"], k: int) -> Int[Tensor, " n"]:
    """Greedy groups of at least k near points: the index of each point's group.

    Args:
        points: one row per point.
        k: smallest group; at most n.
    """
    distances = torch.cdist(points.double(), points.double())
    left = list(range(len(points)))
    groups = torch.empty(len(points), dtype=torch.long)
    index = 0
    while left:
        # Fewer than 2k left can't be divided again into groups of k.
        size = k if len(left) >= 2 * k else len(left)
        near = sorted(left, key=lambda other: (distances[left[0], other].item(), other))[:size]
        groups[near] = index
        left = [point for point in left if point not in set(near)]
        index += 1
    return groups
