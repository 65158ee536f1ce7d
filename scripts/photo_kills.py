"""Kills `anonymize photos=` at random moments, starts it again, and compares with a folder that nobody disturbed.

usage: python scripts/photo_kills.py [--tries 20] [--seed 0] [--out DIR]

After each kill every picture in the folder must open whole; in the end all files must be equal to the bit.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from privacy_exp.data.drawn.drawing import draw
from privacy_exp.photos.folder import STATE

SUFFIXES = (".png", ".jpg", ".webp", ".tif")


def make(root: Path, photos: int) -> None:
    """Photos of one to three drawn people, in several formats and two folders."""
    for number in range(photos):
        rng = np.random.default_rng(number)
        people = 1 + number % 3
        canvas = Image.fromarray(rng.integers(90, 130, (300, 260 * people, 3), np.uint8))
        for k in range(people):
            head = Image.fromarray(draw(0, 3 * number + k, 0, 160).image)
            canvas.paste(head.resize((200, 200), Image.Resampling.LANCZOS), (260 * k + 30, 50))
        path = root / ("first" if number % 2 else "second") / f"{number}{SUFFIXES[number % len(SUFFIXES)]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.save(path)


def start(photos: Path, out: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own, one face at a time, so that photos are finished one by one."""
    command = [sys.executable, "-m", "privacy_exp.anonymize", f"photos={photos}", f"out={out}"]
    with out.with_suffix(".txt").open("a") as output:
        return subprocess.Popen(
            [*command, "inpainting=blur", "batch_size=1"],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        )


def begun(out: Path, process: subprocess.Popen[str]) -> float:
    """Waits until the command holds its folder (what comes before is imports), and returns the time."""
    lock = out / ".privacy_exp" / "lock"
    before = lock.stat().st_mtime_ns if lock.exists() else 0
    while process.poll() is None and (not lock.exists() or lock.stat().st_mtime_ns == before):
        time.sleep(0.01)
    return time.monotonic()


def finish(photos: Path, out: Path) -> float:
    """Runs the command to its end; returns the seconds after it held its folder.

    Raises:
        RuntimeError: it failed.
    """
    process = start(photos, out)
    moment = begun(out, process)
    if process.wait():
        raise RuntimeError(f"exit code {process.returncode}: {out.with_suffix('.txt').read_text()[-2000:]}")
    return time.monotonic() - moment


def files(out: Path) -> dict[str, bytes]:
    """Every file but the lock."""
    found = (path for path in out.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def halves(out: Path) -> list[str]:
    """Pictures among the results that do not open whole, half-written ones under other names included."""
    bad = []
    for path in out.rglob("*"):
        if path.suffix in SUFFIXES and STATE not in path.parts:
            try:
                with Image.open(path) as image:
                    image.load()
            except OSError:
                bad.append(str(path))
    return bad


def main() -> int:
    """Prints a line per try; returns 1 where one has found a half file or a difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=None, help="folder; a temporary one by default")
    options = parser.parse_args()
    moments = random.Random(options.seed)
    out = options.out or Path(tempfile.mkdtemp(prefix="photo_kills-"))
    make(out / "photos", options.photos)
    duration = finish(out / "photos", out / "undisturbed")
    expected = files(out / "undisturbed")
    print(f"undisturbed: {duration:.1f} s, {len(expected)} files", flush=True)
    bad = 0
    for number in range(options.tries):
        folder, moment = out / f"try{number}", moments.uniform(0, duration)
        process = start(out / "photos", folder)
        begun(folder, process)
        time.sleep(moment)
        killed = process.poll() is None
        if killed:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        half = halves(folder)
        done = len(list((folder / ".privacy_exp" / "photos").glob("[!.]*.json")))
        finish(out / "photos", folder)
        after = files(folder)
        names = sorted(name for name in expected.keys() | after.keys() if expected.get(name) != after.get(name))
        wrong = [f"half a file: {name}" for name in half] + [f"differs: {name}" for name in names]
        bad += bool(wrong)
        state = f"{done} of {options.photos} photos were done" if killed else "it had finished by then"
        print(f"try {number}: killed after {moment:.1f} s, {state}: {'; '.join(wrong) or 'equal'}", flush=True)
    print(f"{options.tries - bad} of {options.tries} tries equal to the undisturbed folder")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
