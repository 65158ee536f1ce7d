"""What a report of 500 cells costs: copies of one default run, their outcomes drawn at random."""

import json
import os
import shutil
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from commands import TRAIN, line, measured
from timing import Line

METHODS = tuple(f"method_{number:02d}" for number in range(20))
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5)
SCALES = (1.0, 2.0, 3.0, 5.0, 7.5)
LINKED = ("original", "masks", "results")


def lines(rounds: int = 1) -> list[Line]:
    """The command over 500 cells of as many photos as a default run has; once, whatever `rounds` says."""
    del rounds
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        measured([*TRAIN, "hydra.run.dir=run"], work)
        for number, cell in enumerate(product(METHODS, RATIOS, SCALES)):
            copy(work / "run", work / "sweep" / str(number), *cell, number)
        command = [sys.executable, "-m", "privacy_exp.report", "sweep=sweep"]
        found = line("report of 500 cells", command, work, "≤ 60")
        size = (work / "sweep" / "report" / "index.html").stat().st_size / 2**20
        return [*found, Line("its page", size, unit="MiB")]


def copy(run: Path, cell: Path, method: str, ratio: float, scale: float, seed: int) -> None:
    """A run folder like `run` with another name; whom it fools is drawn anew, so that there is something to test."""
    cell.mkdir(parents=True)
    record = json.loads((run / "record.json").read_text())
    record["key"] = cell.name
    record["choices"]["masking"] = method
    record["mask_ratio"] = record["config"]["mask_ratio"] = ratio
    record["config"]["inpainting"]["guidance_scale"] = scale
    table = pd.read_parquet(run / "images.parquet")
    rng = np.random.default_rng(seed)
    lost = rng.random(len(table)) < rng.random()
    table["pred_anonymized"] = np.where(lost, (table["label"] + 1) % table["label"].max(), table["label"])
    table.to_parquet(cell / "images.parquet")
    for kind in LINKED:
        shutil.copytree(run / kind, cell / kind, copy_function=os.link)
    (cell / "record.json").write_text(json.dumps(record))
