"""Hashes of data sets: equal where what a consumer looks at is equal, whatever the paths."""

import hashlib
import json
import operator
from collections.abc import Mapping, Sequence

from privacy_exp.data.identity_split import PARTS
from privacy_exp.data.photo import Examined, Photo

Parts = Mapping[str, Sequence[Photo]]


def full_digest(
    photos: Parts, identities: Sequence[str], size: tuple[int, int], examined: Mapping[str, Examined]
) -> str:
    """Hash of every field of the photos: some measure looks at each.

    Args:
        photos: part to photos.
        identities: label to name.
        size: of the frames.
        examined: what the check of each photo found.
    """
    first = next(photo for part in PARTS for photo in photos[part])
    names = sorted(first.attributes or ())
    total = hashlib.sha256(json.dumps([list(identities), size, names]).encode())
    for part in PARTS:
        for p in photos[part]:
            known = None if p.attributes is None else [int(p.attributes[name]) for name in names]
            row = (part, p.id, p.identity, p.group, examined[p.id].content, p.landmarks, known)
            total.update(json.dumps(row).encode())
    return total.hexdigest()


class Digests:
    """The full digest of a data set, computed once for the same lists of photos: several keys of a run ask for it."""

    def __init__(self) -> None:
        self._known: tuple[list[Sequence[Photo]], str] | None = None

    def of(
        self, photos: Parts, identities: Sequence[str], size: tuple[int, int], examined: Mapping[str, Examined]
    ) -> str:
        """See `full_digest`; a copy of the data with other photos gets its own."""
        lists = list(photos.values())
        if self._known is None or not all(map(operator.is_, lists, self._known[0])):
            self._known = lists, full_digest(photos, identities, size, examined)
        return self._known[1]


def fit_digest(
    photos: Parts, identities: Sequence[str], size: tuple[int, int], examined: Mapping[str, Examined]
) -> str:
    """Hash of what a fit sees of the train and validation photos: pixels, ids and people; see `full_digest`."""
    total = hashlib.sha256(json.dumps([list(identities), size]).encode())
    for part in ("train", "val"):
        for p in photos[part]:
            total.update(json.dumps((part, p.id, p.identity, examined[p.id].content)).encode())
    return total.hexdigest()
