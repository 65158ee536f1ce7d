"""Resizing and cropping: what the checkpoint is shown, and where its picture goes."""

import pytest
import torch

from privacy_exp.inpainting.frame import Window, around, enlarge, put_back, whole
from privacy_exp.inpainting.size import native


def test_same_size_is_left_alone() -> None:
    images, masks = torch.rand(2, 3, 16, 24), torch.rand(2, 1, 16, 24) > 0.5
    shown, there = enlarge(images, masks, whole(masks), (16, 24))
    assert torch.equal(shown, images)
    assert torch.equal(there, masks)
    assert torch.equal(put_back(shown, images, whole(masks)), images)


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (40, 24)])
def test_hidden_pixels_do_not_bleed_into_kept_ones(size: tuple[int, int]) -> None:
    masks = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    masks[:, :, 9:21, 7:18] = True
    images = torch.full((1, 3, 32, 32), 0.25)
    secret = torch.where(masks, 1.0, images)
    shown, there = enlarge(secret, masks, whole(masks), size)
    assert torch.allclose(shown[~there.expand_as(shown)], torch.tensor(0.25), atol=1e-6)
    assert there.float().mean().item() == pytest.approx(masks.float().mean().item(), rel=0.2)


def test_masks_are_resized_by_nearest() -> None:
    mask = torch.tensor([[True, False], [False, True]])[None, None]
    _, there = enlarge(torch.rand(1, 3, 2, 2), mask, whole(mask), (4, 4))
    assert torch.equal(there[0, 0], mask[0, 0].repeat_interleave(2, 0).repeat_interleave(2, 1))


def test_boxes_by_hand() -> None:
    masks = torch.zeros(5, 1, 40, 60, dtype=torch.bool)
    masks[0, :, 10:20, 20:30] = True  # 10 by 10, a quarter of 10 (3) on each side: 16 by 16
    masks[1, :, 0:4, 56:60] = True  # in the corner: 4 + 2, moved inside
    masks[2, :, 10:30, 30:32] = True  # 20 by 2: as wide as it is tall
    masks[3] = True
    boxes = around(masks, 0.25, (32, 32))
    assert boxes == [
        Window(7, 17, 23, 33),
        Window(0, 54, 6, 60),
        Window(5, 16, 35, 46),
        Window(0, 0, 40, 60),
        Window(0, 0, 40, 60),
    ]
    assert around(masks, 0.0, (32, 64))[0] == Window(10, 15, 20, 35)


def test_boxes_are_put_back_where_they_were() -> None:
    images = torch.rand(2, 3, 20, 20)
    boxes = [Window(0, 4, 8, 12), Window(12, 12, 20, 20)]
    masks = torch.zeros(2, 1, 20, 20, dtype=torch.bool)
    shown, _ = enlarge(images, masks, boxes, (8, 8))
    assert torch.equal(shown[0], images[0, :, 0:8, 4:12])
    result = put_back(torch.ones_like(shown), images, boxes)
    assert result[0, :, 0:8, 4:12].min() == 1
    assert torch.equal(result[0, :, 8:], images[0, :, 8:])
    assert torch.equal(put_back(shown, images, boxes), images)


def test_native_size() -> None:
    assert native(None, 64, 8) == (64, 64)
    assert native(32, 64, 8) == (32, 32)
    assert native([96, 80], 64, 8) == (96, 80)
    for wrong in (33, 0, [8], [8, 8, 8], -8):
        with pytest.raises(ValueError, match="`native_size`"):
            native(wrong, 64, 8)


def test_a_wide_box_by_hand() -> None:
    masks = torch.zeros(1, 1, 60, 80, dtype=torch.bool)
    masks[0, :, 30:32, 20:41] = True  # 2 by 21, and a quarter of 21 (6) on each side: 14 by 33, made square
    assert around(masks, 0.25, (32, 32)) == [Window(14, 14, 47, 47)]
    assert around(masks, 0.0, (32, 64)) == [Window(25, 20, 36, 41)]  # half as tall as it is wide: 11 by 21


def test_shrinking_averages_and_growing_stays_in_range() -> None:
    """Antialiased: every pixel counts when a frame is shrunk; bicubic rings, and is cut off."""
    checks = torch.zeros(1, 3, 32, 32)
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 1.0
    nothing = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    shown, _ = enlarge(checks, nothing, whole(nothing), (8, 8))
    assert (shown[..., 1:-1, 1:-1] - 0.5).abs().max() < 0.02
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1.0
    frames = torch.full((1, 3, 32, 32), 0.5)
    for boxes in (whole(nothing), [Window(4, 4, 28, 28)]):
        result = put_back(edge, frames, boxes)
        assert (result.min(), result.max()) == (0, 1)
    assert (result[..., :4, :] == 0.5).all()
