"""How many pictures a difference needs, and which difference given pictures could have shown."""

import math

from scipy.stats import norm

from privacy_exp.types import UserError


def pairs_needed(difference: float, discordant: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Pairs with which McNemar's test finds a difference of two rates, if pairs are independent.

    n = (z_{1 - α/2} √ψ + z_{power} √(ψ - d²))² / d²

    Args:
        difference: d, the true difference of the rates.
        discordant: ψ, share of pairs in which the runs disagree; at least |d|.
        power: probability of finding it.
        alpha: of the two-sided test.

    Raises:
        UserError: a difference of 0, or fewer discordant pairs than it needs.

    Reference: Connor, Sample size for testing differences in proportions for the paired-sample design, 1987.
    """
    if not 0 < abs(difference) <= discordant <= 1:
        raise UserError(
            f"`difference` and `discordant` must satisfy 0 < |difference| <= discordant <= 1, but got {difference} "
            f"and {discordant}."
        )
    z_alpha, z_power = _quantiles(power, alpha)
    root = z_alpha * math.sqrt(discordant) + z_power * math.sqrt(discordant - difference**2)
    return math.ceil(root**2 / difference**2)


def detectable_difference(standard_error: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest true difference that a two-sided test finds with this power: (z_{1 - α/2} + z_{power}) · SE.

    Args:
        standard_error: of the observed difference.
        power: probability of finding it.
        alpha: of the test.
    """
    return sum(_quantiles(power, alpha)) * standard_error


def _quantiles(power: float, alpha: float) -> tuple[float, float]:
    return float(norm.ppf(1 - alpha / 2)), float(norm.ppf(power))
