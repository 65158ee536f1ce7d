"""Kills the stages of a cell at random moments while they overlap, starts them again, and compares what they leave.

usage: python scripts/kill_stages.py [--tries 20] [--seed 0]

Masks by saliency, the shipped painter at two steps, controls and stored scores, in a forked process that is killed
between its first photo and its last. Pictures and notes must be equal to the bit, and no finished batch painted again.
`kill_test.py` does the same to whole sweeps, whose start takes most of their time.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from privacy_exp import DiffusionInpainter, DrawnFaces, Saliency, SmallResNet
from privacy_exp.cache.store import Store
from privacy_exp.runs.batches import finished_batches
from privacy_exp.runs.folder import KINDS, RunFolder
from privacy_exp.study.stages import anonymize

BATCH = 2


def main() -> int:
    """Prints one line per try; returns 1 where a try has found a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    torch.set_num_threads(1)  # a pool of OpenMP's threads does not survive a fork
    data = DrawnFaces(identities=4, photos_per_identity=10, split=[0.2, 0.2, 0.6])
    data.setup()
    torch.manual_seed(0)
    net = SmallResNet().for_people(4).eval()
    painter = DiffusionInpainter.from_pretrained("tiny", num_inference_steps=2, device="cpu")

    def work(out: Path) -> None:
        batches, run = data.batches("test", BATCH), RunFolder(out / "run", "png")
        store = Store(out / "store")
        anonymize(batches, len(data.photos["test"]), net, Saliency(), painter, 0.3, 0, run, store=store)

    moments, bad, killed = random.Random(options.seed), 0, 0
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "undisturbed"
        seconds = finish(work, whole)
        for number in range(options.tries):
            out = Path(name) / str(number)
            moment = moments.uniform(0, seconds)
            killed += kill_after(work, out, moment)
            before = {path: path.stat().st_mtime_ns for path in pictures(out)}
            finish(work, out)
            wrong = differences(whole, out)
            wrong += [f"painted again: {p}" for p, t in before.items() if not p.exists() or p.stat().st_mtime_ns != t]
            bad += bool(wrong)
            told = f"after {moment:.2f} of {seconds:.2f} s, {len(before)} pictures were done"
            print(f"try {number}: {told}: {'; '.join(wrong) or 'equal'}", flush=True)
            shutil.rmtree(out)
    print(f"{options.tries - bad} of {options.tries} tries equal, {killed} of them killed at work")
    return int(bad > 0)


def begin(work: Callable[[Path], None], out: Path) -> int:
    """Works in a process of its own, quietly; returns its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            work(out)
            code = 0
    finally:
        os._exit(code)


def finish(work: Callable[[Path], None], out: Path) -> float:
    """Works to the end and returns the seconds."""
    started = time.monotonic()
    _, status = os.waitpid(begin(work, out), 0)
    if status:
        raise RuntimeError(f"the stages failed with {status}")
    return time.monotonic() - started


def kill_after(work: Callable[[Path], None], out: Path, seconds: float) -> bool:
    """Kills the work so long after its start; returns whether it was still going on."""
    process = begin(work, out)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def pictures(out: Path) -> list[Path]:
    """Finished pictures."""
    return sorted(path for kind in KINDS for path in (out / "run" / kind).glob("[!.]*"))


def differences(one: Path, other: Path) -> list[str]:
    """Names of what is not equal in two finished folders."""
    named = [{str(path.relative_to(out)): path.read_bytes() for path in pictures(out)} for out in (one, other)]
    found = [name for name in sorted(named[0].keys() | named[1].keys()) if named[0].get(name) != named[1].get(name)]
    notes = [finished_batches(out / "run") for out in (one, other)]
    if len(notes[0]) != len(notes[1]) or any(
        not a.rows.equals(b.rows) or a.sanity != b.sanity for a, b in zip(*notes, strict=True)
    ):
        found.append("notes")
    left = [path.name for path in (other / "run").glob(".*") if path.suffix in (".part", ".ready")]
    return found + left


if __name__ == "__main__":
    sys.exit(main())
