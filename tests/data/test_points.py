"""Points of a resized picture: pixel centres, by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from privacy_exp.data.folder import Folder
from privacy_exp.data.points import resized_points


def test_a_sixteenth_by_hand():
    """Pixel 607 of 1024 has its centre at 607.5; a sixteenth of it is 37.97, the centre of pixel 37.47."""
    (moved,) = resized_points(torch.tensor([[607.0, 1023.5]]), 1 / 16).tolist()
    assert moved == pytest.approx([37.46875, 63.5])


def test_points_of_a_folder_that_is_resized(tmp_path):
    """128 wide and 96 high to 40 x 40: scaled by 40 / 96, and (128 * 40 / 96 - 40) / 2 = 6.67 columns are cut."""
    points = np.array([[50, 40], [78, 40], [64, 52], [54, 66], [74, 66]], float)
    rows = ["path," + ",".join("abcdefghij")]
    for i, k in np.ndindex(2, 5):
        path = tmp_path / f"p{i}" / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng([i, k]).integers(0, 255, (96, 128, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        rows.append(f"p{i}/{k}.png," + ",".join(f"{v:g}" for v in points.ravel()))
    (tmp_path / "landmarks.csv").write_text("\n".join(rows))
    data = Folder(str(tmp_path), image_size=[40, 40])
    data.setup()
    expected = (points + 0.5) * 40 / 96 - 0.5 - [(128 * 40 / 96 - 40) / 2, 0]
    for own in data.photos.values():
        for photo in own:
            np.testing.assert_allclose(photo.landmarks, expected, atol=0.01)
