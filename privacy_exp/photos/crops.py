"""Between a photo and the aligned crop of one face: cut out, and pasted back with a feathered seam."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from privacy_exp.recognition.alignment import similarity, warp
from privacy_exp.types import Images

Pixels = UInt8[np.ndarray, "_ _ 3"]
Matrix = Float[Tensor, "2 3"]

CELEBA_SIZE = (218, 178)
CELEBA_POINTS = ((69.5, 111.0), (108.0, 111.0), (88.5, 134.5), (72.5, 152.5), (105.5, 152.5))
"""The frame that faces are aligned to, in pixels: CelebA's, as (height, width) and five points."""

FEATHER = 0.02
"""Width of the seam outside the mask, as a share of the crop's width."""


def frame_points(size: tuple[int, int]) -> Float[Tensor, "5 2"]:
    """Where the five points lie on a crop of this (height, width)."""
    scale = torch.tensor([size[1] / CELEBA_SIZE[1], size[0] / CELEBA_SIZE[0]])
    return (torch.tensor(CELEBA_POINTS) + 0.5) * scale - 0.5


def placement(landmarks: Float[np.ndarray, "5 2"], size: tuple[int, int]) -> Matrix:
    """The turn, scale and shift that bring a face of a photo onto the frame."""
    return similarity(torch.from_numpy(landmarks)[None].float(), frame_points(size)[None])[0]


def window(matrix: Matrix, size: tuple[int, int], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the photo that the crop covers."""
    height, width = size
    corners = torch.tensor([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], dtype=torch.float32)
    back = torch.linalg.inv(matrix[:, :2])
    places = (corners - matrix[:, 2]) @ back.T
    low, high = places.min(0).values.floor() - 2, places.max(0).values.ceil() + 3
    left, right = (int(v.clamp(0, shape[1])) for v in (low[0], high[0]))
    top, bottom = (int(v.clamp(0, shape[0])) for v in (low[1], high[1]))
    return slice(top, bottom), slice(left, right)


def cut(pixels: Pixels, matrix: Matrix, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """The aligned crop of a face, RGB in [0, 1]; beyond the photo's edge its border is repeated."""
    rows, columns = window(matrix, size, pixels.shape[:2])
    part = torch.from_numpy(np.ascontiguousarray(pixels[rows, columns])).permute(2, 0, 1)[None].float() / 255
    return warp(part, _moved(matrix, rows, columns)[None], size, padding="border")[0].clamp(0, 1)


def paste(
    pixels: Pixels,
    result: Float[Tensor, "3 h w"],
    mask: Bool[Tensor, "1 h w"],
    matrix: Matrix,
    territory: Bool[np.ndarray, "H W"] | None = None,
) -> Bool[np.ndarray, "H W"]:
    """Puts the repainted part of a crop into the photo, in place; all other pixels stay as they are, bit for bit.

    Args:
        pixels: the photo, which is changed.
        result: the repainted crop, RGB in [0, 1].
        mask: True = hidden; the seam lies outside of it, where the crop shows the photo itself.
        matrix: see `placement`.
        territory: where this face may be pasted; None allows the whole photo.

    Returns:
        Which pixels of the photo were changed or might have been.
    """
    size = (int(result.shape[1]), int(result.shape[2]))
    rows, columns = window(matrix, size, pixels.shape[:2])
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    touched = np.zeros(pixels.shape[:2], bool)
    if 0 in shape:
        return touched
    back = _inverse(_moved(matrix, rows, columns))[None]
    alpha = warp(_feathered(mask)[None], back, shape)[0, 0].numpy()
    if territory is not None:
        alpha = np.where(territory[rows, columns], alpha, 0.0)
    painted = warp(result[None], back, shape, padding="border")[0].permute(1, 2, 0).numpy() * 255
    old = pixels[rows, columns]
    mixed = np.rint(old + alpha[..., None] * (painted - old)).clip(0, 255).astype(np.uint8)
    changes = alpha > 0
    pixels[rows, columns] = np.where(changes[..., None], mixed, old)
    touched[rows, columns] = changes
    return touched


def territories(
    places: list[Matrix], size: tuple[int, int], shape: tuple[int, int]
) -> list[Bool[np.ndarray, "H W"] | None]:
    """Where each face of a photo may be painted: a pixel belongs to the face whose middle is nearest, in its own crop.

    None for faces whose crops meet no other.
    """
    windows = [window(matrix, size, shape) for matrix in places]
    result: list[Bool[np.ndarray, "H W"] | None] = []
    middle = frame_points(size).mean(0)
    distances = {}
    for i, own in enumerate(windows):
        others = [j for j, other in enumerate(windows) if j != i and _meet(own, other)]
        if not others:
            result.append(None)
            continue
        for j in (i, *others):
            if j not in distances:
                distances[j] = _distance(places[j], middle, shape)
        nearest = np.ones(shape, bool)
        for j in others:
            nearest &= (distances[i] < distances[j]) | ((distances[i] == distances[j]) & (i < j))
        result.append(nearest)
    return result


def stack(crops: list[Float[Tensor, "3 h w"]]) -> Images:
    """Crops as a batch."""
    return torch.stack(crops)


def _meet(a: tuple[slice, slice], b: tuple[slice, slice]) -> bool:
    return all(x.start < y.stop and y.start < x.stop for x, y in zip(a, b, strict=True))


def _distance(matrix: Matrix, middle: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Distance from the middle of a face, in pixels of its crop, for every pixel of the photo."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    m = matrix.numpy()
    u = m[0, 0] * x + m[0, 1] * y + m[0, 2] - float(middle[0])
    v = m[1, 0] * x + m[1, 1] * y + m[1, 2] - float(middle[1])
    return np.hypot(u, v)


def _feathered(mask: Bool[Tensor, "1 h w"]) -> Float[Tensor, "1 h w"]:
    """1 on the mask, falling to exactly 0 outside of it."""
    reach = max(1, round(FEATHER * mask.shape[-1]))
    side = 2 * reach + 1
    wide = F.max_pool2d(mask[None].float(), side, stride=1, padding=reach)
    soft = F.avg_pool2d(wide, side, stride=1, padding=reach, count_include_pad=False)[0]
    return torch.where(mask, 1.0, torch.where(soft > 1e-4, soft, 0.0))


def _moved(matrix: Matrix, rows: slice, columns: slice) -> Matrix:
    """The same placement, counted in pixels of a window of the photo."""
    corner = torch.tensor([columns.start, rows.start], dtype=matrix.dtype)
    return torch.cat([matrix[:, :2], (matrix[:, 2] + matrix[:, :2] @ corner)[:, None]], 1)


def _inverse(matrix: Matrix) -> Matrix:
    back = torch.linalg.inv(matrix[:, :2])
    return torch.cat([back, -(back @ matrix[:, 2])[:, None]], 1)
