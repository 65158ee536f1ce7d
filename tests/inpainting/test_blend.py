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


def test_between_two_sides_it_is_a_ramp():
    """The closed form where only the left and the right edge are known."""
    ramp = torch.linspace(0, 1, 48).expand(1, 3, 48, 48).clone()
    known = torch.zeros((1, 1, 48, 48), dtype=torch.bool)
    known[..., :2] = known[..., -2:] = True
    found = membrane(torch.where(known, ramp, torch.tensor(9.0)), known)
    assert (found - ramp).abs().max() < 0.0062
    assert (found[:, :, :, 2:] - found[:, :, :, 1:-1]).min() > 0


def test_the_smallest_size_takes_the_mean_of_what_is_known():
    values = torch.full((1, 3, 4, 5), 9.0)
    known = torch.zeros((1, 1, 4, 5), dtype=torch.bool)
    known[0, 0, 0, :3] = True
    values[0, :, 0, :3] = torch.tensor([0.1, 0.2, 0.6])
    found = membrane(values, known)
    assert torch.equal(found[:, :, 0, :3], values[:, :, 0, :3])
    assert torch.allclose(found[:, :, 1:], torch.tensor(0.3))
    known[0, 0, 0, 1:] = False
    assert torch.allclose(membrane(values, known)[:, :, 1:], torch.tensor(0.1))
    assert membrane(values, ~known & known).abs().max() == 0
    pair = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    corner = torch.zeros((2, 1, 4, 4), dtype=torch.bool)
    corner[0, 0, 0, 0] = corner[1, 0, :2] = True
    assert torch.equal(membrane(pair, corner), pair), "each image has a mean of its own"
    # One pixel more on each side is relaxed: near the known ones it is nearer to them than the mean is.
    larger, there = torch.zeros((1, 3, 5, 5)), torch.zeros((1, 1, 5, 5), dtype=torch.bool)
    larger[..., -1] = 1.0
    there[..., 0] = there[..., -1] = True
    assert torch.allclose(membrane(larger, there)[0, 0, 2], torch.linspace(0, 1, 5), atol=1e-3)


def test_a_membrane_beyond_the_range_is_cut_off():
    masks = torch.zeros((1, 1, 16, 16), dtype=torch.bool)
    masks[:, :, 6:10, 6:10] = True
    for kept, around, inside, cut in ((1.0, 0.8, 0.95, 1.0), (0.0, 0.2, 0.05, 0.0)):
        repainted = torch.where(masks, inside, torch.full((1, 3, 16, 16), around))
        assert (seamless(repainted, torch.full_like(repainted, kept), masks)[..., 7, 7] == cut).all()
