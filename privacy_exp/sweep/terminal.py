"""What a run says while it works: one live bar, a line for each finished cell of a sweep, the rest in its log file."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from privacy_exp import UserError
from privacy_exp.cache.keys import content_key
from privacy_exp.masking.base import OwnArea
from privacy_exp.runs.answer import below_gate, decimals, metric_of, why
from privacy_exp.runs.names import display_name, value_name
from privacy_exp.runs.plan import read_plan
from privacy_exp.runs.record import Record
from privacy_exp.sweep.axes import swept_keys
from privacy_exp.sweep.plan import BASIC
from privacy_exp.sweep.watch import Watch, in_words
from privacy_exp.tracking.stages import watched

GROUPS = ("data", "recognition", "masking", "inpainting", "judge", "attacker", "utility")

_spent: dict[str, list[float]] = {}  # a sweep's folder to the seconds of its cells that this process has computed


@dataclass
class Display:
    """What one job of Hydra shows.

    Attributes:
        watch: its stages.
        head: of its line, such as "cell 12/27 · Saliency 25 %"; None outside a sweep.
        sweep: folder of the sweep.
        cells: of the sweep.
        bar: live, where the output is a terminal.
    """

    watch: Watch
    head: str | None = None
    sweep: Path = field(default_factory=Path)
    cells: int = 1
    bar: Progress | None = None
    task: TaskID | None = None

    def tell(self, watch: Watch) -> None:
        """Draws how far the run is."""
        if self.bar is None or self.task is None:
            if self.head is None and not watch.done:
                print(f"{watch.name} …", flush=True)
            return
        left = self.left(watch)
        share = watch.done / watch.total if watch.total else 0.0
        count = f" {watch.done}/{watch.total}" if watch.total else ""
        rest = "" if left is None else f" · about {in_words(left)} left"
        whole = self._done() + share if self.head else _share(watch, left)
        text = f"{self.head + ' · ' if self.head else ''}{watch.name}{count}{rest}"
        self.bar.update(self.task, description=text, completed=whole, total=self.cells)

    def left(self, watch: Watch) -> float | None:
        """Seconds until everything is done, other cells included."""
        own = watch.left()
        known = _spent.get(str(self.sweep), [])
        if self.head is None:
            return own
        mean = sum(known) / len(known) if known else None
        if mean is None:
            return (
                None if own is None else own + (self.cells - self._done() - 1) * (watch.clock() - watch.started + own)
            )
        here = own if own is not None else max(0.0, mean - (watch.clock() - watch.started))
        return here + max(0, self.cells - self._done() - 1) * mean / _at_once()

    def finished(self, record: Record, answer: str) -> None:
        """The end of a run: its answer, or the line of a cell.

        Args:
            record: of the run.
            answer: everything there is to say about it.
        """
        self.watch.keep()
        self._clear()
        if self.head is None:
            print(answer)
            return
        logging.getLogger(__name__).info("%s", answer)
        seconds = time.perf_counter() - self.watch.started
        before = record.taken_from is not None or float(record.timing.get("ended") or 0) < time.time() - seconds
        if not before:
            fitted = float(record.timing.get("fit_s") or 0.0)  # the other cells find it in the cache
            _spent.setdefault(str(self.sweep), []).append(seconds - fitted)
        took = "taken as it was finished before" if before else in_words(seconds)
        self.line(f"{outcome(record.as_dict())} · {took}")

    def estimated(self, text: str) -> None:
        """What a dry run has found, once the last cell of a sweep is in it.

        Raises:
            UserError: cells run in several processes, of which each knows its own alone.
        """
        self._clear()
        if self.head is not None and HydraConfig.get().launcher._target_ != BASIC:
            raise UserError("`dry_run=true` adds up cells in one process: leave out hydra/launcher.")
        if self.head is None or HydraConfig.get().job.num + 1 == self.cells:
            print(text)

    def failed(self, error: BaseException) -> None:
        """The line of a cell that failed."""
        self._clear()
        if self.head is not None and not isinstance(error, KeyboardInterrupt):  # the entry point answers that
            first = next(iter(str(error).splitlines()), type(error).__name__)
            self.line(f"failed: {first}", rest=False)

    def line(self, text: str, rest: bool = True) -> None:
        """One line about this cell, and how long the others will take."""
        known, missing = _spent.get(str(self.sweep), []), self.cells - self._done()
        left = f" · about {in_words(missing * sum(known) / len(known) / _at_once())} left" if known and missing else ""
        print(f"{self.head} · {text}{left if rest else ''}", flush=True)

    def _done(self) -> int:
        return sum((folder / "record.json").is_file() for folder in self.sweep.iterdir() if folder.is_dir())

    def _clear(self) -> None:
        if self.bar is not None:
            self.bar.stop()


def _share(watch: Watch, left: float | None) -> float:
    spent = watch.clock() - watch.started
    return 0.0 if left is None else spent / max(spent + left, 1e-9)


@contextmanager
def shown(config: DictConfig) -> Iterator[Display]:
    """Shows one job of Hydra on the terminal.

    Args:
        config: of the job.
    """
    hydra = HydraConfig.get()
    choices = {name: hydra.runtime.choices.get(name) for name in GROUPS}
    kind = content_key({"choices": choices, "inpainting": OmegaConf.to_container(config.inpainting, resolve=True)})
    display = Display(Watch(Path(config.cache.root), kind))
    if hydra.mode == RunMode.MULTIRUN:
        display.sweep = Path(hydra.runtime.cwd, hydra.sweep.dir)
        plan = read_plan(display.sweep)
        display.cells = plan["count"] if plan else 1
        number = 0 if OmegaConf.is_missing(hydra.job, "num") else hydra.job.num
        display.head = f"cell {number + 1}/{display.cells} · {label(config, choices, swept_keys())}"
        _quiet()
    console = Console(file=sys.stdout)
    if console.is_terminal:
        columns = (BarColumn(24), TextColumn("{task.description}", markup=False))
        display.bar = Progress(*columns, console=console, transient=True)
        display.task = display.bar.add_task(display.head or "reading", total=display.cells)
    display.watch.tell = display.tell
    with display.bar or nullcontext(), watched(display.watch):
        try:
            yield display
        except BaseException as error:
            display.failed(error)
            raise


def _quiet() -> None:
    """What a cell logs goes into its own file; the terminal keeps a line for each cell."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            root.removeHandler(handler)
    logging.captureWarnings(True)


