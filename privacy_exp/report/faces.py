"""A figure of the same faces under every method: original, hidden part, result."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from privacy_exp.cache.files import atomic_file
from privacy_exp.report.collect import Row
from privacy_exp.report.figures import INK, MUTED, STYLE
from privacy_exp.report.paper import FORMATS, UNDATED
from privacy_exp.report.pictures import spread
from privacy_exp.report.sections import Section
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.names import display_name

GREY = 0.62
"""Level of what is hidden."""

Strip = tuple[str, list[np.ndarray], list[str]]
"""Its name, pictures, and the words below them."""


def write_faces(section: Section, folder: Path, suffix: str = "", count: int = 8) -> bool:
    """Draws `count` people under each method, at the middle ratio and guidance, as png, pdf and svg.

    Args:
        section: whose cells; those of which a picture is missing are left out.
        folder: takes `faces.png` and so on.
        suffix: of the files' names.
        count: faces beside each other.

    Returns:
        False where no cell has its pictures.
    """
    cells = [cell for cell in (section.cells[index] for index in middle(section)) if cell.faces is not None]
    table = cells[0].faces if cells else None
    if table is None:
        return False
    ids = spread([str(i) for i in table["image_id"]], count)[:count]
    kinds = ("original", "results") if section.pairs else ("original", "masks", "results")
    found = {cell.name: tiles for cell in cells if (tiles := _tiles(cell, kinds, ids)) is not None}
    cells = [cell for cell in cells if cell.name in found]
    if not cells:
        return False
    rows = [("original", found[cells[0].name]["original"], [""] * len(ids))]
    for cell in cells:
        own = found[cell.name]
        rows += [(cell.method, own["results"], [""] * len(ids))] if section.pairs else _method(cell, ids, own)
    with matplotlib.rc_context(STYLE):
        figure = _draw(rows)
        for kind in FORMATS:
            with atomic_file(folder / f"faces{suffix}.{kind}") as temporary:
                figure.savefig(temporary, format=kind, dpi=200, metadata=UNDATED[kind])
    return True


def middle(section: Section) -> list[int]:
    """One cell a method: that of the middle ratio and the middle guidance, the first where others vary."""
    chosen = []
    for method in dict.fromkeys(cell.method for cell in section.cells):
        mine = [i for i, cell in enumerate(section.cells) if cell.method == method]
        for position in (1, 2):
            values = section.axes[position].values
            levels = [v for v in section.axes[position].levels if v in {values[i] for i in mine}]
            mine = [i for i in mine if values[i] == levels[len(levels) // 2]]
        chosen.append(mine[0])
    return chosen


def _method(cell: Row, ids: Sequence[str], tiles: Mapping[str, list[np.ndarray]]) -> list[Strip]:
    table = cell.images.set_index("image_id")  # type: ignore[union-attr]
    outcomes = []
    for image_id in ids:
        label, before, after = table.loc[image_id, ["label", "pred", "pred_anonymized"]]
        outcomes.append("not recognised before" if before != label else "fooled" if after != label else "recognised")
    ratio = "" if cell.mask_ratio is None else f", {100 * cell.mask_ratio:.3g} %"
    hidden = [np.where(mask >= 0.5, GREY, face) for mask, face in zip(tiles["masks"], tiles["original"], strict=True)]
    return [(f"{display_name(cell.method)}{ratio}", hidden, [""] * len(ids)), ("result", tiles["results"], outcomes)]


def _draw(rows: Sequence[Strip]) -> Figure:
    """Rows of pictures with a name at the left of each row and a word below each picture.

    The pictures stand in one array: an image artist each would take half a minute for 20 methods.
    """
    height, width, _ = rows[0][1][0].shape
    gap, line = max(1, round(0.04 * width)), round(0.24 * width)  # between pictures, and for a line of words
    tall = sum(height + (line if any(words) else gap) for _, _, words in rows)
    wide = len(rows[0][1]) * (width + gap)
    inches = 0.85 / width  # of a pixel
    figure = Figure(figsize=((wide + 1.6 * width) * inches, tall * inches), facecolor="white")
    ax = figure.add_axes((1.6 * width / (wide + 1.6 * width), 0, wide / (wide + 1.6 * width), 1))
    ax.set_axis_off()
    canvas = np.ones((tall, wide, 3), np.float32)
    top = 0
    for name, pictures, words in rows:
        ax.text(-0.1 * width, top + height / 2, name, ha="right", va="center", fontsize=7)
        for column, (picture, word) in enumerate(zip(pictures, words, strict=True)):
            left = column * (width + gap)
            canvas[top : top + height, left : left + width] = _resized(picture, height, width)
            if word:
                ink = INK if word == "fooled" else MUTED
                middle = (left + width / 2, top + height + line / 2)
                ax.text(*middle, word, ha="center", va="center", fontsize=5.5, color=ink)
        top += height + (line if any(words) else gap)
    ax.imshow(canvas, extent=(0, wide, tall, 0), interpolation="none")  # pdf and svg keep the pixels as they are
    return figure


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture at the size of the others: some methods of a section may paint frames of their own."""
    if picture.shape[:2] == (height, width):
        return picture
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None]
    return F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()


def _tiles(cell: Row, kinds: Sequence[str], ids: Sequence[str]) -> dict[str, list[np.ndarray]] | None:
    """The pictures of these faces by kind, or None where one is missing or unreadable: the page names it."""
    folder, found = RunFolder(cell.folder), {}
    try:
        for kind in kinds:
            listing = folder.list(kind)
            if any(image_id not in listing for image_id in ids):
                return None
            found[kind] = list(folder.read([listing[i][0] for i in ids]).permute(0, 2, 3, 1).numpy())
    except (FileNotFoundError, ValueError):
        return None
    return found
