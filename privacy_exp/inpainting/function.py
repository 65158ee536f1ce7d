"""Anybody's anonymiser as a Python function of images, or of images and masks."""

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import packages_distributions, version
from typing import Any, final

import torch
from torch import Generator

from privacy_exp.cache.sources import LIBRARIES, sources
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.types import Faces, Masks, UserError


@final
class Function(Inpainter):
    """Calls a function of another package: images in, images out.

    It takes images (RGB in [0, 1], n 3 h w), and as a second argument masks (True = hidden, n 1 h w) where it has one;
    without masks it decides itself what it changes, and masking=everything is the only method that goes with it. It
    must not depend on the batch, for batches differ between runs.

    Args:
        function: the dotted name of a function that can be imported, or the function itself.

    Raises:
        UserError: no such function, or one that takes other arguments.

    Example:
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> Function("torch.zeros_like")(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool)).max().item()
        0.0
    """

    reads_hidden = True
    starts_code = True

    def __init__(self, function: str | Callable[..., Any]) -> None:
        self.name = function if isinstance(function, str) else _name(function)
        self._arguments = {"function": self.name}  # a record holds names
        self.function = _named(self.name)
        self.takes_masks = _takes_masks(self.function, self.name)

    def keys(self) -> dict[str, Any]:
        """The version of an installed package; else the digest of the function's code and of what that imports."""
        top = self.name.partition(".")[0]
        if str(getattr(sys.modules[top], "__file__", "")).startswith(LIBRARIES):
            names = packages_distributions().get(top, [])
            return {"versions": {name: version(name) for name in sorted(set(names))}}
        return {"code": sources(self.name)}

    @torch.no_grad()
    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Any:
        """What the function makes of the faces; the base checks it."""
        del generators
        return self.function(faces.images.clone(), *([masks.clone()] if self.takes_masks else []))


def _name(function: Callable[..., Any]) -> str:
    name = f"{getattr(function, '__module__', None)}.{getattr(function, '__qualname__', '')}"
    try:
        known = _named(name) is function
    except UserError:
        known = False
    if not known:
        raise UserError(
            f"`function` must be one that others can import by its name, but got {function!r}: define it with `def` at "
            "the top of a module."
        )
    return name


def _named(name: str) -> Callable[..., Any]:
    module, _, own = name.rpartition(".")
    try:
        found = getattr(import_module(module), own) if module else None
    except (ImportError, AttributeError) as error:
        raise UserError(f"`function` names {name!r}, which cannot be imported ({error}).") from error
    if not callable(found) or isinstance(found, type):
        raise UserError(f"`function` must be a function's dotted name, such as package.module.name, but got {name!r}.")
    return found


def _takes_masks(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # of a function in C nothing is known
        return False
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    odd = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if len(needed) not in (1, 2) or odd:
        raise UserError(
            f"`function` must take images, or images and masks, but {name} takes {inspect.signature(function)}: wrap "
            "it in one of your own."
        )
    return len(needed) == 2
