"""Anybody's anonymiser as a command: a folder of pictures goes out, a folder of the same names comes back."""

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Generator

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.runs.exchange import Exchange, Pixels
from privacy_exp.runs.folder import levels
from privacy_exp.types import Faces, Images, Masks, UserError


@final
class Command(Inpainter):
    """Hands pictures to a command and takes back what it made of them.

    The command is split into words as a shell would do it, but no shell runs it. `{input}` stands for a folder of
    pictures, `{output}` for an empty one, which takes results of the same names, sizes and format. With `{masks}` the
    command is given a folder of masks, too (white = hidden), and kept pixels stay as they are; without it the command
    decides itself what it changes, and masking=everything is the only method that goes with it.

    Args:
        command: such as `tool {input} {output}`.
        version: a command that prints the tool's version, which becomes part of every key.
        workers: starts of the command at a time; each gets its share of a batch.
        timeout: seconds that a start may take.
        format: of the files: "png"; "bmp", which is written and read faster; or "jpg" for tools that read nothing else.
            What JPEG loses counts as a change.
        whole: the tool finds faces by itself. `anonymize photos=` then hands it whole photos in place of crops.

    Raises:
        UserError: a command that cannot be started, fails, takes too long, or returns other files than it should.

    Example:
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> copy = Command("cp -r {input}/. {output}")
        >>> bool((copy(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool)) - faces.images).abs().max() < 1 / 255)
        True
    """

    reads_hidden = True
    starts_code = True
    without_effect = frozenset({"workers", "timeout"})

    def __init__(
        self,
        command: str,
        version: str | None = None,
        workers: int = 1,
        timeout: float = 600.0,
        format: str = "png",
        whole: bool = False,
    ) -> None:
        self.exchange = Exchange(command, version, workers, timeout, format, further=("masks",))
        self.takes_masks = "masks" in self.exchange.places
        self.whole = whole
        if whole and self.takes_masks:
            raise UserError("`whole` leaves it to the tool what it changes: leave {masks} out of `command`.")

    def keys(self) -> dict[str, Any]:
        """What the tool says its version is, and the digests of the files that the command names."""
        return self.exchange.keys()

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """What the command makes of the faces."""
        del generators
        hidden = list(levels(masks)) if self.takes_masks else None
        return as_images(self.exchange(faces.ids, list(levels(faces.images)), hidden), faces.images)

    def photos(self, names: Sequence[str], photos: Sequence[Pixels]) -> list[Pixels]:
        """What the command makes of whole photos, each of its own size.

        Args:
            names: of the photos, for errors.
            photos: RGB in 8 bits.
        """
        return self.exchange(names, photos)


def as_images(pictures: Sequence[Pixels], like: Images) -> Images:
    """Pictures of one size as a batch in [0, 1], where and in the type that another one is."""
    if not pictures:
        return like
    return torch.stack([torch.from_numpy(one) for one in pictures]).permute(0, 3, 1, 2).to(like).div_(255)
