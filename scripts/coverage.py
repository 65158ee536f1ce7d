"""How often the intervals hold the truth: simulated studies whose true figures are known, as tables in markdown.

usage: python scripts/coverage.py [--studies 2000] [--out docs/results/coverage.md]      some minutes on one core
"""

import argparse
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from privacy_exp.evaluation.measure import Outcome, strongest_observer
from privacy_exp.evaluation.statistics.intervals import clustered_rate, design_effect, wilson

PEOPLE = (20, 30, 40)
PHOTOS = ("3", "8", "1-15")
RATES = (0.02, 0.1, 0.5, 0.9)
CORRELATIONS = (0.0, 0.3, 0.8)
OBSERVERS = (1, 2, 4, 8)

Draw = Callable[[np.random.Generator, int, float, float], np.ndarray]

INTRO = """# Coverage of the intervals

`python scripts/coverage.py --studies {studies}`, {today}. Simulated studies whose true figure is known: how many of
the 95 % intervals hold it. With 2,000 studies a share of 0.95 is known to ± 0.01.

## Rates

Each person has a rate of its own, from a beta distribution with the mean and the intra-person correlation given. A
cell holds the coverage and the mean width; in brackets those of Wilson's interval at n / deff alone, which was the
interval until November 2026.
"""

OTHERWISE = """
### Where people differ otherwise

The same means and correlations, but a share of the people always succeeds or never does, and the others are alike. The
beta-binomial half of the interval then assumes the wrong law.
"""

STRONGEST = """
## The strongest observer

All observers are equally good (kept share 0.28); 40 people with 3 photos each. A cell holds the coverage and how far
the value leans upwards.

| observers | alike on no photo | alike on half of the photos |
|---|---|---|"""


@dataclass(frozen=True)
class Setting:
    """One kind of study.

    Attributes:
        people: how many.
        photos: of each: "3", "8", or "1-15", drawn evenly for each person.
        rate: the true one.
        correlation: of two photos of one person.
    """

    people: int
    photos: str
    rate: float
    correlation: float


@dataclass(frozen=True)
class Covered:
    """What simulated studies of one setting gave.

    Attributes:
        ours: share of `clustered_rate`'s intervals that hold the truth.
        wilson: share of those that are Wilson's at n / deff alone.
        width: mean width of ours.
        wilson_width: of Wilson's.
    """

    ours: float
    wilson: float
    width: float
    wilson_width: float


def beta_people(random: np.random.Generator, people: int, rate: float, correlation: float) -> np.ndarray:
    """Each person's own rate, drawn from a beta distribution."""
    if correlation == 0:
        return np.full(people, rate)
    size = (1 - correlation) / correlation
    return random.beta(rate * size, (1 - rate) * size, people)


def split_people(random: np.random.Generator, people: int, rate: float, correlation: float) -> np.ndarray:
    """Each person's own rate: a share of people succeeds always or never, the others by the common rate.

    The same mean and correlation as `beta_people`, another law: the model behind half of the interval is then wrong.
    """
    always = (random.random(people) < rate).astype(float)
    return np.where(random.random(people) < correlation, always, rate)


def covered(setting: Setting, studies: int, seed: int, draw: Draw = beta_people) -> Covered:
    """Simulates studies of a setting and asks both intervals.

    Args:
        setting: what is simulated.
        studies: how many.
        seed: of all draws.
        draw: how people differ.
    """
    random = np.random.default_rng(seed)
    held, widths = np.zeros(2), np.zeros(2)
    for _ in range(studies):
        sizes = random.integers(1, 16, setting.people) if setting.photos == "1-15" else int(setting.photos)
        clusters = np.repeat(np.arange(setting.people), sizes)
        hits = random.random(len(clusters)) < draw(random, setting.people, setting.rate, setting.correlation)[clusters]
        ours = clustered_rate(hits, clusters)
        plain = wilson(float(hits.mean()), len(hits) / design_effect(hits, clusters))
        for i, (low, high) in enumerate(((ours.low, ours.high), plain)):
            held[i] += low <= setting.rate <= high
            widths[i] += high - low
    return Covered(*(held / studies), *(widths / studies))


