"""Pictures of a report: sheets of small tiles, the first ones inside the page, the others beside it."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from privacy_exp.cache.files import write_bytes
from privacy_exp.report.collect import Row
from privacy_exp.report.sections import Section
from privacy_exp.runs.folder import RunFolder, read_rgb
from privacy_exp.runs.picture import Picture
from privacy_exp.types import UserError

SHOWN = ("results", "masks")
"""Kinds of pictures that each cell has of its own; of pairs nobody knows the masks."""

COLUMNS = 12
"""Tiles beside each other in a sheet."""

PER_FILE = 144
"""Tiles of a sheet beside the page."""

LONGEST = 128
"""Pixels of a tile's longer side; smaller pictures keep their size."""

INLINE_BYTES = 2_600_000
"""Of pictures inside the page, before base64 adds a third: the page stays below 5 MB."""


@dataclass
class Album:
    """Pictures of one section.

    Attributes:
        ids: images in the order of the tiles, those inside the page first.
        inline: how many of them stand inside the page.
        tile: width and height in pixels.
        sheets: data URLs, each once.
        originals: sheets of the originals: index of the one inside the page, files beside it.
        cells: for each cell the same for `masks` and `results`; of pairs without masks.
        missing: for each cell the tiles whose picture is missing.
    """

    ids: list[str]
    inline: int
    tile: tuple[int, int]
    sheets: list[str] = field(default_factory=list)
    originals: dict[str, Any] = field(default_factory=dict)
    cells: list[dict[str, Any]] = field(default_factory=list)
    missing: list[list[int]] = field(default_factory=list)


def make_gallery(section: Section, out: Path, inline: int, most: int | None, problems: list[str]) -> Album | None:
    """Cuts the pictures of a section's cells into sheets and writes those that stand beside the page.

    Args:
        section: whose cells; those of which nobody says who is on their pictures have none.
        out: folder of the page; takes `sprites/`.
        inline: pictures a cell inside the page, at most; fewer where they would make it too large.
        most: pictures a cell at all; None takes all.
        problems: takes a sentence for each cell with missing pictures.

    Returns:
        None where no cell has pictures.
    """
    ids = spread([str(i) for cell in section.cells if cell.faces is not None for i in cell.faces["image_id"]], inline)
    ids = ids[:most]
    kinds = SHOWN[:1] if section.pairs else SHOWN
    listings = [_listings(cell, ("original", *kinds), problems) for cell in section.cells]
    tile = _tile_size(path for listing in listings for kind in listing.values() for path in kind.values())
    if not ids or tile is None:
        return None
    gallery = Album(ids, 0, tile)
    gallery.inline = min(inline, len(ids), _affordable(gallery, listings, inline))
    sheets = _Sheets(gallery, out)
    everyones = {i: path for listing in reversed(listings) for i, path in listing.get("original", {}).items()}
    gallery.originals, _ = sheets.keep(sheets.cut(everyones, masks=False))
    for cell, listing in zip(section.cells, listings, strict=True):  # threads make small pictures slower
        kept = {kind: sheets.keep(sheets.cut(listing.get(kind, {}), kind == "masks")) for kind in kinds}
        gallery.cells.append({kind: place for kind, (place, _) in kept.items()})
        own = set() if cell.faces is None else set(cell.faces["image_id"])
        gone = sorted({tile for _, missing in kept.values() for tile in missing if ids[tile] in own})
        gallery.missing.append(gone)
        if gone:
            problems.append(f"{cell.name}: {len(gone)} pictures are missing or unreadable, such as {ids[gone[0]]}.")
    return gallery


def spread(ids: Sequence[str], first: int) -> list[str]:
    """Each id once, in order, but with `first` of them taken at even distances and put in front: of many people."""
    unique = list(dict.fromkeys(ids))
    if len(unique) <= first or first < 1:
        return unique
    picked = [unique[round(k * (len(unique) - 1) / max(1, first - 1))] for k in range(first)]
    chosen = set(picked)
    return [*dict.fromkeys(picked), *(i for i in unique if i not in chosen)]


