"""Between the data's size and the size that a checkpoint paints at, whole frames or a padded box around the mask."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from privacy_exp.types import Images, Masks

NativeImages = Float[Tensor, "n 3 native_h native_w"]
"""RGB in [0, 1] at the checkpoint's size."""

NativeMasks = Bool[Tensor, "n 1 native_h native_w"]
"""True = hidden, at the checkpoint's size."""


class Window(NamedTuple):
    """A box in a frame, in pixels: rows top .. bottom - 1, columns left .. right - 1."""

    top: int
    left: int
    bottom: int
    right: int


def enlarge(
    images: Images, masks: Masks, boxes: list[Window], size: tuple[int, int]
) -> tuple[NativeImages, NativeMasks]:
    """The boxes at the checkpoint's size: images by antialiased bilinear, masks by nearest.

    Where a mask is False at the new size, the image is mixed from kept pixels alone, so that hidden ones don't bleed
    into what the checkpoint is shown as kept.

    Args:
        images: the frames.
        masks: True = hidden.
        boxes: one a frame.
        size: height and width to paint at.
    """
    if set(boxes) == {Window(0, 0, *images.shape[-2:])}:
        return _enlarge(images, masks, size)
    parts = [
        _enlarge(
            images[i : i + 1, :, b.top : b.bottom, b.left : b.right],
            masks[i : i + 1, :, b.top : b.bottom, b.left : b.right],
            size,
        )
        for i, b in enumerate(boxes)
    ]
    return torch.cat([image for image, _ in parts]), torch.cat([mask for _, mask in parts])


def _enlarge(images: Images, masks: Masks, size: tuple[int, int]) -> tuple[NativeImages, NativeMasks]:
    if images.shape[-2:] == size:
        return images, masks
    kept = (~masks).to(images)
    mixed, weight = (_resize(part, size, "bilinear") for part in (images * kept, kept))
    masks_there = functional.interpolate(masks.to(images), size=size, mode="nearest-exact") > 0.5
    shown = mixed / weight.clamp(min=1e-6)
    return torch.where(masks_there, _resize(images, size, "bilinear"), shown).clamp(0, 1), masks_there


def put_back(painted: NativeImages, images: Images, boxes: list[Window]) -> Images:
    """The frames with their boxes replaced by painted ones, resized by antialiased bicubic.

    Args:
        painted: the boxes at the checkpoint's size.
        images: the frames, left untouched.
        boxes: one a frame.
    """
    if set(boxes) == {Window(0, 0, *images.shape[-2:])}:
        return _resize(painted, (images.shape[-2], images.shape[-1]), "bicubic").clamp(0, 1)
    frames = images.clone()
    for frame, part, box in zip(frames, painted, boxes, strict=True):
        size = (box.bottom - box.top, box.right - box.left)
        frame[:, box.top : box.bottom, box.left : box.right] = _resize(part[None], size, "bicubic")[0].clamp(0, 1)
    return frames


def _resize(images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    if images.shape[-2:] == size:
        return images
    return functional.interpolate(images, size=size, mode=mode, antialias=True)


def hidden_cells(masks: Masks, boxes: list[Window], size: tuple[int, int], step: int) -> Float[Tensor, " n"]:
    """Share of each frame whose latent cells are hidden, as diffusers reads the mask.

    Args:
        masks: True = hidden.
        boxes: one a frame.
        size: height and width to paint at.
        step: pixels of that size along a cell.
    """
    _, there = enlarge(masks.float().expand(-1, 3, -1, -1), masks, boxes, size)
    cells = functional.interpolate(there.float(), size=(size[0] // step, size[1] // step))
    areas = [(box.bottom - box.top) * (box.right - box.left) for box in boxes]
    share_of_frame = torch.tensor(areas, device=masks.device) / (masks.shape[-2] * masks.shape[-1])
    return cells.flatten(1).mean(dim=1) * share_of_frame


def whole(masks: Masks) -> list[Window]:
    """The whole frame, for each mask.

    Args:
        masks: True = hidden.
    """
    return [Window(0, 0, *masks.shape[-2:])] * len(masks)


def around(masks: Masks, padding: float, size: tuple[int, int]) -> list[Window]:
    """For each mask the smallest padded box around it, of the checkpoint's proportions where the frame allows.

    Args:
        masks: True = hidden; the whole frame where nothing is.
        padding: margin on each side, as a share of the hidden area's longer side.
        size: height and width whose proportions the boxes take.
    """
    return [_around(mask[0], padding, size) for mask in masks]


def _around(mask: Tensor, padding: float, size: tuple[int, int]) -> Window:
    height, width = mask.shape
    rows, columns = (mask.any(dim=axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    if not rows:
        return Window(0, 0, height, width)
    tall, wide = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    margin = 2 * math.ceil(padding * max(tall, wide))
    tall, wide = tall + margin, wide + margin
    tall, wide = max(tall, math.ceil(wide * size[0] / size[1])), max(wide, math.ceil(tall * size[1] / size[0]))
    top, bottom = _span(rows[0], rows[-1] + 1, tall, height)
    left, right = _span(columns[0], columns[-1] + 1, wide, width)
    return Window(top, left, bottom, right)


def _span(first: int, last: int, length: int, limit: int) -> tuple[int, int]:
    """`length` pixels centred on first .. last, moved inside 0 .. limit; all of it where it is longer."""
    if length >= limit:
        return 0, limit
    start = min(max((first + last - length) // 2, 0), limit - length)
    return start, start + length
