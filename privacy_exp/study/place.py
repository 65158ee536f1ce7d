"""Where a run goes, what it is called there, and how several processes share it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.tracking.tracker import CsvTracking

MEASURES = ("judge", "attacker", "utility")
"""Groups of measures, of which a run takes any number; each looks at the finished run."""


@dataclass(frozen=True)
class Place:
    """Where a run goes, and what it is called there.

    Attributes:
        folder: takes everything that the run leaves.
        name: of the run, for trackers.
        group: of all runs of one sweep.
        choices: chosen name of each config group.
        slot: of the machine's pool, where several runs share it.
        tracking: mirrors of the record.
        rerun: compute again what was computed before.
    """

    folder: Path
    name: str
    group: str
    choices: Mapping[str, Any]
    slot: int | None = None
    tracking: CsvTracking = field(default_factory=CsvTracking)
    rerun: bool = False


@dataclass(frozen=True)
class Sharded:
    """How one large run is shared by several processes (trainer=ddp), or by the actors of a Ray cluster (engine=ray).

    Attributes:
        trainer: makes Lightning's trainer of all processes; None: Ray's.
        inpainter: builds the inpainter in each of them.
    """

    trainer: Callable[..., Trainer] | None
    inpainter: Callable[[], Inpainter]