def _at_once() -> int:
    jobs = HydraConfig.get().launcher.get("n_jobs") or 1
    return max(1, int(jobs))


def label(config: DictConfig, choices: Mapping[str, Any], swept: list[str]) -> str:
    """A cell in a few words: its method and area, then whatever else the sweep varies.

    Args:
        config: of the cell.
        choices: name of each config group.
        swept: keys that the sweep gives several values.
    """
    parts = [display_name(choices["masking"])]
    method = OmegaConf.select(config, "masking._target_")
    if "mask_ratio" in config and not (method and issubclass(get_class(method), OwnArea)):
        parts[0] += f" {100 * config.mask_ratio:.3g} %"
    for key in swept:
        if key in ("masking", "mask_ratio"):
            continue
        if key in choices:
            parts.append(display_name(choices[key]) if choices[key] else f"{key} {value_name(None)}")
        else:
            value = OmegaConf.select(config, key)
            plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            parts.append(f"{key.rpartition('.')[2].replace('_', ' ')} {value_name(plain, key)}")
    return " · ".join(parts)


def outcome(record: Mapping[str, Any]) -> str:
    """A cell's fool rate in a few characters: fooled 0.48 (0.38-0.58).

    Example:
        >>> outcome({"metrics": {"fool_rate": {"value": 0.48, "low": 0.38, "high": 0.58, "n": 90}}})
        'fooled 0.48 (0.38-0.58)'
    """
    rate = metric_of(record["metrics"].get("fool_rate"))
    if rate.value is None:
        return f"no fool rate: {why(rate.reason)}"
    digits = decimals(rate)
    ends = "" if rate.low is None or rate.high is None else f" ({rate.low:.{digits}f}-{rate.high:.{digits}f})"
    return f"fooled {rate.value:.{digits}f}{ends}{', below the gate' if below_gate(record['metrics']) else ''}"
