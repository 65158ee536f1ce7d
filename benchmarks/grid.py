"""A 3 × 3 × 3 sweep against the sum of its parts: one fit, one attribution a method, 27 times painting and scoring."""

import json
import tempfile
from pathlib import Path
from typing import Any

from commands import TRAIN, measured
from timing import Line


def lines(rounds: int = 1) -> list[Line]:
    """The table of the grid; it runs once, from an empty store."""
    del rounds
    with tempfile.TemporaryDirectory() as name:
        sweep = Path(name) / "sweep"
        command = [*TRAIN, "-m", "experiment=ratio_method_guidance", f"cache.root={name}/store"]
        seconds, _ = measured([*command, "tracking=csv", f"hydra.sweep.dir={sweep}"], Path(name))
        records = [json.loads(path.read_text()) for path in sorted(sweep.glob("*/record.json"))]
    parts = parts_of(records)
    return [
        Line("the sweep, start to end", seconds, unit="s", note=f"{len(records)} cells of {records[0]['n']} images"),
        *(Line(what, value, unit="s") for what, value in parts.items()),
        Line("everything else: start, loading, saving", seconds - sum(parts.values()), unit="s"),
        Line("the sweep over the sum of its parts", seconds / sum(parts.values()), bar="≤ 1.15"),
    ]


def parts_of(records: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds of what a study cannot do without, from its cells' own clocks.

    Raises:
        ValueError: not 27 cells, or more than one fit.
    """
    fits = [record["timing"]["fit_s"] for record in records if not record["timing"]["fit_reused"]]
    if len(records) != 27 or len(fits) > 1:
        raise ValueError(f"27 cells of one fit were expected, but got {len(records)} cells and {len(fits)} fits.")
    attribution: dict[str, float] = {}
    for record in records:
        method = record["choices"]["masking"]
        attribution[method] = max(attribution.get(method, 0.0), record["timing"]["mask_s"])
    return {
        "one fit": sum(fits),
        "one attribution a method": sum(attribution.values()),
        "27 × painting": sum(record["timing"]["inpaint_s"] for record in records),
        "27 × scoring": sum(record["timing"]["evaluate_s"] for record in records),
    }
