"""Budget arithmetic: from one image's scores to a mask of an exact number of pixels."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from privacy_exp.types import UserError


def hide(
    scores: Float[Tensor, "h w"],
    mask_ratio: float,
    granularity: int,
    allowed: Bool[Tensor, "h w"] | None,
    generator: Generator,
) -> Bool[Tensor, "h w"]:
    """Hides blocks in the order of their mean score, the last one in part: exactly round(mask_ratio · h · w) pixels.

    Args:
        scores: higher = hide first.
        mask_ratio: hidden pixels / all pixels of the frame, in [0, 1].
        granularity: side of a block, in pixels; blocks at the right and bottom edge may be smaller.
        allowed: where pixels may be hidden; None allows the whole frame.
        generator: breaks ties at random. A stable sort on tied scores would hide the top of the image first.

    Raises:
        UserError: the budget exceeds the allowed region, or a score is NaN.

    Example:
        >>> hide(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 0.5, 1, None, Generator())
        tensor([[False, False],
                [ True,  True]])
    """
    height, width = scores.shape
    budget = round(mask_ratio * height * width)
    scores = scores.detach().to("cpu", torch.float64)
    if scores.isnan().any():
        raise UserError("`scores` hold NaN: the masking method failed on this image; try trainer.precision=32.")
    usable = torch.ones(height, width, dtype=torch.bool) if allowed is None else allowed.cpu()
    room = int(usable.sum())
    if budget > room:
        raise UserError(
            f"`mask_ratio` {mask_ratio} asks for {budget} pixels, but the region holds {room} here: "
            f"at most {room / (height * width):.3f} can be hidden; lower the ratio or use `masking.region=frame`."
        )
    blocks, block_count = block_index(height, width, granularity)
    pixels = blocks[usable]
    counts = torch.zeros(block_count, dtype=torch.int64).index_add_(0, pixels, torch.ones_like(pixels))
    sums = torch.zeros(block_count, dtype=torch.float64).index_add_(0, pixels, scores[usable])
    means = torch.where(counts > 0, sums / counts.clamp(min=1), -torch.inf)

    shuffled = torch.randperm(block_count, generator=generator)
    order = shuffled[means[shuffled].argsort(descending=True, stable=True)]
    spent = counts[order].cumsum(0)
    whole = int((spent <= budget).sum())
    chosen = torch.zeros(block_count, dtype=torch.bool)
    chosen[order[:whole]] = True
    mask = chosen[blocks] & usable
    missing = budget - int(mask.sum())
    if missing > 0:
        rows = ((blocks == order[whole]) & usable).flatten().nonzero()[:, 0]
        if torch.rand((), generator=generator) < 0.5:  # from the top or from the bottom, so that neither is favoured
            rows = rows.flip(0)
        mask.view(-1)[rows[:missing]] = True
    return mask


def block_index(height: int, width: int, granularity: int) -> tuple[Int[Tensor, "h w"], int]:
    """The block that each pixel belongs to, numbered row by row, and how many blocks there are."""
    rows = torch.arange(height) // granularity
    columns = torch.arange(width) // granularity
    across = int(columns[-1]) + 1
    return rows[:, None] * across + columns[None], (int(rows[-1]) + 1) * across
