"""Masks to train an inpainter with: everything that a masking method may hide, drawn at random."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn import functional

from privacy_exp.types import Masks

Plane = Bool[Tensor, "s s"]
Points = Float[Tensor, "5 2"]
Box = tuple[float, float, float, float]

RATIOS = (0.08, 0.92)
"""Hidden share of the frame where the kind of mask leaves it open."""


def sample_masks(count: int, size: int, points: Points, generator: Generator) -> Masks:
    """Random masks, a third of them over the face.

    Args:
        count: how many.
        size: side of the frame, in pixels.
        points: mean landmarks as shares of the frame, ordered as `Landmarks`.
        generator: decides all.
    """
    kinds = list(KINDS)
    weights = torch.tensor([KINDS[kind] for kind in kinds])
    chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
    face = face_box(points)
    return torch.stack([kinds[int(kind)](size, face, generator) for kind in chosen])[:, None]


def face_box(points: Points) -> Box:
    """Centre x, centre y and half axes of the inner face, as shares of the frame.

    From brow to chin the inner face spans 2.7 times the way from eyes to mouth; it is 2.2 inter-ocular distances wide.

    Args:
        points: landmarks as shares of the frame.
    """
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = float(mouth[1] - eyes[1])
    wide = float((points[1] - points[0]).norm())
    return float(eyes[0]), float(eyes[1]) + 0.35 * down, 1.1 * wide, 1.35 * down


def _uniform(low: float, high: float, generator: Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _hide_highest(scores: Float[Tensor, "s s"], share: float) -> Plane:
    count = max(1, round(share * scores.numel()))
    hidden = torch.zeros(scores.numel(), dtype=torch.bool)
    hidden[scores.flatten().topk(count).indices] = True
    return hidden.view_as(scores)


def _smooth(size: int, cells: int, generator: Generator) -> Float[Tensor, "s s"]:
    """Noise with features of about size / cells pixels, of unit spread."""
    noise = torch.randn((1, 1, cells, cells), generator=generator)
    smooth = functional.interpolate(noise, size=(size, size), mode="bicubic", align_corners=False)[0, 0]
    return smooth / smooth.std().clamp(min=1e-6)


def _cells(generator: Generator, least: int = 3, most: int = 9) -> int:
    return int(torch.randint(least, most + 1, (), generator=generator))


def _grid(size: int) -> tuple[Tensor, Tensor]:
    steps = (torch.arange(size) + 0.5) / size
    return steps[None, :], steps[:, None]


def patches(size: int, face: Box, generator: Generator) -> Plane:
    """Square patches of a regular grid."""
    del face
    side = (4, 8, 8, 16)[int(torch.randint(4, (), generator=generator))] * size // 64
    cells = -(-size // max(side, 1))
    hidden = _hide_highest(torch.rand((cells, cells), generator=generator), _uniform(*RATIOS, generator))
    return hidden.repeat_interleave(side, 0).repeat_interleave(side, 1)[:size, :size]


def rectangles(size: int, face: Box, generator: Generator) -> Plane:
    """One to three boxes anywhere."""
    del face
    x, y = _grid(size)
    hidden = torch.zeros((size, size), dtype=torch.bool)
    for _ in range(int(torch.randint(1, 4, (), generator=generator))):
        cx, cy = (_uniform(0.1, 0.9, generator) for _ in range(2))
        w, h = (_uniform(0.08, 0.4, generator) for _ in range(2))
        hidden |= ((x - cx).abs() < w) & ((y - cy).abs() < h)
    return hidden


def blobs(size: int, face: Box, generator: Generator) -> Plane:
    """Islands of smooth noise."""
    del face
    return _hide_highest(_smooth(size, _cells(generator), generator), _uniform(*RATIOS, generator))


def attribution(size: int, face: Box, generator: Generator) -> Plane:
    """What a saliency map hides: islands drawn to the face, often in blocks."""
    x, y = _grid(size)
    cx, cy, half_w, half_h = face
    pull = -(((x - cx) / half_w) ** 2 + ((y - cy) / half_h) ** 2)
    scores = _smooth(size, _cells(generator, 4, 16), generator) + _uniform(0.3, 2, generator) * pull
    block = (1, 4, 8)[int(torch.randint(3, (), generator=generator))] * size // 64
    if block > 1 and size % block == 0:
        means = functional.avg_pool2d(scores[None, None], block)[0, 0]
        scores = means.repeat_interleave(block, 0).repeat_interleave(block, 1)
    return _hide_highest(scores, _uniform(*RATIOS, generator))


def oval(size: int, face: Box, generator: Generator) -> Plane:
    """The whole inner face, with a margin that varies."""
    x, y = _grid(size)
    cx, cy, half_w, half_h = face
    cx, cy = cx + _uniform(-0.04, 0.04, generator), cy + _uniform(-0.04, 0.04, generator)
    half_w, half_h = (half * _uniform(0.85, 1.3, generator) for half in (half_w, half_h))
    return ((x - cx) / half_w) ** 2 + ((y - cy) / half_h) ** 2 < 1


def part(size: int, face: Box, generator: Generator) -> Plane:
    """A band of the face: eyes, nose or mouth with some of their surroundings."""
    x, y = _grid(size)
    cx, cy, half_w, half_h = face
    middle = cy + half_h * _uniform(-0.7, 0.7, generator)
    wide, tall = half_w * _uniform(0.5, 1.2, generator), half_h * _uniform(0.2, 0.5, generator)
    return ((x - cx).abs() < wide) & ((y - middle).abs() < tall)


def everything(size: int, face: Box, generator: Generator) -> Plane:
    """The whole frame."""
    del face, generator
    return torch.ones((size, size), dtype=torch.bool)


KINDS: dict[Callable[[int, Box, Generator], Plane], float] = {
    patches: 0.2,
    rectangles: 0.1,
    blobs: 0.1,
    attribution: 0.2,
    oval: 0.28,
    part: 0.07,
    everything: 0.05,
}
"""How often each kind is drawn."""
