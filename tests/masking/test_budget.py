import pytest
import torch

from privacy_exp.data.seeds import generator
from privacy_exp.masking.budget import block_index, hide
from privacy_exp.masking.regions import face_region

SIZES = [(96, 96), (112, 112), (160, 160), (218, 178)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("granularity", [1, 8, 16])
@pytest.mark.parametrize("ratio", [0, 0.01, 0.1, 0.25, 0.5, 0.9, 1])
def test_exactly_the_asked_share_is_hidden(size, granularity, ratio):
    scores = torch.rand(size, generator=generator(0, "scores"))
    mask = hide(scores, ratio, granularity, None, generator(0, "ties"))
    assert int(mask.sum()) == round(ratio * size[0] * size[1])


def test_the_highest_blocks_go_first_and_only_the_last_in_part():
    scores = torch.zeros(8, 8)
    scores[4:, 4:], scores[:4, 4:] = 2.0, 1.0
    mask = hide(scores, 24 / 64, 4, None, generator(0, "ties"))
    assert mask[4:, 4:].all(), "the best block is whole"
    assert int(mask[:4, 4:].sum()) == 8, "the second is in part"
    assert not mask[:, :4].any()
    part = mask[:4, 4:]
    assert part[:2].all() or part[2:].all(), "a part is contiguous, so that it survives on a latent grid"


def test_ties_do_not_favour_the_top():
    masks = [hide(torch.zeros(96, 96), 0.25, 8, None, generator(0, str(i), "ties")) for i in range(200)]
    rows = torch.arange(96.0)[:, None].expand(96, 96)
    mean_row = torch.stack([rows[m].mean() for m in masks]).mean() / 95
    assert abs(float(mean_row) - 0.5) < 0.03


def test_the_region_limits_and_an_impossible_budget_names_the_largest_ratio():
    allowed = torch.zeros(10, 10, dtype=torch.bool)
    allowed[:, :3] = True
    mask = hide(torch.rand(10, 10), 0.3, 4, allowed, generator(0, "t"))
    assert mask.equal(allowed)
    with pytest.raises(ValueError, match=r"0\.300 can be hidden"):
        hide(torch.rand(10, 10), 0.31, 4, allowed, generator(0, "t"))


def test_a_block_counts_by_its_mean_so_that_small_blocks_at_the_edge_are_not_last():
    """5 × 5 in blocks of 4: the corner block is one pixel, whose sum is the smallest of all, its mean the largest."""
    scores = torch.ones(5, 5)
    scores[4, 4] = 1.5
    mask = hide(scores, 1 / 25, 4, None, generator(0, "t"))
    assert mask.nonzero().tolist() == [[4, 4]]
    allowed = torch.zeros(4, 8, dtype=torch.bool)
    allowed[:, :4], allowed[0, 4] = True, True  # all of one block, one pixel of the other
    scores = torch.ones(4, 8)
    scores[0, 4] = 1.5
    assert hide(scores, 1 / 32, 4, allowed, generator(0, "t")).nonzero().tolist() == [[0, 4]]


def test_pixels_outside_the_region_do_not_count_in_a_blocks_mean():
    scores = torch.zeros(4, 8)
    scores[:, 4:] = 1
    scores[1:, :4] = 100  # not allowed
    allowed = torch.ones(4, 8, dtype=torch.bool)
    allowed[1:, :4] = False
    assert not hide(scores, 16 / 32, 4, allowed, generator(0, "t"))[:, :4].any()


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_a_budget_of_whole_blocks_takes_no_part_of_the_next(name):
    scores = torch.arange(16.0).view(4, 4).repeat_interleave(2, 0).repeat_interleave(2, 1)
    mask = hide(scores, 12 / 64, 2, None, generator(0, name))
    assert mask.equal(scores >= 13)


def test_a_part_starts_at_the_top_or_at_the_bottom_with_the_same_chance():
    masks = [hide(torch.zeros(8, 8), 16 / 64, 8, None, generator(0, str(i))) for i in range(400)]
    top = torch.tensor([bool(m[:2].all()) for m in masks])
    assert all(bool(m[:2].all()) != bool(m[6:].all()) for m in masks)
    assert abs(float(top.float().mean()) - 0.5) < 0.08  # 3.2 standard deviations


def test_nothing_but_the_given_generator_draws():
    found = []
    for other in range(8):
        torch.manual_seed(other)
        found.append(hide(torch.zeros(16, 16), 0.3, 8, None, generator(0, "a")))
    assert all(mask.equal(found[0]) for mask in found)


@pytest.mark.parametrize("name", ["a", "b", "c", "d", "e"])
@pytest.mark.parametrize("budget", [1, 2, 3, 4, 5, 6])
def test_a_part_lies_inside_the_region(budget, name):
    allowed = torch.zeros(4, 4, dtype=torch.bool)
    allowed[1:3, 1:] = True  # two blocks of four pixels hold one each, two hold two
    scores = torch.tensor([[1.0, 2.0], [4.0, 3.0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)
    mask = hide(scores, budget / 16, 2, allowed, generator(0, name))
    assert int(mask.sum()) == budget
    assert not (mask & ~allowed).any()
    assert sorted(scores[mask].tolist(), reverse=True) == [4.0, 3.0, 3.0, 2.0, 2.0, 1.0][:budget]


def test_scores_of_any_sign_and_precision_are_ranked():
    scores = -(1 + torch.arange(4.0, dtype=torch.float64) * 1e-12).view(2, 2)  # equal in single precision
    assert hide(scores, 0.25, 1, None, generator(0, "t")).tolist() == [[True, False], [False, False]]
    leaf = torch.rand(2, 2, requires_grad=True)
    assert not hide(leaf, 0.5, 1, None, generator(0, "t")).requires_grad


def test_a_region_that_holds_just_the_budget_is_filled_and_one_pixel_less_is_refused():
    allowed = torch.zeros(10, 10, dtype=torch.bool)
    allowed[2, :7] = True
    assert hide(torch.rand(10, 10), 0.07, 4, allowed, generator(0, "t")).equal(allowed)
    with pytest.raises(ValueError, match=r"asks for 8 pixels, but the region holds 7 here: at most 0\.070 can"):
        hide(torch.rand(10, 10), 0.08, 4, allowed, generator(0, "t"))
    assert not hide(torch.rand(10, 10), 0.004, 4, torch.zeros(10, 10, dtype=torch.bool), generator(0, "t")).any()


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        hide(torch.full((4, 4), torch.nan), 0.5, 1, None, generator(0, "t"))
    with pytest.raises(ValueError, match="NaN"):
        hide(torch.tensor([[1.0, torch.nan]]), 0.5, 1, None, generator(0, "t"))


def test_blocks_are_numbered_row_by_row():
    blocks, count = block_index(5, 7, 4)
    assert count == 4
    assert blocks[0, 0] == 0
    assert blocks[0, 6] == 1
    assert blocks[4, 3] == 2
    assert blocks[4, 4] == 3


def test_the_face_region_is_the_hull_widened_by_point_six_eye_distances():
    points = torch.tensor([[40.0, 40.0], [60.0, 40.0], [50.0, 50.0], [42.0, 60.0], [58.0, 60.0]])
    region = face_region(points, 100, 100)
    reach = 0.6 * 20
    assert region[50, 50]
    assert region[40 - 11, 50]  # straight above the eyes the border lies at 40 - 12
    assert not region[40 - 14, 50]
    # shapely-free area of a widened convex polygon: A + perimeter * d + pi * d^2 (Steiner's formula)
    corners = points[[0, 1, 4, 3]]
    x, y = corners.T
    area = 0.5 * float((x * y.roll(-1) - y * x.roll(-1)).sum().abs())
    perimeter = float((corners - corners.roll(-1, 0)).norm(dim=1).sum())
    steiner = area + perimeter * reach + torch.pi * reach**2
    assert abs(int(region.sum()) - steiner) / steiner < 0.04


def test_the_face_region_lies_where_the_points_lie():
    points = torch.tensor([[22.0, 22.0], [42.0, 22.0], [32.0, 32.0], [22.0, 42.0], [42.0, 42.0]])  # around (32, 32)
    region = face_region(points, 65, 65)
    assert region.equal(region.flip(0))
    assert region.equal(region.flip(1))
    moved = face_region(points + torch.tensor([3.0, -5.0]), 65, 65)
    assert moved[:60].equal(region.roll((-5, 3), (0, 1))[:60])
