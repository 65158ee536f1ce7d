"""Wall-clock time and peak memory of the commands a user types, against what the project promises on 2 idle cores.

usage: python scripts/benchmark.py [--all]      --all adds demo.sh and test.sh
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
TRAIN = [sys.executable, "-m", "privacy_exp.train"]


def measured(command: list[str], cache: Path, cwd: Path) -> tuple[float, float, int]:
    """Seconds, peak memory in GiB of the largest process, and exit code of one command."""
    log = cwd / "log.txt"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}
    code = "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:]).returncode; "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(r)"
    started = time.perf_counter()
    with log.open("w") as out:  # one watcher a command: a process's own count of its children never falls again
        done = subprocess.run(
            [sys.executable, "-c", code, *command],
            cwd=cwd,
            env=environment,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        print(done.stderr[-2000:], file=sys.stderr)
    return seconds, int(done.stderr.split()[-1]) * 1024 / 2**30, done.returncode


def main() -> int:
    """Measures every command once and prints the table; exit code 1 where one failed or missed its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="also demo.sh and test.sh, with set-up done before")
    everything = parser.parse_args().all
    table = Table(title=f"{os.cpu_count()} cores, load before the start {os.getloadavg()[0]:.1f}")
    for name in ("command", "seconds", "limit", "ratio", "peak GiB", "limit", "exit code"):
        table.add_column(name, justify="left" if name == "command" else "right")
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        work, cache = Path(name), Path(name) / "cache"
        rows: list[tuple[str, list[str], float, float | None, Path]] = [
            ("train --help", [*TRAIN, "--help"], 2, None, work),
            ("train, cold", TRAIN, 150, 3, work),
            ("train, fit in the store", TRAIN, 45, 3, work),
        ]
        if everything:
            rows += [("demo.sh", ["bash", str(ROOT / "scripts/demo.sh")], 300, None, work)]
            rows += [("test.sh", ["bash", str(ROOT / "scripts/test.sh")], 720, None, work)]
        for label, command, limit, memory, cwd in rows:
            seconds, peak, code = measured(command, cache, cwd)
            missed = seconds > limit or (memory is not None and peak > memory) or code != 0
            bad += missed
            cells = [
                f"{seconds:.1f}",
                str(limit),
                f"{seconds / limit:.2f}",
                f"{peak:.2f}",
                str(memory or "–"),
                str(code),
            ]
            table.add_row(label + (" (missed)" if missed else ""), *cells)
    Console(width=100).print(table)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
