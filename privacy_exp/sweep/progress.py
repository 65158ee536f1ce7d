"""How far a sweep has come, read from its folder alone: nothing has to run for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from privacy_exp.report.table import render
from privacy_exp.runs.files import painted
from privacy_exp.runs.plan import numbered, read_overrides, read_plan
from privacy_exp.runs.record import read_record
from privacy_exp.runs.running import is_running, read_cell
from privacy_exp.sweep.plan import axes_only

DONE, RUNNING, FAILED, MISSING = "done", "running", "failed", "missing"
STATES = (DONE, RUNNING, FAILED, MISSING)


@dataclass(frozen=True)
class CellState:
    """One cell of a sweep.

    Attributes:
        number: of its sub-folder.
        overrides: what tells it from the others.
        state: one of `STATES`.
        share: of its images that are painted, in [0, 1].
        seconds: that masking, painting and scoring took; None where that is not known, or was not done here.
        note: the last error line of a failed cell, or how far another one has come.
    """

    number: int
    overrides: str
    state: str
    share: float = 0.0
    seconds: float | None = None
    note: str = ""


def cell_states(sweep: Path) -> list[CellState]:
    """Every cell of a sweep, in the order of their numbers.

    Args:
        sweep: the sweep's folder.

    Raises:
        FileNotFoundError: no such folder, or one that no sweep has written to.
    """
    if not sweep.is_dir():
        raise FileNotFoundError(f"`sweep` must be the folder of a sweep (hydra.sweep.dir), but there is no {sweep}.")
    plan = read_plan(sweep)
    begun = {int(path.name): path for path in sweep.iterdir() if path.name.isdecimal() and path.is_dir()}
    if plan is not None and len(begun) < plan["count"]:
        begun = numbered(sweep) | begun
    if plan is None and not begun:
        raise FileNotFoundError(f"{sweep} holds neither a plan nor cells: is it the folder of a sweep?")
    count = max(plan["count"] if plan else 0, *(number + 1 for number in begun), 0)
    cells = plan["cells"] if plan else None
    if cells is None:
        cells = []
    folders = [begun.get(number, sweep / str(number)) for number in range(count)]
    cells += [read_overrides(folder) or [] for folder in folders[len(cells) :]]  # not of this plan
    names = axes_only(cells)
    return [_state(number, names[number], folders[number]) for number in range(count)]


def seconds_left(cells: Sequence[CellState]) -> float | None:
    """What the unfinished cells will take if they cost what the finished ones did; None before the first one.

    As many run at once as do now, at least one.
    """
    known = [cell.seconds for cell in cells if cell.seconds is not None]
    if not known:
        return None
    work = sum(1 - cell.share for cell in cells if cell.state != DONE)
    at_once = max(1, sum(cell.state == RUNNING for cell in cells))
    return work * sum(known) / len(known) / at_once


def status_table(sweep: Path, cells: Sequence[CellState]) -> str:
    """A row a cell and a line of totals, for the terminal."""
    table = Table(title=escape(str(sweep)))
    table.add_column("cell", justify="right")
    table.add_column("what", overflow="fold")
    table.add_column("state")
    table.add_column("note", overflow="fold")
    for cell in cells:
        table.add_row(str(cell.number), escape(cell.overrides), cell.state, escape(cell.note))
    counts = {state: sum(cell.state == state for cell in cells) for state in STATES}
    total = f"{counts[DONE]} of {len(cells)} done, " + ", ".join(f"{counts[s]} {s}" for s in STATES[1:])
    left = seconds_left(cells)
    if counts[DONE] < len(cells):
        total += "; time left " + ("not known before a cell is done" if left is None else f"about {left / 60:.1f} min")
    return render(table) + "\n" + total


def _state(number: int, overrides: str, folder: Path) -> CellState:
    if (folder / "record.json").is_file() and not (folder / "error.txt").is_file():  # each attempt removes the latter
        try:
            timing = read_record(folder)["timing"]
        except ValueError as error:
            return CellState(number, overrides, FAILED, note=str(error))
        parts = [timing.get(name, 0.0) for name in ("mask_s", "inpaint_s", "evaluate_s")]
        return CellState(number, overrides, DONE, 1.0, sum(parts))
    cell = read_cell(folder)
    count = painted(folder)
    total = cell["images"] if cell else 0
    progress = f"{count} of {total} images" if total else ""
    share = count / total if total else 0.0
    if is_running(folder):
        return CellState(number, overrides, RUNNING, share, note=progress)
    if (folder / "error.txt").is_file():
        return CellState(number, overrides, FAILED, share, note=_last_line(folder / "error.txt"))
    return CellState(number, overrides, MISSING, share, note=f"stopped at {progress}" if count else "")


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
