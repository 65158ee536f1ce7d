"""Times and memory against what the project promises, a table a section.

usage: python benchmarks/run.py [SECTION ...] [--rounds 5] [--out DIR]      all but `scripts` where none is named

commands    the commands a user types first, from an empty store; its fit serves the sections after it
generation  seconds an image, against the original study's loop and the plain bound; eager and compiled
quality     what each key that changes pictures costs and gains
overlap     a cell against its painting, where painting leaves the processor alone
grid        a 3 × 3 × 3 sweep against the sum of its parts
input       an epoch of the fit against the same steps on one cached batch
memory      peak memory and time at 100 and at 1,000 images
masking     what the masking methods cost
judging     what judges and attackers cost
photos      whole photos beside the painting: finding, files, memory
tools       somebody else's tool through `inpainting=command` beside the tool alone
report      a report of 500 cells
scripts     demo.sh and test.sh

Candidates that are compared take turns in one process, so that a load from elsewhere meets all alike; the load is
printed. --out takes benchmark.json and benchmark.md.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from timing import Line

SECTIONS = (
    "commands",
    "generation",
    "quality",
    "overlap",
    "grid",
    "input",
    "memory",
    "masking",
    "judging",
    "photos",
    "tools",
    "report",
    "scripts",
)
COLUMNS = ("what", "median", "min", "max", "unit", "rounds", "promised", "")


def main() -> int:
    """Runs the sections, prints and saves their tables; exit code 1 where a promise was missed or a section failed."""
    there = [name for name in SECTIONS if find_spec(name)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(there))
    parser.add_argument("--rounds", type=int, default=5, help="how often each candidate is timed; the median counts")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmark"))
    options = parser.parse_args()
    unknown = set(options.sections) - set(there)
    if unknown or options.rounds < 1:
        parser.error(f"SECTION must be out of {', '.join(there)}, and --rounds at least 1, but got {sys.argv[1:]}.")
    options.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine(), "sections": {}, "failed": {}}
    asked = options.sections or [name for name in there if name != "scripts"]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        for name in [name for name in there if name in asked]:
            try:
                results["sections"][name] = run(name, options.rounds)
                Console(width=140).print(table(name, results["sections"][name]))
            except (RuntimeError, ValueError, OSError, subprocess.CalledProcessError) as error:
                # Told, counted in the exit code, and no reason to lose the other sections' figures.
                results["failed"][name] = str(error)
                print(f"{name} failed: {error}", file=sys.stderr)
            # After every section, so that one may be stopped.
            (options.out / "benchmark.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
            (options.out / "benchmark.md").write_text(markdown(results))
    missed = [line for section in results["sections"].values() for line in section["lines"] if line["met"] is False]
    print(f"{len(missed)} promises missed, {len(results['failed'])} sections failed; saved in {options.out}")
    return int(bool(missed or results["failed"]))


def run(name: str, rounds: int) -> dict[str, Any]:
    """One section's lines, with the load before and after it."""
    return section(lambda: importlib.import_module(name).lines(rounds))


def section(measure: Callable[[], list[Line]]) -> dict[str, Any]:
    """What is measured, with the load before and after it."""
    started, before = time.perf_counter(), os.getloadavg()[0]
    lines = measure()
    seconds = time.perf_counter() - started
    load = [round(before, 2), round(os.getloadavg()[0], 2)]
    return {"load": load, "seconds": round(seconds, 1), "lines": [line.as_dict() for line in lines]}


def machine() -> dict[str, Any]:
    """What it ran on."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    versions = {name: version(name) for name in ("torch", "diffusers")}
    return {"device": device, "cores": os.cpu_count(), "threads": torch.get_num_threads(), **versions}


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def table(name: str, section: dict[str, Any]) -> Table:
    """A section for the terminal."""
    shown = Table(title=title(name, section))
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column in ("what", "unit", "") else "right")
    for line in section["lines"]:
        shown.add_row(*cells(line), style="red" if line["met"] is False else None)
    return shown


def markdown(results: dict[str, Any]) -> str:
    """All sections for a document."""
    about = ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    parts = [about]
    for name, section in results["sections"].items():
        rows = [COLUMNS, ["---"] * len(COLUMNS), *(cells(line) for line in section["lines"])]
        notes = [f"- {line['what']}: {line['note']}" for line in section["lines"] if line["note"]]
        parts.append(f"## {title(name, section)}\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows))
        parts += ["\n".join(notes)] if notes else []
    parts += [f"## {name} failed\n\n{error}" for name, error in results["failed"].items()]
    return "\n\n".join(parts) + "\n"


def title(name: str, section: dict[str, Any]) -> str:
    """A section's name, how long it took, and the load before and after."""
    return f"{name} ({section['seconds']:.0f} s, load {section['load'][0]} before and {section['load'][1]} after)"


def cells(line: dict[str, Any]) -> list[str]:
    """A line as text."""
    numbers = ["–" if line[key] is None else f"{line[key]:.4g}" for key in ("value", "low", "high")]
    verdict = {True: "met", False: "missed", None: ""}[line["met"]]
    return [line["what"], *numbers, line["unit"], str(line["rounds"]), line["bar"] or "", verdict]


if __name__ == "__main__":
    sys.exit(main())
