"""Which photos take part: readable ones, of people who have enough, each picture once and of one person."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from privacy_exp.data.checks import examine_all
from privacy_exp.data.duplicates import as_groups, copies, near_pairs
from privacy_exp.data.identity_split import (
    by_identity,
    groups_of,
    required_parts,
    seeded_order,
    shared_groups,
)
from privacy_exp.data.manifest import ALIKE
from privacy_exp.data.photo import BadDataError, Examined, Photo


@runtime_checkable
class Rules(Protocol):
    """What a selection needs of a data set; see `FaceData`."""

    split: tuple[float, float, float]
    split_seed: int
    split_fold: tuple[int, int] | None
    max_identities: int | None
    min_images_per_identity: int
    on_bad_image: str
    skipped: list[str]
    doubts: list[str]

    def examine(self, photo: Photo) -> Examined:
        """See `FaceData`."""

    def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
        """See `FaceData`."""


class Selection:
    """Chooses the photos of one set-up, and notes in `skipped` and `doubts` of the data what it left out and saw.

    Args:
        data: whose photos.

    Attributes:
        examined: what the check of each photo found, by its id.
        alike: pairs of photos that look alike, but lie on two sides of the split or show two people.
    """

    def __init__(self, data: Rules) -> None:
        self.data = data
        self.examined: dict[str, Examined] = {}
        self.alike: list[tuple[Photo, Photo]] = []

    def readable(self, photos: Sequence[Photo]) -> list[Photo]:
        """The photos that pass `examine`, in the order of ids; what it found is kept."""
        good = []
        for photo, found in examine_all(sorted(photos, key=lambda photo: photo.id), self.data.examine):
            if isinstance(found, Examined):
                self.examined[photo.id] = found
                good.append(photo)
            elif self.data.on_bad_image == "skip":
                self.data.skipped.append(found.left_out)
            else:
                raise found
        return good

    def identities(self, photos: Sequence[Photo]) -> list[Photo]:
        """Photos of the identities that have enough, in a seeded order until there are `max_identities`."""
        shared = shared_groups(photos)
        people = {name: own for name, own in by_identity(photos).items() if self._enough(name, own, shared)}
        waiting = seeded_order(people, self.data.split_seed, "identities")
        limit = len(waiting) if self.data.max_identities is None else self.data.max_identities
        kept: dict[str, list[Photo]] = {}
        while waiting and len(kept) < limit:
            take = limit - len(kept)
            now, waiting = waiting[:take], waiting[take:]
            readable = by_identity(self.readable([photo for name in now for photo in people[name]]))
            for name in now:
                own = readable.get(name, [])
                if len(own) == len(people[name]) or self._enough(name, own, shared):
                    kept[name] = own
        return self._without_copies([photo for own in kept.values() for photo in own])

    def _without_copies(self, photos: list[Photo]) -> list[Photo]:
        """Copies of a picture as one group; a picture under two names is refused, or left out."""
        sets = copies(sorted(photos, key=lambda photo: photo.id), self.examined, self.data.read)
        mixed = [own for own in sets if len({photo.identity for photo in own}) > 1]
        if mixed and self.data.on_bad_image != "skip":
            first, other = mixed[0][0], next(p for p in mixed[0] if p.identity != mixed[0][0].identity)
            raise BadDataError(
                f"{first.id} and {other.id} are one picture, but {first.identity!r} and {other.identity!r} are two "
                f"people ({len(mixed)} such pictures). Remove the wrong one, or leave them out with "
                "data.on_bad_image=skip."
            )
        for own in mixed:
            names = ", ".join(photo.id for photo in own)
            self.data.skipped.append(f"one picture under the names of several people: {names}")
        out = {photo.id for own in mixed for photo in own}
        same = [own for own in sets if own not in mixed]
        if same:
            n = sum(len(own) - 1 for own in same)
            self.data.doubts.append(
                f"photos that are copies of others: {n}, such as {same[0][1].id} of {same[0][0].id}; they stay on the "
                "others' side of the split."
            )
        left = as_groups([photo for photo in photos if photo.id not in out], same)
        if not sets:
            return left
        shared = shared_groups(left)
        enough = {name for name, own in by_identity(left).items() if self._enough(name, own, shared)}
        return [photo for photo in left if photo.identity in enough]

    def _enough(self, identity: str, photos: Sequence[Photo], shared: set[str]) -> bool:
        """Whether an identity can be split; if not it is listed in `skipped`."""
        groups, needed = set(groups_of(photos)), len(required_parts(self.data.split))
        least = self.data.min_images_per_identity
        if self.data.split_fold is not None:
            needed = max(needed, self.data.split_fold[1])  # each fold tests at least one of the identity's own
            groups -= shared
        if len(photos) < least:
            self.data.skipped.append(f"identity {identity!r}: {len(photos)} photos, {least} needed")
        elif len(groups) < needed:
            self.data.skipped.append(
                f"identity {identity!r}: {len(groups)} group of photos, {needed} needed to split it"
            )
        else:
            return True
        return False

    def look_again(self, parts: Mapping[str, Sequence[Photo]]) -> list[str]:
        """Lines about photos that look like others on another side of the split, and about odd pictures."""
        side = {photo.id: part for part, own in parts.items() for photo in own}
        chosen = [photo for own in parts.values() for photo in own]
        first: dict[str, Photo] = {}
        same = [(first.setdefault(self.examined[p.id].content, p), p) for p in chosen]  # a manifest may part copies
        lines = []
        for what, pairs in (
            ("that are copies of each other,", [(a, b) for a, b in same if a is not b]),
            ("that look alike, as a picture saved anew does,", near_pairs(chosen, self.examined)),
        ):
            apart = [(a, b) for a, b in pairs if side[a.id] != side[b.id] or a.identity != b.identity]
            self.alike += apart
            if apart:
                a, b = apart[0]
                lines.append(
                    f"pairs of photos {what} but lie on two sides of the split or show two people: {len(apart)}, such "
                    f"as {a.id} and {b.id}; the run's {ALIKE} lists them. Remove one of each, or name them in "
                    "groups.csv and split anew."
                )
        odd = [(photo, self.examined[photo.id].doubt) for photo in chosen if self.examined[photo.id].doubt]
        if odd:
            lines.append(f"photos that look damaged: {len(odd)}, such as {odd[0][0].id}: {odd[0][1]}.")
        return lines
