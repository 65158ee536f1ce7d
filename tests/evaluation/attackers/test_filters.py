"""Filters against other libraries' own."""

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter as scipy_median

from privacy_exp.evaluation.attackers.filters import add_noise, median_filter, recompress


@pytest.fixture(scope="module")
def images():
    levels = torch.randint(0, 256, (3, 3, 16, 20), generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(levels.float(), 3, 1, 1)
    return smooth.round() / 255


def test_the_median_is_scipys(images):
    expected = scipy_median(images.numpy(), size=(1, 1, 3, 3), mode="nearest")
    np.testing.assert_allclose(median_filter(images, 3).numpy(), expected, atol=1e-6)


def test_jpeg_is_near_opencvs_at_the_same_quality(images):
    for image, own in zip(images, recompress(images, 50), strict=True):
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()[..., ::-1]
        _, file = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 50])
        other = torch.from_numpy(cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1].copy()).permute(2, 0, 1) / 255
        assert (own - other).abs().mean() < 2 / 255
        assert (own - image).abs().mean() > 1 / 255


def test_noise_depends_on_the_id_and_the_seed_not_on_the_batch(images):
    grey = torch.full((3, 3, 64, 64), 0.5)
    together = add_noise(["a", "b", "c"], grey, 0.05, seed=0)
    assert add_noise(["b"], grey[:1], 0.05, seed=0)[0].equal(together[1])
    assert not add_noise(["b"], grey[:1], 0.05, seed=1)[0].equal(together[1])
    assert float((together - grey).std()) == pytest.approx(0.05, rel=0.03)
