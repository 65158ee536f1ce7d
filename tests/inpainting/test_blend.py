"""The membrane: against a sparse solver, and where the answer is known."""

import numpy as np
import pytest
import torch
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve

from privacy_exp.inpainting.blend import membrane, seamless


def solved(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The discrete Laplace equation with mirrored edges, by a direct solver."""
    height, width = values.shape
    system, right = lil_matrix((values.size, values.size)), np.zeros(values.size)
    for y in range(height):
        for x in range(width):
            row = y * width + x
            system[row, row] = 1
            if known[y, x]:
                right[row] = values[y, x]
                continue
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                near = min(max(y + dy, 0), height - 1) * width + min(max(x + dx, 0), width - 1)
                system[row, near] -= 0.25
    return spsolve(system.tocsr(), right).reshape(height, width)


@pytest.mark.parametrize("shape", [(32, 32), (27, 40)])
def test_it_is_the_harmonic_extension(shape):
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape).cumsum(0).cumsum(1) / 40
    known = np.ones(shape, bool)
    known[5:20, 8:25] = rng.random((15, 17)) < 0.02
    known[22:, :6] = False  # a hole that touches the frame
    given = torch.from_numpy(np.where(known, values, 99.0)).float().expand(1, 3, *shape)
    found = membrane(given, torch.from_numpy(known)[None, None])
    expected = solved(values, known)
    assert np.abs(found[0, 1].numpy() - expected).max() < 0.03 * np.ptp(values)
    assert torch.equal(found[0, 0][torch.from_numpy(known)], given[0, 0][torch.from_numpy(known)])


def test_a_constant_shift_is_taken_back():
    originals = torch.rand((2, 3, 48, 40), generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    masks = torch.zeros((2, 1, 48, 40), dtype=torch.bool)
    masks[:, :, 10:30, 8:32] = True
    back = seamless(originals + 0.1, originals, masks)
    assert (back - originals).abs().max() < 2e-3


def test_where_everything_or_nothing_is_hidden_nothing_is_added():
    painted, originals = torch.rand((2, 1, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    everything = torch.ones((1, 1, 32, 32), dtype=torch.bool)
    assert torch.equal(seamless(painted, originals, everything), painted)
    assert torch.allclose(seamless(painted, originals, ~everything), originals, atol=1e-6)
