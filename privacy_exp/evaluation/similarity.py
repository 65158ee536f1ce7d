"""Similarities as they are compared: in one precision, whichever way they were summed."""

import numpy as np
from jaxtyping import Float

Array = np.ndarray

DECIMALS = 6
"""Similarities are compared to this precision, so that equal pictures tie whatever the order of a sum."""


def rounded(similarity: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The same numbers as they are compared with each other and with thresholds: float64, 6 decimals.

    Args:
        similarity: products of unit vectors, in float32 or float64.

    Example:
        >>> bool(rounded(np.float32([0.99999994]))[0] == 1.0)
        True
    """
    exact: Float[Array, "*shape"] = np.round(similarity.astype(np.float64), DECIMALS)
    return exact
