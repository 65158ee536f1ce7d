"""What a report writes for other people's tools: `report.export=[eee,croissant]`."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from privacy_exp.cache.files import write_text
from privacy_exp.report.collect import Row
from privacy_exp.report.croissant import croissant
from privacy_exp.report.eee import every_eval_ever, repository_path
from privacy_exp.types import UserError


def write_exports(out: Path, cells: Sequence[Row], formats: Sequence[str]) -> list[Path]:
    """Writes a file a cell and format, and returns their paths.

    Records of Every Eval Ever stand below `exports/eee/`, as a repository of them wants it. A Croissant description
    stands in the run's own folder, which is the data set.

    Args:
        out: folder of the report.
        cells: finished runs.
        formats: names in `FORMATS`.
    """
    written = []
    for name in formats:
        place, make = FORMATS[name]
        for cell in cells:
            path = place(out, cell)
            write_text(path, json.dumps(make(cell), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
            written.append(path)
    return written


def check_formats(formats: Sequence[str]) -> None:
    """Checks `report.export`.

    Raises:
        UserError: a format that nobody writes.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if isinstance(formats, str) or unknown:
        got = formats if isinstance(formats, str) else ", ".join(map(str, unknown))
        raise UserError(f"`report.export` must be a list of {', '.join(FORMATS)}, such as [eee], but got {got!r}.")


FORMATS: dict[str, tuple[Callable[[Path, Row], Path], Callable[[Row], dict[str, Any]]]] = {
    "eee": (lambda out, cell: out / "exports" / "eee" / repository_path(cell), every_eval_ever),
    "croissant": (lambda out, cell: cell.folder / "croissant.json", croissant),
}
"""Format to the place of a cell's file, given the report's folder, and to what stands in it."""