def _listings(cell: Row, kinds: Sequence[str], problems: list[str]) -> dict[str, dict[str, Picture]]:
    found: dict[str, dict[str, Picture]] = {}
    if cell.faces is None:
        return found
    for kind in kinds:
        try:
            found[kind] = {image_id: path for image_id, (path, _) in RunFolder(cell.folder).list(kind).items()}
        except (FileNotFoundError, ValueError) as error:
            problems.append(f"{cell.name}: {error}")
    return found


def _tile_size(paths: Iterable[Picture]) -> tuple[int, int] | None:
    """Width and height of a tile, by the first picture that can be read; None where there is none."""
    for path in paths:
        with suppress(UserError):
            height, width, _ = read_rgb(path).shape
            scale = min(1.0, LONGEST / max(height, width))
            return max(1, round(width * scale)), max(1, round(height * scale))
    return None


def _affordable(gallery: Album, listings: Sequence[Mapping[str, Mapping[str, Picture]]], inline: int) -> int:
    """How many pictures a cell fit into the page, by the size of the first cell that has some."""
    sample = next(listing for listing in listings if listing)
    ids = gallery.ids[:inline]
    one = sum(len(_encode(_sheet(gallery.tile, [sample[k].get(i) for i in ids])[0], k == "masks")) for k in sample)
    return int(INLINE_BYTES * len(ids) / max(1, one * len(listings)))


@dataclass
class Cut:
    """One kind of a cell's pictures, cut into sheets.

    Attributes:
        kind: file type of the sheets.
        contents: the sheet for the page, then those beside it.
        missing: tiles without a readable picture.
    """

    kind: str
    contents: list[bytes] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)


class _Sheets:
    """Cuts tiles into sheets; equal sheets are kept once: guidance does not change a mask."""

    def __init__(self, gallery: Album, out: Path) -> None:
        self.gallery = gallery
        self.out = out
        self.known: dict[str, int] = {}

    def cut(self, paths: Mapping[str, Picture], masks: bool) -> Cut:
        """The sheet inside the page and those beside it, and the tiles that are missing."""
        ids, inline = self.gallery.ids, self.gallery.inline
        parts = [(0, ids[:inline]), *((i, ids[i : i + PER_FILE]) for i in range(inline, len(ids), PER_FILE))]
        made = Cut("png" if masks else "jpeg")
        for start, some in parts:
            image, gone = _sheet(self.gallery.tile, [paths.get(i) for i in some])
            made.contents.append(_encode(image, masks))
            made.missing += [start + tile for tile in gone]
        return made

    def keep(self, cut: Cut) -> tuple[dict[str, Any], list[int]]:
        """Puts the first sheet into the page and the others beside it; where they lie, and the missing tiles."""
        content, *rest = cut.contents
        key = hashlib.sha256(content).hexdigest()[:16]
        if key not in self.known:
            self.known[key] = len(self.gallery.sheets)
            self.gallery.sheets.append(f"data:image/{cut.kind};base64,{base64.b64encode(content).decode()}")
        return {"sheet": self.known[key], "files": [self._beside(one, cut.kind) for one in rest]}, cut.missing

    def _beside(self, content: bytes, kind: str) -> str:
        name = f"sprites/{hashlib.sha256(content).hexdigest()[:16]}.{kind}"
        if not (self.out / name).is_file():
            write_bytes(self.out / name, content)
        return name


def _sheet(tile: tuple[int, int], paths: Sequence[Picture | None]) -> tuple[Image.Image, list[int]]:
    width, height = tile
    rows = max(1, -(-len(paths) // COLUMNS))
    sheet = Image.new("RGB", (COLUMNS * width, rows * height))
    missing = []
    for number, path in enumerate(paths):
        try:
            if path is None:
                raise FileNotFoundError
            image = Image.fromarray(read_rgb(path))
            small = image.resize(tile, Image.Resampling.LANCZOS, reducing_gap=2)
        except (UserError, FileNotFoundError):
            missing.append(number)
            continue
        sheet.paste(small, (number % COLUMNS * width, number // COLUMNS * height))
    return sheet, missing


def _encode(image: Image.Image, masks: bool) -> bytes:
    buffer = BytesIO()
    if masks:
        image.convert("L").point(lambda level: 255 * (level >= 128)).convert("1").save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=80)  # WebP saves a quarter of the bytes and takes ten times as long
    return buffer.getvalue()
