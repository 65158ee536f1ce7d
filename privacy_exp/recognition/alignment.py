"""Five-point alignment to a template as a warp that gradients pass through."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from privacy_exp.types import Images, Landmarks, UserError

ARCFACE_TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Where ArcFace-style embedders expect the five points, in pixels of a 112 x 112 crop (insightface)."""

ARCFACE_SIZE = 112


def arcface_points(size: int) -> Float[Tensor, "5 2"]:
    """The ArcFace template in pixels of a square of `size`."""
    return torch.tensor(ARCFACE_TEMPLATE) * (size / ARCFACE_SIZE)


def similarity(source: Landmarks, target: Landmarks) -> Float[Tensor, "n 2 3"]:
    """The turn, scale and shift (no mirror) that brings `source` closest to `target` in least squares.

    Args:
        source: points in pixels.
        target: the same points where they should land.

    Raises:
        UserError: the five points of a face coincide.

    Reference: Umeyama, Least-squares estimation of transformation parameters, 1991; in the plane, one complex factor.
    """
    source_mean, target_mean = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    s, t = source - source_mean, target - target_mean
    spread = s.square().sum((1, 2))
    if bool((spread < 1e-6).any()):
        raise UserError("`landmarks` of a face must be five different points, but they coincide.")
    cosine = (s * t).sum((1, 2)) / spread
    sine = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(1) / spread
    turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    shift = target_mean.mT - turn @ source_mean.mT
    return torch.cat([turn, shift], 2)


def warp(
    images: Float[Tensor, "n c h w"],
    matrices: Float[Tensor, "n 2 3"],
    size: tuple[int, int],
    padding: str = "zeros",
) -> Float[Tensor, "n c a b"]:
    """Moves pixel (x, y) of each image to `matrix @ (x, y, 1)` on a frame of another size.

    Bilinear, pixel centres at whole numbers, as `cv2.warpAffine`. Bilinear sampling reads 2×2 pixels, so below half
    size some would never be read: such images are first resized with antialiasing.

    Args:
        images: any channels.
        matrices: one an image.
        size: (height, width) of the result, in pixels.
        padding: what lies outside the image: "zeros", or "border" for the nearest pixel.
    """
    scale = float(torch.linalg.vector_norm(matrices[:, :, 0].double(), dim=1).min())
    if scale < 0.5:
        images, matrices = _shrink(images, matrices, scale)
    grid = sampling_grid(matrices, (images.shape[2], images.shape[3]), size)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=True)


def sampling_grid(
    matrices: Float[Tensor, "n 2 3"], source: tuple[int, int], size: tuple[int, int]
) -> Float[Tensor, "n a b 2"]:
    """Where `grid_sample` (with aligned corners) reads each pixel of a frame of `size`.

    Args:
        matrices: see `warp`.
        source: (height, width) of the images, in pixels.
        size: (height, width) of the result, in pixels.
    """
    height, width = source
    where = _sources(matrices, size)
    return 2 * where / where.new_tensor([max(width - 1, 1), max(height - 1, 1)]) - 1


def inside(matrices: Float[Tensor, "n 2 3"], source: int, size: tuple[int, int]) -> Bool[Tensor, "n 1 a b"]:
    """Which pixels of `warp`'s result come from inside a square image of side `source`."""
    where = _sources(matrices, size)
    return ((where >= -0.5) & (where <= source - 0.5)).all(3)[:, None]


def _sources(matrices: Float[Tensor, "n 2 3"], size: tuple[int, int]) -> Float[Tensor, "n a b 2"]:
    """Where each pixel of a frame of `size` comes from, (x, y) in pixels of the source."""
    y, x = (torch.arange(side, dtype=matrices.dtype, device=matrices.device) for side in size)
    y, x = torch.meshgrid(y, x, indexing="ij")
    points = torch.stack([x.reshape(-1), y.reshape(-1)])
    back = torch.linalg.inv(matrices[:, :, :2])  # of 2 × 2: a solver takes twenty times as long for so many points
    return (back @ points - back @ matrices[:, :, 2:]).mT.reshape(-1, *size, 2)


def align(images: Images, landmarks: Landmarks, size: int = ARCFACE_SIZE) -> Float[Tensor, "n 3 s s"]:
    """Each face turned, scaled and moved so that its five points lie on the ArcFace template.

    Args:
        images: in [0, 1].
        landmarks: five points a face, in pixels of `images`.
        size: side of the result, in pixels.
    """
    target = arcface_points(size).to(landmarks).expand_as(landmarks)
    return warp(images, similarity(landmarks, target).to(images), (size, size))


def _shrink(
    images: Float[Tensor, "n c h w"], matrices: Float[Tensor, "n 2 3"], scale: float
) -> tuple[Float[Tensor, "n c a b"], Float[Tensor, "n 2 3"]]:
    """Resizes the images by about `scale` and corrects the matrices to count in the smaller pixels."""
    height, width = images.shape[2:]
    small = (max(round(height * scale), 1), max(round(width * scale), 1))
    # A smaller pixel's centre p stands at (p + 0.5) * ratio - 0.5 of the larger image.
    ratio = matrices.new_tensor([width / small[1], height / small[0]])
    turn = matrices[:, :, :2] * ratio
    shift = matrices[:, :, 2:] + matrices[:, :, :2] @ ((ratio - 1) / 2).reshape(2, 1)
    images = F.interpolate(images, small, mode="bilinear", antialias=True, align_corners=False)
    return images, torch.cat([turn, shift], 2)
