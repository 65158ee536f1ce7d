"""Anybody's choice of what to hide as a command: a folder of pictures goes out, a folder of masks comes back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Generator, nn

from privacy_exp.masking.base import OwnArea
from privacy_exp.runs.exchange import Exchange, Pixels
from privacy_exp.runs.folder import levels
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False)
class MaskCommand(OwnArea):
    """Hands pictures to a command that writes a mask of each: white = hidden, black = kept, always PNG.

    `{input}` stands for a folder of pictures, `{output}` for an empty one, which takes masks of the same names and
    sizes. The command is split into words as a shell would do it, but no shell runs it.

    Args:
        command: such as `tool {input} {output}`.
        version: a command that prints the tool's version, which becomes part of every key.
        workers: starts of the command at a time; each gets its share of a batch.
        timeout: seconds that a start may take.
        format: of the files that it is given: "png", "bmp", or "jpg" for tools that read nothing else.

    Raises:
        UserError: a command that cannot be started, fails, takes too long, or returns anything but such masks.

    Example:
        >>> white = MaskCommand("cp -r {input}/. {output}")
        >>> bool(white.mask(Faces(["a"], torch.ones(1, 3, 8, 8))).all())
        True
    """

    blind = True
    draws = False
    starts_code = True
    without_effect = frozenset({"workers", "timeout"})

    command: str
    version: str | None = None
    workers: int = 1
    timeout: float = 600.0
    format: str = "png"
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self.exchange = Exchange(self.command, self.version, self.workers, self.timeout, self.format, returned="png")

    def keys(self) -> dict[str, Any]:
        """What the tool says its version is, and the digests of the files that the command names."""
        return self.exchange.keys()

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """1 where the command hides a pixel."""
        del recognizer, generators
        masks = self.exchange(faces.ids, list(levels(faces.images)))
        rows = [_hidden(mask, name) for mask, name in zip(masks, faces.ids, strict=True)]
        return torch.stack(rows)[:, None].to(faces.images) if rows else faces.images[:, :1]


def _hidden(mask: Pixels, name: str) -> torch.Tensor:
    """Where a mask is white.

    Raises:
        UserError: it is grey or coloured somewhere.
    """
    grey = (mask != 0) & (mask != 255) | (mask != mask[..., :1])
    if grey.any():
        raise UserError(
            f"`command` must write masks of black (kept) and white (hidden), 0 and 255, but that of {name} holds "
            f"{int(np.sort(mask[grey])[0])} in {grey.any(-1).mean():.0%} of its pixels."
        )
    return torch.from_numpy(mask[..., 0] == 255)
