"""Which difference given pictures could have shown."""

from scipy.stats import norm


def detectable_difference(standard_error: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest true difference that a two-sided test finds with this power: (z_{1 - α/2} + z_{power}) · SE.

    Args:
        standard_error: of the observed difference.
        power: probability of finding it.
        alpha: of the test.

    Example:
        >>> round(detectable_difference(0.02), 3)
        0.056
    """
    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power)) * standard_error
