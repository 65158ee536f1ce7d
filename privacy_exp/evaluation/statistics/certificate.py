"""A risk held below a level with a stated confidence: p values, sequences of tests, and how many people it takes."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

Array = np.ndarray

MOST_PEOPLE = 100_000
"""So far `people_needed` looks."""


def hoeffding_bentkus(mean: float, n: int, alpha: float) -> float:
    """P value of "the risk is above α", for n independent losses in [0, 1] with this mean.

    min(exp(-n h(min(mean, α), α)), e · P[Bin(n, α) ≤ ⌈n · mean⌉]), h being the binary relative entropy.

    Args:
        mean: of the losses.
        n: losses, one a person.
        alpha: the level, in (0, 1).

    Reference: Angelopoulos et al., Learn then Test, 2021; Bates et al., Distribution-free, risk-controlling prediction
        sets, 2021, of which the second part is Bentkus, On Hoeffding's inequalities, 2004.

    Example:
        >>> round(hoeffding_bentkus(0.05, 100, 0.1), 4)
        0.1565
    """
    hoeffding = math.exp(-n * relative_entropy(min(mean, alpha), alpha))
    return min(hoeffding, math.e * float(binom.cdf(_ceiling(n * mean), n, alpha)))


def relative_entropy(a: float, b: float) -> float:
    """Of two coins, a ln(a / b) + (1 - a) ln((1 - a) / (1 - b)).

    Args:
        a: in [0, 1].
        b: in (0, 1).

    Example:
        >>> relative_entropy(0.5, 0.5)
        0.0
    """
    parts = ((a, b), (1 - a, 1 - b))
    return sum(p * math.log(p / q) for p, q in parts if p > 0)


def p_value(losses: Float[Array, " n"], alpha: float, binary: bool = False) -> float:
    """P value of "the risk is above α": exact binomial for losses that can only be 0 or 1, else Hoeffding-Bentkus.

    Args:
        losses: in [0, 1], one a person, independent.
        alpha: the level, in (0, 1).
        binary: whether no loss can lie between 0 and 1, known beforehand: to look would be to choose the test by its
            outcome.

    Example:
        >>> round(p_value(np.zeros(22), 0.1), 3), round(0.9**22, 3)
        (0.098, 0.098)
    """
    n = len(losses)
    if binary:
        return float(binom.cdf(int(losses.sum()), n, alpha))
    return hoeffding_bentkus(float(losses.sum()) / n, n, alpha)


def upper_bound(losses: Float[Array, " n"], delta: float, binary: bool = False) -> float:
    """The smallest level that `p_value` rejects at δ: the risk lies below it with confidence 1 - δ; 1 where none is.

    Args:
        losses: in [0, 1], one a person.
        delta: in (0, 1).
        binary: see `p_value`.

    Example:
        >>> round(upper_bound(np.zeros(22), 0.1), 3)
        0.099
    """
    low, high = float(losses.mean()), 1.0 - 1e-9
    if p_value(losses, high, binary) > delta:
        return 1.0
    low = max(low, 1e-9)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if p_value(losses, middle, binary) <= delta else (middle, high)
    return high


def sequences(p: Sequence[Sequence[float]], delta: float) -> list[int]:
    """How many hypotheses each of several fixed sequences rejects, with an error of any kind at most δ.

    One sequence is tested at δ from its first hypothesis to the first that is not rejected. k sequences begin at δ / k
    each; one that is rejected to its end leaves its share to the others, which go on from where they stopped. With
    sequences of one hypothesis this is Holm's procedure.

    Args:
        p: the p values of each sequence, in the order that was fixed beforehand.
        delta: in (0, 1).

    Reference: Bretz et al., A graphical approach to sequentially rejective multiple test procedures, 2009; Holm, 1979.

    Example:
        >>> sequences([[0.01, 0.04, 0.2, 0.01]], 0.05)
        [2]
        >>> sequences([[0.02], [0.04]], 0.05)
        [1, 1]
    """
    rejected = [0] * len(p)
    while True:
        open_ones = [i for i, own in enumerate(p) if rejected[i] < len(own)]
        level = delta / max(len(open_ones), 1)
        for i in open_ones:
            while rejected[i] < len(p[i]) and p[i][rejected[i]] <= level:
                rejected[i] += 1
        if all(rejected[i] < len(p[i]) for i in open_ones):
            return rejected


def people_needed(mean: float, alpha: float, delta: float) -> int | None:
    """The fewest people with whom this mean loss would be certified below α; None where no number would do.

    Args:
        mean: of the losses.
        alpha: the level, in (0, 1).
        delta: at which one test is made, in (0, 1).

    Example:
        >>> people_needed(0.0, 0.1, 0.1)
        22
        >>> people_needed(0.1, 0.1, 0.1) is None
        True
    """
    if mean >= alpha:
        return None
    n = np.arange(1, MOST_PEOPLE + 1)
    hits = np.ceil(np.round(n * mean, 9))
    cdf = binom.cdf(hits, n, alpha)
    p = cdf if mean == 0 else np.minimum(np.exp(-n * relative_entropy(mean, alpha)), math.e * cdf)
    enough = np.flatnonzero(p <= delta)
    return int(n[enough[0]]) if len(enough) else None


def _ceiling(total: float) -> int:
    """⌈total⌉, of a sum that floating point may have left a trifle above a whole number."""
    return math.ceil(round(total, 9))
