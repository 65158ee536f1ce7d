"""The same picture twice: copies stay on one side of the split, and one picture is of one person."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from privacy_exp.data.photo import Examined, Photo

SIDE = 16
NEAR = 12
"""Pictures whose looks differ in at most so many of 256 bits are likely to be one picture that was saved anew."""

CROWD = 16
"""So many pictures that share a strip of bits are compared with each other; a strip that more share says little."""


def look_of(image: Image.Image) -> bytes:
    """32 bytes that say whether brightness rises or falls between neighbours of a 17x16 thumbnail (difference hash)."""
    small = np.asarray(image.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX), dtype=np.int16)
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes()


def copies(
    photos: Sequence[Photo],
    examined: Mapping[str, Examined],
    read: Callable[[Photo], UInt8[np.ndarray, "h w 3"]],
) -> list[list[Photo]]:
    """Photos that are one picture: of equal bytes, or of equal pixels in other bytes.

    Args:
        photos: in the order of ids.
        examined: what the check of each found.
        read: gives the pixels; asked only where looks are equal and bytes are not.
    """
    by_bytes: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_bytes[examined[photo.id].content].append(photo)
    by_look: dict[tuple[bytes, tuple[int, int]], list[list[Photo]]] = defaultdict(list)
    for own in by_bytes.values():
        found = examined[own[0].id]
        by_look[found.look or found.content.encode(), found.size].append(own)
    sets: list[list[Photo]] = []
    for alike in by_look.values():
        if len(alike) > 1:
            alike = _by_pixels(alike, read)
        sets += [sorted(own, key=lambda photo: photo.id) for own in alike if len(own) > 1]
    return sorted(sets, key=lambda own: own[0].id)


def _by_pixels(alike: list[list[Photo]], read: Callable[[Photo], np.ndarray]) -> list[list[Photo]]:
    merged: dict[bytes, list[Photo]] = defaultdict(list)
    for own in alike:
        merged[read(own[0]).tobytes()] += own
    return list(merged.values())


def as_groups(photos: Sequence[Photo], sets: Sequence[Sequence[Photo]]) -> list[Photo]:
    """The photos, with each set of copies, and all groups that it touches, as one group."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    def group(photo: Photo) -> str:
        return f"copies of {photo.id}" if photo.group is None else photo.group

    for own in sets:
        first = root(group(own[0]))
        for other in own[1:]:
            parent[root(group(other))] = first
    touched = {photo.id for own in sets for photo in own}
    named = {photo.group for own in sets for photo in own}
    return [
        replace(p, group=root(group(p))) if p.id in touched or (p.group is not None and p.group in named) else p
        for p in photos
    ]


def near_pairs(photos: Sequence[Photo], examined: Mapping[str, Examined]) -> list[tuple[Photo, Photo]]:
    """Pairs of other content whose looks are nearly the same, each once, in the order of `photos`.

    Pictures that differ in at most 12 of 256 bits agree on at least one of 16 strips of 16 bits, so only those that
    share a strip are compared: each with the next few that do.
    """
    known = [photo for photo in photos if examined[photo.id].look]
    if len(known) < 2:
        return []
    looks = np.frombuffer(b"".join(examined[photo.id].look for photo in known), np.uint64).reshape(len(known), -1)
    strips = looks.view(np.uint16)
    found: set[tuple[int, int]] = set()
    for strip in strips.T:
        order = np.argsort(strip, kind="stable")
        for step in range(1, min(CROWD, len(known))):
            one, other = order[:-step], order[step:]
            sharing = strip[one] == strip[other]
            one, other = one[sharing], other[sharing]
            near = np.bitwise_count(looks[one] ^ looks[other]).sum(1) <= NEAR
            found.update(zip(one[near].tolist(), other[near].tolist(), strict=True))
    pairs = [(known[i], known[j]) for i, j in sorted(found)]
    return [(a, b) for a, b in pairs if examined[a.id].content != examined[b.id].content]
