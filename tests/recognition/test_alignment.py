import cv2
import numpy as np
import pytest
import torch

from privacy_exp.recognition.alignment import ARCFACE_TEMPLATE, align, similarity, warp

POINTS = np.array([[69.5, 111.0], [108.0, 109.0], [90.5, 134.5], [72.5, 154.5], [105.5, 152.5]], np.float32)


@pytest.fixture
def photo():
    noise = np.random.default_rng(0).random((218, 178, 3)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def tensor(photo):
    return torch.from_numpy(photo).permute(2, 0, 1)[None]


def test_similarity_solves_the_least_squares_problem():
    target = np.array(ARCFACE_TEMPLATE)
    rows = [[x, -y, 1, 0] for x, y in POINTS] + [[y, x, 0, 1] for x, y in POINTS]
    a, b, u, v = np.linalg.lstsq(np.array(rows), target.T.reshape(-1), rcond=None)[0]
    found = similarity(torch.from_numpy(POINTS)[None], torch.from_numpy(target).float()[None])[0]
    np.testing.assert_allclose(found.numpy(), [[a, -b, u], [b, a, v]], rtol=1e-4, atol=1e-4)


def test_warp_is_opencvs(photo):
    matrix = np.array([[0.9, -0.12, -25.3], [0.12, 0.9, -48.1]], np.float32)
    expected = cv2.warpAffine(photo, matrix, (112, 96), flags=cv2.INTER_LINEAR)
    found = warp(tensor(photo), torch.from_numpy(matrix)[None], (96, 112))[0].permute(1, 2, 0).numpy()
    # OpenCV samples at 1/32 pixel
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert np.abs(found - expected).mean() < 1e-3


def test_far_smaller_is_antialiased(photo):
    # 6 x 6 pixels become one: OpenCV's area mean is the reference, plain bilinear sampling is far from it
    matrix = np.array([[1 / 6, 0, -5 / 12], [0, 1 / 6, -5 / 12]], np.float32)
    noise = np.random.default_rng(1).random((216, 180, 3)).astype(np.float32)
    expected = cv2.resize(noise, (30, 36), interpolation=cv2.INTER_AREA)
    found = warp(tensor(noise), torch.from_numpy(matrix)[None], (36, 30))[0].permute(1, 2, 0).numpy()
    plain = cv2.warpAffine(noise, matrix, (30, 36), flags=cv2.INTER_LINEAR)
    assert np.abs(found - expected)[1:-1, 1:-1].mean() < 0.3 * np.abs(plain - expected)[1:-1, 1:-1].mean()
    assert abs(found.mean() - 0.5) < 0.01


def test_align_brings_each_faces_points_to_the_template():
    points = torch.from_numpy(np.stack([POINTS, POINTS * 0.7 + 20]))
    images = torch.zeros(2, 3, 218, 178)
    for image, (x, y) in zip(images, points[:, 2].tolist(), strict=True):  # a dot on the nose
        rows, columns = torch.meshgrid(torch.arange(218.0), torch.arange(178.0), indexing="ij")
        image[:] = torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18)
    aligned = align(images, points)
    matrix = similarity(points, torch.tensor(ARCFACE_TEMPLATE).expand(2, 5, 2))
    for image, m, nose in zip(aligned, matrix, points[:, 2], strict=True):
        y, x = divmod(int(image[0].argmax()), 112)
        expected = m[:, :2] @ nose + m[:, 2]
        assert torch.hypot(*(torch.tensor([float(x), float(y)]) - expected)) < 1


def test_gradients_pass():
    images = torch.rand(1, 3, 218, 178, requires_grad=True)
    align(images, torch.from_numpy(POINTS)[None]).sum().backward()
    assert images.grad[0, 0, 120, 89] > 0
    assert images.grad[0, 0, 0, 0] == 0  # outside the crop


def test_coinciding_points_are_refused():
    with pytest.raises(ValueError, match=r"`landmarks`.*coincide"):
        align(torch.zeros(1, 3, 50, 50), torch.ones(1, 5, 2))
