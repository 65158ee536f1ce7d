"""Wall-clock time and peak memory of the commands a user types first, against what is promised on 2 idle cores."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import Line

ROOT = Path(__file__).parents[1]
TRAIN = [sys.executable, "-m", "privacy_exp.train"]


def lines(rounds: int = 1) -> list[Line]:
    """The table of commands; each runs once, in a fresh process, whatever `rounds` says."""
    del rounds
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        return [
            *line("train --help", [*TRAIN, "--help"], work, "≤ 2"),
            *line("train, cold", TRAIN, work, "≤ 150", "≤ 3"),
            *line("train, fit in the store", [*TRAIN, "mask_ratio=0.3"], work, "≤ 45", "≤ 3"),
            *line("train, the cell in the store", TRAIN, work, "≤ 45"),
        ]


def line(what: str, command: list[str], work: Path, seconds: str, memory: str | None = None) -> list[Line]:
    """One command's seconds, and its memory where something is promised of it.

    Raises:
        RuntimeError: the command failed.
    """
    took, peak = measured(command, work)
    found = [Line(what, took, unit="s", bar=seconds)]
    return found if memory is None else [*found, Line(f"{what}: peak memory", peak, unit="GiB", bar=memory)]


def measured(command: list[str], work: Path) -> tuple[float, float]:
    """Seconds of one command, and peak memory in GiB of its largest process.

    Args:
        command: what to run.
        work: where. Caches lie where XDG_CACHE_HOME says, which `benchmark.py` sets to a folder that begins empty.

    Raises:
        RuntimeError: the command failed.
    """
    log = work / "log.txt"
    environment = {**os.environ, "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}
    # One watcher a command: a process's own count of its children never falls again.
    code = "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:]).returncode; "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(r)"
    started = time.perf_counter()
    with log.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", code, *command],
            cwd=work,
            env=environment,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds, int(done.stderr.split()[-1]) * 1024 / 2**30
