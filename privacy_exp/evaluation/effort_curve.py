"""What an attacker recovers over what it spends, and whether spending more would recover more."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from privacy_exp.evaluation.measure import Outcome, kept_share, recovered_share
from privacy_exp.evaluation.statistics.resampling import resampled_sums
from privacy_exp.types import Metric, UserError


@dataclass(frozen=True)
class EffortCurve:
    """One attacker at several efforts.

    Attributes:
        shares: effort to recovered share, the smallest effort first.
        gain: of the last step over the one before, people drawn together in both.
        saturated: whether that gain is no larger than its interval: 0 lies in it, or it is a loss.
    """

    shares: dict[str, Metric]
    gain: Metric
    saturated: bool

    @property
    def claim(self) -> str:
        """In a word or two."""
        return "saturated" if self.saturated else "not saturated"


def effort_curve(outcomes: Mapping[str, Outcome], draws: int = 2000, seed: int = 0) -> EffortCurve:
    """Recovered share over effort, and whether the attack has saturated.

    Args:
        outcomes: effort to the attacker's outcome on the same probes, the smallest effort first.
        draws: resamples of people.
        seed: of the draws.

    Raises:
        UserError: fewer than two efforts, or other probes in one than in another.

    Example:
        >>> people = np.repeat(np.arange(20), 2).astype(str)
        >>> some, all_ = np.tile([0.0, 1.0], 20), np.ones(40)
        >>> runs = {e: Outcome("parrot", people, all_, hits, 0.05) for e, hits in (("quick", some), ("strong", all_))}
        >>> curve = effort_curve(runs)
        >>> round(curve.gain.value, 3), curve.claim
        (0.526, 'not saturated')
    """
    if len(outcomes) < 2:
        raise UserError(f"`outcomes` must hold at least 2 efforts to compare, but got {len(outcomes)}.")
    *_, before, last = outcomes.values()
    if any(not np.array_equal(one.identity, last.identity) for one in outcomes.values()):
        raise UserError("`outcomes` must be of the same probes at every effort: same data, same seeds.")
    shares = {effort: recovered_share(one) for effort, one in outcomes.items()}
    ones = np.ones(len(last.identity))
    columns = [ones, before.clean, before.anonymized, ones, last.clean, last.anonymized]
    drawn = np.stack(resampled_sums(last.identity, columns, draws, seed))
    steps = kept_share(drawn[3:], last.chance) - kept_share(drawn[:3], before.chance)
    first, second = shares[list(shares)[-2]].value, shares[list(shares)[-1]].value
    if first is None or second is None or not np.isfinite(steps).any():
        raise UserError("`outcomes` hold an attacker that is at chance on the originals: it has no share to recover.")
    low, high = np.nanquantile(steps, [0.025, 0.975])
    gain = Metric(second - first, min(float(low), second - first), max(float(high), second - first), len(ones))
    return EffortCurve(shares, gain, bool(low <= 0))
