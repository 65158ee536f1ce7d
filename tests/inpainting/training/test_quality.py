"""Measures of an inpainter's pictures, against closed forms."""

import pytest
import torch

from privacy_exp.inpainting.training.quality import masked_l1, seam_ratio


def test_masked_l1_looks_under_the_mask_only() -> None:
    masks = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    masks[..., :2] = True
    results = torch.zeros(1, 3, 4, 4)
    results[..., :2] = 0.25
    results[..., 2:] = 0.9
    assert masked_l1(results, torch.zeros(1, 3, 4, 4), masks) == pytest.approx(0.25)


def test_seam_ratio_counts_steps_across_and_inside() -> None:
    columns = torch.tensor([0.0, 0.0, 0.3, 0.4, 0.5, 0.5])
    images = columns.expand(1, 3, 2, 6)
    masks = torch.zeros(1, 1, 2, 6, dtype=torch.bool)
    masks[..., 2:] = True
    # across: 0.3 twice; inside: 0.1, 0.1, 0 on two rows and 0 four times down the columns
    assert seam_ratio(images, masks) == pytest.approx(0.3 / (0.4 / 10))