def strongest(observers: int, agreement: float, studies: int, seed: int = 0) -> tuple[float, float]:
    """Coverage of the strongest observer's interval, and how far its value leans upwards, where all are equally good.

    Args:
        observers: how many take part; each truly keeps the same share.
        agreement: share of photos on which all of them see the same.
        studies: how many, of 40 people with 3 photos each.
        seed: of all draws.
    """
    random = np.random.default_rng(seed)
    people, rate = np.repeat(np.arange(40), 3), 0.3
    truth = (rate - 1 / 40) / (1 - 1 / 40)
    held, lean = 0, 0.0
    for study in range(studies):
        own = np.repeat(random.beta(0.6, 1.4, 40), 3)
        common, agreed = random.random(120) < own, random.random(120) < agreement
        seen = [np.where(agreed, common, random.random(120) < own).astype(float) for _ in range(observers)]
        outcomes = [
            Outcome(f"observer {i}", people.astype(str), np.ones(120), hits, 1 / 40) for i, hits in enumerate(seen)
        ]
        found, _ = strongest_observer(outcomes, draws=1000, seed=study)
        held += found.low <= truth <= found.high
        lean += found.value - truth
    return held / studies, lean / studies


def rates_table(studies: int, draw: Draw) -> tuple[list[str], list[Covered]]:
    """A row for each number of people, photos and correlation; rates across."""
    lines = [
        "| people | photos | correlation | " + " | ".join(f"rate {rate:g}" for rate in RATES) + " |",
        "|---|---|---|" + "---|" * len(RATES),
    ]
    found: list[Covered] = []
    for people, photos, correlation in product(PEOPLE, PHOTOS, CORRELATIONS):
        settings = [Setting(people, photos, rate, correlation) for rate in RATES]
        row = [covered(setting, studies, seed=len(found) + i, draw=draw) for i, setting in enumerate(settings)]
        found += row
        cells = (f"{one.ours:.3f} ({one.wilson:.3f}); {one.width:.3f} ({one.wilson_width:.3f})" for one in row)
        lines.append(f"| {people} | {photos} | {correlation:g} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines, found


def summary(found: list[Covered]) -> list[str]:
    """Both intervals in a line each."""
    lines = ["| interval | lowest | highest | under 0.92 | above 0.985 | mean width |", "|---|---|---|---|---|---|"]
    for name, shares, widths in (
        ("`clustered_rate`", [one.ours for one in found], [one.width for one in found]),
        ("Wilson at n / deff alone", [one.wilson for one in found], [one.wilson_width for one in found]),
    ):
        under, above = sum(share < 0.92 for share in shares), sum(share > 0.985 for share in shares)
        of = f"of {len(shares)}"
        lines.append(
            f"| {name} | {min(shares):.3f} | {max(shares):.3f} | {under} {of} | {above} {of} | {np.mean(widths):.3f} |"
        )
    return lines


def page(studies: int) -> str:
    """The whole page."""
    lines = [INTRO.format(studies=studies, today=datetime.date.today().isoformat())]
    for head, draw in (("", beta_people), (OTHERWISE, split_people)):
        rows, found = rates_table(studies, draw)
        lines += [*([head] if head else []), *summary(found), "", *rows]
    lines.append(STRONGEST)
    for number in OBSERVERS:
        cells = [strongest(number, agreement, studies // 4) for agreement in (0.0, 0.5)]
        lines.append(f"| {number} | {' | '.join(f'{held:.3f}; {lean:+.3f}' for held, lean in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints rows as they come, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies of each setting")
    parser.add_argument("--out", type=Path, default=Path("docs/results/coverage.md"))
    options = parser.parse_args()
    options.out.write_text(page(options.studies))
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
