"""Self-tests of the evaluation on the default world: attackers must defeat what is weak and fail where nothing is left.

usage: python scripts/self_tests.py --out DIR [--only STAGE,...] [key=value ...]      overrides go to every run

stages: blur, mosaic, nothing_left, five_seeds, nothing_done, ends_of_the_scale; all of them make about ten fits
"""

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from privacy_exp.evaluation.attackers.closed_set import chance_metric

LADDER = (0.01, 0.02, 0.03, 0.045, 0.06, 0.09, 0.12, 0.18, 0.25)
"""Blur of the whole frame, weakest first: standard deviations as shares of its shorter side."""

FOOLED = 0.5
"""Fool rate of the oblivious observer from which a blur counts as a protection."""

RECOVERED = 0.6
"""Share that the parrot must get back from it."""

GROUPS = re.compile("(judge|attacker)/")
"""Observers besides c."""

WHOLE = ["masking=everything", "inpainting=blur"]
"""The whole frame is blurred."""

JUDGE = "independent"

ATTACKERS = "[gallery,parrot,mask_aware,parrot_open,several_photos,purification,linkage,reconstruction]"

UNDOERS = "[linkage,reconstruction]"
"""Attackers that learn what was done to a picture; they are held against the plain judge in the same gallery."""

SMALL = ["attacker.reconstruction.effort=quick", "attacker.reconstruction.width=16"]
"""A reconstruction that two cores can train: 300 steps, a quarter of the weights."""

SEEDS = 5
"""Halves of the people, and trainings, that are pooled on black frames."""

MOSAICS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Mosaics of the whole frame, weakest first: side of a block in pixels."""

UNDONE = 0.5
"""Share of what the plain judge lost that these must get back."""


@dataclass(frozen=True)
class Check:
    """One line of the table."""

    what: str
    figure: str
    bar: str
    passed: bool

    @property
    def verdict(self) -> str:
        """In a word."""
        return "pass" if self.passed else "FAIL"


def main() -> int:
    """Runs the cells, prints the table, and returns 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--only", default="", help="stages, separated by commas; all where none is named")
    parser.add_argument("overrides", nargs="*", help="of every run, such as data.identities=10")
    args = parser.parse_args()
    checks: list[Check] = []
    stages = {s.__name__: s for s in (blur, mosaic, nothing_left, five_seeds, nothing_done, ends_of_the_scale)}
    for stage in [stages[name] for name in args.only.split(",")] if args.only else stages.values():
        for check in stage(args.out, args.overrides):
            print(f"{check.what}: {check.figure}, bar {check.bar}: {check.verdict}", flush=True)
            checks.append(check)
    table = Table("self-test", "figure", "bar", "", title=f"{sum(c.passed for c in checks)} of {len(checks)} hold")
    for check in checks:
        table.add_row(check.what, check.figure, check.bar, check.verdict)
    Console(width=150).print(table)
    return int(not all(check.passed for check in checks))


def blur(out: Path, overrides: list[str]) -> list[Check]:
    """The weakest blur of the ladder that fools c, and what the parrot gets back from it."""
    ladder = ",".join(str(sigma) for sigma in LADDER)
    train(f"inpainting.sigma={ladder}", *WHOLE, *overrides, f"hydra.sweep.dir={out / 'ladder'}", multirun=True)
    fooled = rungs(out)
    steps = ", ".join(f"{sigma:g}: {rate:.2f}" for sigma, rate in fooled.items())
    weakest = weakest_that_fools(out)
    if weakest is None:
        return [Check("a blur that fools c", steps, f"fool rate ≥ {FOOLED}", False)]
    asked = [f"attacker=[parrot,{UNDOERS.strip('[]')}]", f"judge=[{JUDGE}]", *SMALL]
    train(f"inpainting.sigma={weakest}", *WHOLE, *asked, *overrides, f"hydra.run.dir={out / 'blur'}")
    share = record(out / "blur")["metrics"]["attacker/parrot/recovered_share"]
    return [
        Check(f"c fooled by blur {weakest:g} (ladder {steps})", f"{fooled[weakest]:.2f}", f"≥ {FOOLED}", True),
        Check("the parrot recovers from it", shown(share), f"≥ {RECOVERED}", share["value"] >= RECOVERED),
        *undone(out / "blur"),
    ]


