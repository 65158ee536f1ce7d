"""Fréchet distance between two sets of features."""

import numpy as np
from jaxtyping import Float, Shaped

from privacy_exp.types import Metric

Array = np.ndarray

GROUPS = 20
"""Groups of identities that the jackknife leaves out in turn."""


def frechet_distance(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> float:
    """|mean difference|² + tr(A + B - 2 (A B)^½) of two Gaussians fitted to the features.

    With centred rows X and Y the last trace is the nuclear norm of X Yᵀ / √((n - 1)(m - 1)): no square root of a
    singular matrix is taken where there are fewer pictures than features.

    Args:
        a: at least two rows.
        b: at least two rows.

    Reference: Dowson and Landau, The Fréchet distance between multivariate normal distributions, 1982; Heusel et al.,
        GANs trained by a two time-scale update rule converge to a local Nash equilibrium, 2017.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    shift = a.mean(0) - b.mean(0)
    x, y = _spread(a), _spread(b)
    overlap = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return max(0.0, float(shift @ shift + (x**2).sum() + (y**2).sum() - 2 * overlap))


def _spread(rows: Float[Array, "n d"]) -> Float[Array, "k d"]:
    """X with Xᵀ X = the covariance: the centred rows, or the R of their QR, which is small where pictures are many."""
    centred = (rows - rows.mean(0)) / np.sqrt(len(rows) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(rows) > rows.shape[1] else centred


def frechet_metric(a: Float[Array, "n d"], b: Float[Array, "n d"], identities: Shaped[Array, " n"]) -> Metric:
    """Fréchet distance of the same people's features before and after, with a jackknife interval over identities.

    Up to 20 groups of identities are left out in turn; the interval is ± 1.96 jackknife standard errors, cut at 0. The
    distance of few pictures is biased upwards: compare it at equal n alone.

    Args:
        a: features before; rows with NaN are faces that could not be embedded, and are left out of both.
        b: features after, row by row.
        identities: who is on them.
    """
    usable = ~(np.isnan(a).any(1) | np.isnan(b).any(1))
    a, b, identities = a[usable], b[usable], identities[usable]
    names, index = np.unique(identities, return_inverse=True)
    if len(names) < 2:
        return Metric(None, None, None, len(a), "fewer than two people could be embedded")
    value = frechet_distance(a, b)
    groups = min(GROUPS, len(names))
    kept = [index % groups != group for group in range(groups)]
    if min(int(rows.sum()) for rows in kept) < 2:
        return Metric(value, None, None, len(a))
    left_out = np.array([frechet_distance(a[rows], b[rows]) for rows in kept])
    error = float(np.sqrt((groups - 1) / groups * np.sum((left_out - left_out.mean()) ** 2)))
    return Metric(value, max(0.0, value - 1.96 * error), value + 1.96 * error, len(a))
