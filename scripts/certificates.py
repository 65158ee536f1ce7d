"""Are certificates wrong no more often than they say? Simulated calibrations with known risk.

usage: python scripts/certificates.py [RUNS]
"""

import math
import sys

import numpy as np

from privacy_exp.evaluation.statistics.certificate import p_value, sequences

DELTA, PEOPLE, PHOTOS = 0.1, 161, 5


def simulate(runs: int) -> None:
    """The risk rises from well below α to twice α along the grid; a certificate is wrong where it goes past α."""
    print(
        f"δ = {DELTA}, {PEOPLE} people, {PHOTOS} photos each, {runs} calibrations; limit δ + 2 standard errors = ",
        end="",
    )
    print(f"{DELTA + 2 * math.sqrt(DELTA * (1 - DELTA) / runs):.3f}")
    print("| α | how people differ | certified something | wrong |\n|---|---|---|---|")
    for alpha in (0.05, 0.1, 0.25):
        risks = alpha * np.array([0.2, 0.6, 1.0 + 1e-9, 1.2, 2.0])
        for name, size in (("beta, correlation 0.67", 0.5), ("beta, correlation 0.17", 5.0), ("yes or no", None)):
            rng = np.random.default_rng(0)
            some = wrong = 0
            for _ in range(runs):
                if size is None:
                    losses = (rng.random((len(risks), PEOPLE)) < risks[:, None]).astype(float)
                else:
                    rates = rng.beta(risks[:, None] * size, (1 - risks[:, None]) * size, (len(risks), PEOPLE))
                    losses = rng.binomial(PHOTOS, rates) / PHOTOS
                (count,) = sequences([[p_value(row, alpha, size is None) for row in losses]], DELTA)
                some, wrong = some + (count > 0), wrong + (count > 2)
            print(f"| {alpha} | {name} | {some / runs:.3f} | {wrong / runs:.3f} |", flush=True)


if __name__ == "__main__":
    simulate(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
