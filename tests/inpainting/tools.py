"""Tools as somebody else might write them: each a small script, and functions that another package could have."""

import sys
from pathlib import Path

import torch

SCRIPT = """
import sys, time
from pathlib import Path
from PIL import Image, ImageOps
source, target = map(Path, sys.argv[1:3])
names = sorted(path.name for path in source.iterdir())
def invert(name, to=None):
    ImageOps.invert(Image.open(source / name).convert("RGB")).save(target / (to or name))
"""

WHOLE = "for name in names: invert(name)"


def tool(folder: Path, body: str, arguments: str = "{input} {output}") -> str:
    """A command that runs a script with this body."""
    script = folder / "tool.py"
    script.write_text(SCRIPT + body)
    return f"{sys.executable} {script} {arguments}"


def mirrored(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    return images.flip(3)


def negative(images: torch.Tensor) -> torch.Tensor:
    return 1 - images


def greyed(images: torch.Tensor) -> torch.Tensor:
    """Changes the upper half."""
    half = images.shape[2] // 2
    images[:, :, :half] = images[:, :, :half].mean(1, keepdim=True)
    return images


def half_of_them(images: torch.Tensor) -> torch.Tensor:
    return images[::2]


def needs_more(images: torch.Tensor, masks: torch.Tensor, strength: float) -> torch.Tensor:
    return images
