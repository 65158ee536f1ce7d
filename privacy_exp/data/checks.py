"""What must hold of the photos that take part: readable, of one size, all or none with landmarks and attributes."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tqdm.auto import tqdm

from privacy_exp.data.photo import BadDataError, BadImageError, Examined, Photo, Points


def check_index(photos: Sequence[Photo], what: str) -> None:
    """Checks an index before any pixels are read.

    Args:
        photos: all photos of the data set.
        what: the data set's name, for messages.

    Raises:
        BadDataError: no photo, an id that is not unique, or an identity known for some photos only.
    """
    if not photos:
        raise BadDataError(f"{what} found no photo. Check `data.root` against the data's layout.")
    twice = [name for name, n in Counter(photo.id for photo in photos).items() if n > 1]
    if twice:
        raise BadDataError(f"Image ids must be unique, but {twice[0]} stands for several photos. Rename a file.")
    unknown = sum(photo.identity is None for photo in photos)
    if unknown not in (0, len(photos)):
        raise BadDataError(f"{unknown} of {len(photos)} photos have no identity; name them or remove them.")


def examine_all(
    photos: Sequence[Photo], examine: Callable[[Photo], Examined]
) -> Iterator[tuple[Photo, Examined | BadImageError]]:
    """Each photo, in order, with what `examine` found or why it cannot be read; several threads, a progress bar."""

    def some(chunk: Sequence[Photo]) -> list[Examined | BadImageError]:
        found: list[Examined | BadImageError] = []
        for photo in chunk:
            try:
                found.append(examine(photo))
            except BadImageError as error:
                found.append(error)
        return found

    chunks = [photos[i : i + 64] for i in range(0, len(photos), 64)]
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # Pillow decodes outside the interpreter lock
    with tqdm(total=len(photos), desc="checking photos", unit="photo", disable=len(photos) < 2000) as bar:
        try:
            for chunk, found in zip(chunks, pool.map(some, chunks), strict=True):
                yield from zip(chunk, found, strict=True)
                bar.update(len(chunk))
        finally:
            pool.shutdown(cancel_futures=True)


def common_size(photos: Sequence[Photo], examined: Mapping[str, Examined]) -> tuple[int, int]:
    """The (height, width) that all photos have.

    Raises:
        BadDataError: a photo has another size than most; the message names it.
    """
    height, width = Counter(examined[photo.id].size for photo in photos).most_common(1)[0][0]
    for photo in photos:
        h, w = examined[photo.id].size
        if (h, w) != (height, width):
            raise BadDataError(
                f"All photos must have one size, but {photo.id} is {w}x{h} (width x height) and most are "
                f"{width}x{height}. data=folder data.image_size=[{height},{width}] resizes them."
            )
    return height, width


MARGIN = 0.1
"""Points may lie so far outside the frame, as a share of its side: faces are cut at the border."""


def check_extras(photos: Sequence[Photo], size: tuple[int, int]) -> list[str]:
    """Checks that all photos or none have landmarks and attributes, and that both can be meant for these photos.

    Args:
        photos: that take part.
        size: (height, width) of their frames, in pixels.

    Returns:
        What is odd, one line each.

    Raises:
        BadDataError: some photos have none, attributes have other names, or points that belong to other frames; the
            message names a photo.
    """
    for what in ("landmarks", "attributes"):
        lacking = [photo.id for photo in photos if getattr(photo, what) is None]
        if len(lacking) not in (0, len(photos)):
            raise BadDataError(
                f"{len(lacking)} of {len(photos)} photos have no {what}, such as {lacking[0]}. Complete the {what} "
                "file, or take it away to go on without."
            )
    names = set(photos[0].attributes or ())
    for photo in photos:
        if photo.attributes is not None and set(photo.attributes) != names:
            raise BadDataError(f"{photo.id} has other attributes than {photos[0].id}; all photos need the same names.")
    points = {photo.id: photo.landmarks for photo in photos if photo.landmarks is not None}
    return _check_points(points, size) if points else []


def _check_points(points: Mapping[str, Points], size: tuple[int, int]) -> list[str]:
    """Landmarks against the frame: fractions of it, points of another size, points that were not found, mirrored ones.

    Raises:
        BadDataError: any photo's points coincide, or more than a tenth of the photos' lie elsewhere.
    """
    height, width = size
    frame = f"the photos' frames of {width}x{height} (width x height)"
    outside, turned = [], []
    for name, own in points.items():
        x, y = [p[0] for p in own], [p[1] for p in own]
        wide, high = max(x) - min(x), max(y) - min(y)
        if max(wide, high) < 1:  # pixel
            fractions = all(0 <= value <= 1 for value in (*x, *y)) and wide > 0
            cause = (
                "they look like fractions of the frame; multiply them by its width and height"
                if fractions
                else "all five coincide, as where no face was found; correct its row, or remove the photo"
            )
            raise BadDataError(f"The landmarks of {name} cannot be used: {cause}.")
        inside = -MARGIN * width <= min(x) and max(x) <= (1 + MARGIN) * width
        if not (inside and -MARGIN * height <= min(y) and max(y) <= (1 + MARGIN) * height):
            outside.append(name)
        if len(own) == 5 and (x[0] >= x[1] or (y[0] + y[1]) >= (y[3] + y[4])):
            turned.append(name)
    found = []
    for names, what, cause in (
        (outside, "lie outside", "Do they belong to the pictures before these were resized or cropped?"),
        (
            turned,
            "are mirrored or upside down in",
            "The order is left eye, right eye, nose, left and right mouth corner.",
        ),
    ):
        if len(names) > len(points) / 10:
            raise BadDataError(
                f"The landmarks of {len(names)} of {len(points)} photos, such as {names[0]}, {what} {frame}. {cause}"
            )
        if names:
            found.append(f"the landmarks of {len(names)} of {len(points)} photos, such as {names[0]}, {what} {frame}")
    return found


SHOWN = 5
"""So many lines of what was left out are shown at once."""

COUNTED = (
    (r"unreadable image .+?: (.+)", "1 unreadable image (%s)", "{n} unreadable images (%s)"),
    (
        r"identity .+: \d+ photos, (\d+) needed",
        "1 identity of fewer than %s photos",
        "{n} identities of fewer than %s photos",
    ),
)
"""Lines that differ in a name alone, and how they are said together."""


def summary(parts: Mapping[str, Sequence[Photo]], indexed: int, people: Sequence[str], skipped: Sequence[str]) -> str:
    """One line on what takes part and what was left out.

    Args:
        parts: the photos that take part.
        indexed: how many photos the data set has.
        people: who is known by name.
        skipped: what was left out.
    """
    n = {part: len(own) for part, own in parts.items()}
    used = f"used {sum(n.values())} of {indexed} photos"
    if people:
        used += f" of {len(people)} people ({n['train']} to train, {n['val']} to validate, {n['test']} to test)"
    lines = counted(skipped)
    lines = lines[:SHOWN] + ([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])
    return f"{used}; left out: {'; '.join(lines)}" if lines else used


def counted(lines: Sequence[str]) -> list[str]:
    """What was left out, lines that differ in a name alone as one with their number, the others as they are.

    Example:
        >>> counted(["identity 'a': 2 photos, 5 needed", "identity 'b': 1 photos, 5 needed"])
        ['2 identities of fewer than 5 photos']
    """
    found = Counter(_said(line) for line in lines)
    return [one if n == 1 else many.replace("{n}", str(n), 1) for (one, many), n in found.items()]


def _said(line: str) -> tuple[str, str]:
    """How one such line is said, and how several are."""
    for shape, one, many in COUNTED:
        if match := re.fullmatch(shape, line):
            return one % match[1], many % match[1]
    return line, line
