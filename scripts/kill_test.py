"""Kills a sweep at random moments, starts it again, and compares what it finds with a sweep that nobody disturbed.

usage: python scripts/kill_test.py [--tries 20] [--inpainting mean_fill] [--seed 0] [--out DIR]

Records and pictures must be equal to the bit (apart from timing), and no finished picture may be painted again.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

KINDS = ("original", "masks", "results", "control")
FEW = [
    "data.identities=4",
    "data.photos_per_identity=10",
    "data.max_test_images=8",
    "recognition.module.max_epochs=2",
    "batch_size=2",
    "tracking=csv",
    "masking=random_patches,saliency",
    "mask_ratio=0.25,0.5",
]


def start(out: Path, *overrides: str) -> subprocess.Popen[str]:
    """A sweep in a process group of its own, with a store of its own, on one thread."""
    places = [f"hydra.sweep.dir={out}/sweep", f"cache.root={out}/store"]
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "privacy_exp.train", "-m", *FEW, *places, *overrides]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (out / "output.txt").open("a") as output:
        return subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, text=True, start_new_session=True
        )


def finish(out: Path, *overrides: str) -> float:
    """Runs a sweep to its end and returns the seconds after its plan was written.

    Raises:
        RuntimeError: it failed.
    """
    process = start(out, *overrides)
    begun = wait_for_plan(out, process)
    if process.wait():
        raise RuntimeError(f"the sweep failed: {(out / 'output.txt').read_text()[-2000:]}")
    return time.monotonic() - begun


def wait_for_plan(out: Path, process: subprocess.Popen[str]) -> float:
    """Waits until the sweep has begun (what comes before is imports), and returns the time."""
    plan = out / "sweep" / "plan.json"
    before = plan.stat().st_mtime_ns if plan.exists() else 0
    while process.poll() is None and (not plan.exists() or plan.stat().st_mtime_ns == before):
        time.sleep(0.02)
    return time.monotonic()


def kill_when(out: Path, reached: Callable[[], bool], *overrides: str) -> bool:
    """Starts a sweep and kills it, and everything it has started, as soon as something has happened.

    Returns:
        Whether it was still at work.
    """
    process = start(out, *overrides)
    wait_for_plan(out, process)
    while process.poll() is None:
        if reached():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.02)
    return False


def kill_after(out: Path, seconds: float, *overrides: str) -> bool:
    """As `kill_when`, so many seconds after the sweep's beginning."""
    begun: list[float] = []

    def late() -> bool:
        begun.append(time.monotonic())
        return begun[-1] - begun[0] >= seconds

    return kill_when(out, late, *overrides)


def painted(out: Path) -> dict[Path, tuple[int, int]]:
    """Each finished picture of a sweep, with its file's number and time: another file is another painting."""
    files = [path for kind in KINDS for path in (out / "sweep").glob(f"[0-9]*/{kind}/[!.]*")]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def differences(one: Path, other: Path) -> list[str]:
    """What two finished sweeps differ in besides timing and places."""
    found = []
    cells = sorted((path.parent.name for path in (one / "sweep").glob("*/record.json")), key=int)
    if len(cells) != 4 or cells != sorted((p.parent.name for p in (other / "sweep").glob("*/record.json")), key=int):
        found.append("cells")
    for cell in cells:
        a, b = one / "sweep" / cell, other / "sweep" / cell
        records = [json.loads((folder / "record.json").read_text()) for folder in (a, b)]
        for name in records[0].keys() | records[1].keys():
            if name not in ("timing", "config") and records[0].get(name) != records[1].get(name):
                found.append(f"cell {cell}: {name}")
        names = {path.relative_to(a) for kind in KINDS for path in (a / kind).iterdir()}
        names |= {path.relative_to(b) for kind in KINDS for path in (b / kind).iterdir()}
        for name in sorted({Path("images.parquet"), *names}):
            if not all((c / name).is_file() for c in (a, b)) or (a / name).read_bytes() != (b / name).read_bytes():
                found.append(f"cell {cell}: {name}")
    return found


def repainted(before: dict[Path, tuple[int, int]]) -> list[str]:
    """Pictures of `before` that are no longer the same files."""
    gone = [path for path in before if not path.exists()]
    changed = [p for p, f in before.items() if p.exists() and (p.stat().st_ino, p.stat().st_mtime_ns) != f]
    return [str(path) for path in gone + changed]


def main() -> int:
    """Prints one line per try; returns 1 where a try has found a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--inpainting", default="mean_fill")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=None, help="folder; a temporary one by default")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    out = arguments.out or Path(tempfile.mkdtemp(prefix="kill_test-"))
    overrides = [f"inpainting={arguments.inpainting}"]
    if arguments.inpainting == "tiny":
        overrides.append("inpainting.num_inference_steps=3")
    duration = finish(out / "undisturbed", *overrides)
    print(f"undisturbed: {duration:.1f} s, {len(painted(out / 'undisturbed'))} pictures in 4 cells", flush=True)
    bad = 0
    for number in range(arguments.tries):
        folder = out / f"try{number}"
        moment = moments.uniform(0, duration)
        killed = kill_after(folder, moment, *overrides)
        before = painted(folder)
        done = len(list((folder / "sweep").glob("*/record.json")))
        finish(folder, *overrides)
        wrong = differences(out / "undisturbed", folder) + [f"painted again: {p}" for p in repainted(before)]
        bad += bool(wrong)
        state = f"{done} cells and {len(before)} pictures were done" if killed else "it had finished by then"
        print(f"try {number}: killed after {moment:.1f} s, {state}: {'; '.join(wrong) or 'equal'}", flush=True)
    print(f"{arguments.tries - bad} of {arguments.tries} tries equal to the undisturbed sweep")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
