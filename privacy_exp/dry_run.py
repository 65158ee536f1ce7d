"""What a cell would cost, measured on a few images instead of guessed."""

import tempfile
import time
from pathlib import Path

from privacy_exp.cell import Cell
from privacy_exp.stages import anonymize
from privacy_exp.store.run_folder import RunFolder

SAMPLE = 8
"""Images that are masked and painted to measure the pace."""

_cells: list[tuple[int, float, float]] = []  # images, seconds and bytes of the cells that this process has estimated


def estimate(cell: Cell) -> str:
    """One line for this cell and one for all cells so far: images, hours and disk.

    A recogniser that has not been fitted stands in for the fitted one: it costs the same. The fit itself is measured
    as one epoch's steps would be, by a forward and backward pass over one batch.

    Args:
        cell: built, nothing run.
    """
    data, config = cell.data, cell.config
    recognizer = cell.net["net"](num_classes=len(data.identities), template=data.template()).to(cell.device).eval()
    total = len(data.photos["test"])
    faces = data.faces(data.photos["test"][:SAMPLE])
    cell.inpainter.fit(data.batches("train"))
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        folder = RunFolder(name, config.image_format)
        anonymize(
            [faces],
            len(faces.ids),
            recognizer,
            cell.masker,
            cell.inpainter,
            cell.mask_ratio or 0.0,
            config.seed,
            folder,
        )
        pace = (time.perf_counter() - started) / len(faces.ids)
        size = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file()) / len(faces.ids)
    fit_seconds = _fit_seconds(cell) if not _cells and config.recognition.checkpoint is None else 0.0
    _cells.append((total, total * pace + fit_seconds, total * size))
    images, seconds, space = (sum(column) for column in zip(*_cells, strict=True))
    return (
        f"cell {len(_cells)}: {total} images, {_cells[-1][1] / 3600:.3f} h, {_cells[-1][2] / 1e6:.1f} MB"
        + (f" (with a fit of {fit_seconds / 3600:.3f} h, unless the store has it)" if fit_seconds else "")
        + f"\ncells so far: {len(_cells)}, {images} images, {seconds / 3600:.3f} h, {space / 1e6:.1f} MB"
    )


def _fit_seconds(cell: Cell) -> float:
    module = cell.net["module"](cell.net["net"](num_classes=len(cell.data.identities), template=cell.data.template()))
    faces = cell.data.faces(cell.data.photos["train"][: cell.data.batch_size])
    pace = []
    for _ in range(2):  # the first pass warms up
        started = time.perf_counter()
        module.recognizer(faces.images).logsumexp(1).sum().backward()
        pace.append((time.perf_counter() - started) / len(faces.ids))
    return pace[-1] * len(cell.data.photos["train"]) * float(module.max_epochs)