def mosaic(out: Path, overrides: list[str]) -> list[Check]:
    """The weakest mosaic of the ladder that fools c, and what linkage gets back from it."""
    whole = ["masking=everything", "inpainting=pixelate"]
    ladder = f"inpainting.block={','.join(map(str, MOSAICS))}"
    train(ladder, *whole, *overrides, f"hydra.sweep.dir={out / 'mosaics'}", multirun=True)
    fooled = {b: value(record(out / "mosaics" / str(i)), "fool_rate") for i, b in enumerate(MOSAICS)}
    weakest = next((block for block, rate in fooled.items() if rate >= FOOLED), None)
    steps = ", ".join(f"{block}: {rate:.2f}" for block, rate in fooled.items())
    if weakest is None:
        return [Check("a mosaic that fools c", steps, f"fool rate ≥ {FOOLED}", False)]
    asked = [f"attacker={UNDOERS}", f"judge=[{JUDGE}]", *SMALL, *overrides, f"hydra.run.dir={out / 'mosaic'}"]
    train(f"inpainting.block={weakest}", *whole, *asked)
    rate = f"{fooled[weakest]:.2f}"
    return [Check(f"c fooled by mosaic {weakest} (ladder {steps})", rate, f"≥ {FOOLED}", True), *undone(out / "mosaic")]


def undone(folder: Path) -> list[Check]:
    """What linkage and reconstruction get back of what the plain judge lost, in the same gallery; permuted pairs."""
    found, checks = record(folder), []
    for attacker in UNDOERS.strip("[]").split(","):
        stem = f"attacker/{attacker}/{JUDGE}"
        plain, learnt = value(found, f"{stem}/untrained"), value(found, f"{stem}/rank_1")
        rank_1_clean = found["details"]["attacker/linkage"][JUDGE]["rank_1_clean"]  # before any head
        clean = rank_1_clean if attacker == "linkage" else value(found, f"{stem}/ceiling")
        if clean - plain < 0.05:
            checks.append(Check(f"{attacker}: the plain judge lost something", f"{plain:.3f}", f"< {clean:.3f}", False))
            continue
        share, figures = (learnt - plain) / (clean - plain), f"{plain:.3f} → {learnt:.3f} of {clean:.3f}"
        checks.append(Check(f"{attacker} undoes it", f"{share:.2f} ({figures})", f"≥ {UNDONE}", share >= UNDONE))
    permuted = found["details"]["attacker/linkage"][JUDGE]["shuffled_labels"]
    near = f"{permuted['chance']:.3f} ± {3 * permuted['standard_error']:.3f}"
    rate = found["metrics"][f"attacker/linkage/{JUDGE}/shuffled_labels"]
    return [*checks, Check("linkage, permuted pairs", shown(rate), near, permuted["within"])]


def five_seeds(out: Path, overrides: list[str]) -> list[Check]:
    """Black frames for linkage and reconstruction over five halves of the people: chance, clusters counted."""
    keys = [
        "attacker.linkage.ceiling=false",
        "attacker.linkage.shuffled_labels=false",
        "attacker.reconstruction.steps=20",
    ]
    asked = ["masking=everything", "inpainting=blackout", f"attacker={UNDOERS}", f"judge=[{JUDGE}]", *SMALL, *keys]
    found: dict[str, list[tuple[Any, Any]]] = {}
    for seed in range(1, SEEDS + 1):
        own = [f"attacker.{name}.seed={seed}" for name in UNDOERS.strip("[]").split(",")]
        train(*asked, *own, *overrides, f"hydra.run.dir={out / f'black_{seed}'}")
        table = pd.read_parquet(out / f"black_{seed}" / "images.parquet")
        for name in [f"attacker/{a}/{JUDGE}" for a in UNDOERS.strip("[]").split(",")]:
            found.setdefault(name, []).append((table[f"recognised/{name}"], table["identity"]))
    checks = []
    for name, seeds in found.items():
        hits, people = (np.concatenate(part) for part in zip(*seeds, strict=True))
        metric, facts = chance_metric(hits, people, chance_of(name, record(out / "black_1")))
        near = f"{facts['chance']:.3f} ± {3 * facts['standard_error']:.3f}"
        checks.append(Check(f"black, {SEEDS} seeds: {name}", shown(vars(metric)), near, facts["within"]))
    return checks


def ends_of_the_scale(out: Path, overrides: list[str]) -> list[Check]:
    """The parrot's ceiling on, and its fits to shuffled labels of, the same blur."""
    weakest = weakest_that_fools(out)
    if weakest is None:
        return []
    both = ["attacker=[parrot]", "attacker.parrot.ceiling=true", "attacker.parrot.shuffled_labels=true"]
    train(f"inpainting.sigma={weakest}", *WHOLE, *both, *overrides, f"hydra.run.dir={out / 'ends'}")
    found = record(out / "ends")
    ceiling, shuffled = (found["metrics"][f"attacker/parrot/{end}"] for end in ("ceiling", "shuffled_labels"))
    accuracy, facts = value(found, "accuracy"), found["details"]["attacker/parrot"]["shuffled_labels"]
    near = f"{facts['chance']:.3f} ± {3 * facts['standard_error']:.3f}"
    within = ceiling["low"] <= accuracy <= ceiling["high"]
    return [
        Check("ceiling is clean accuracy", shown(ceiling), f"interval holds {accuracy:.3f}", within),
        Check("shuffled labels at chance", shown(shuffled), near, facts["within"]),
    ]


def rungs(out: Path) -> dict[float, float]:
    """Fool rate of c on each rung of the ladder."""
    return {sigma: value(record(out / "ladder" / str(i)), "fool_rate") for i, sigma in enumerate(LADDER)}


def weakest_that_fools(out: Path) -> float | None:
    """The first rung with a sufficient fool rate, or None."""
    return next((sigma for sigma, rate in rungs(out).items() if rate >= FOOLED), None)


def nothing_done(out: Path, overrides: list[str]) -> list[Check]:
    """Whoever looks at the originals themselves is not fooled."""
    train("inpainting=identity", f"judge=[{JUDGE}]", *overrides, f"hydra.run.dir={out / 'identity'}")
    found = record(out / "identity")
    rate = value(found, "fool_rate")
    tar, clean = (found["metrics"][f"judge/{JUDGE}/{name}_1e-2"] for name in ("tar_cross", "clean_tar"))
    same = tar["value"] is not None and tar["value"] == clean["value"]
    return [
        Check("identity fools nobody", f"{rate:.2f}", "0", rate == 0),
        Check("identity leaves the judge's TAR", shown(tar), f"clean TAR {shown(clean)}", same),
    ]


def nothing_left(out: Path, overrides: list[str]) -> list[Check]:
    """Black frames: chance lies in the interval of every observer's accuracy or rank 1."""
    black = ["masking=everything", "inpainting=blackout", f"attacker={ATTACKERS}", f"judge=[{JUDGE}]"]
    train(*black, *SMALL, "attacker.reconstruction.steps=20", *overrides, f"hydra.run.dir={out / 'black'}")
    found = record(out / "black")
    checks = []
    for name, metric in found["metrics"].items():
        observer, _, figure = name.rpartition("/")
        if name != "accuracy_anonymized" and not (GROUPS.match(observer) and figure in ("accuracy", "rank_1")):
            continue
        if metric["value"] is None:
            few = "/n_" in observer  # an identity may have fewer than it takes
            checks.append(Check(f"black: {name}", shown(metric), "null only for too few photos", few))
            continue
        chance = chance_of(observer or "target", found)
        at_chance = metric["low"] - 1e-9 <= chance <= metric["high"] + 1e-9
        checks.append(Check(f"black: {name}", shown(metric), f"interval holds {chance:.3f}", at_chance))
    return checks


def chance_of(observer: str, found: dict[str, Any]) -> float:
    """Of a guess at rank 1; an observer of several tries states one for each."""
    facts = found["details"]["observers"]
    return float(next(known["chance"] for name, known in facts.items() if name in (observer, f"{observer}/jpeg")))


def train(*overrides: str, multirun: bool = False) -> None:
    """One `python -m privacy_exp.train`, its output on the terminal."""
    command = [sys.executable, "-m", "privacy_exp.train", *(["-m"] if multirun else []), "tracking=csv", *overrides]
    print("$", *command[1:], flush=True)
    subprocess.run(command, check=True)


def record(folder: Path) -> dict[str, Any]:
    """A finished run's record."""
    return json.loads((folder / "record.json").read_text())


def value(found: dict[str, Any], name: str) -> float:
    """One metric's value."""
    return float(found["metrics"][name]["value"])


def shown(metric: dict[str, Any]) -> str:
    """Value and interval, or why there is none."""
    if metric["value"] is None:
        return f"– ({metric['reason']})"
    return f"{metric['value']:.3f} ({metric['low']:.3f}–{metric['high']:.3f})"


if __name__ == "__main__":
    sys.exit(main())
