"""Objects that know how they were made: their class and their arguments, as plain values."""

import inspect
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar


class Configured:
    """Remembers the arguments of its constructor, defaults included, so that an object says how to make it again.

    Example:
        >>> class Part(Configured):
        ...     def __init__(self, size: int = 3) -> None:
        ...         self.side = size
        >>> Part().arguments
        {'size': 3}
    """

    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Arguments that change no figure, such as batch sizes: they are part of no key."""

    starts_code: ClassVar[bool] = False
    """Whether it starts code that its arguments name, such as a command: no file may have such a one made."""

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **keys: Any) -> Any:
        """Notes the arguments before the constructor sees them."""
        made = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        try:
            bound = signature.bind(None, *args, **keys)
        except TypeError:
            return made  # unpickled or copied, or about to fail in __init__ with Python's own message
        bound.apply_defaults()
        values = dict(list(bound.arguments.items())[1:])
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                values |= values.pop(name, {})
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                values.pop(name, None)  # of a class without a constructor
        object.__setattr__(made, "_arguments", values)
        return made

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the constructor was given, by name, with its defaults."""
        return self._arguments


def dotted(kind: type) -> str:
    """Where a class is found: its module and its name."""
    return f"{kind.__module__}.{kind.__qualname__}"


def description(part: Any, keys_only: bool = False) -> Any:
    """How to make an object again, as plain values: `_target_` and its arguments, of parts within parts too.

    Args:
        part: a `Configured` object, or plain values, lists and dicts that may hold some.
        keys_only: leave out what changes no figure.
    """
    if isinstance(part, Configured):
        hidden = part.without_effect if keys_only else frozenset()
        own = {name: description(v, keys_only) for name, v in part.arguments.items() if name not in hidden}
        return {"_target_": dotted(type(part)), **own}
    if isinstance(part, Mapping):
        return {str(name): description(value, keys_only) for name, value in part.items()}
    if isinstance(part, partial):
        target = f"{part.func.__module__}.{getattr(part.func, '__qualname__', '')}"
        return {"_target_": target, **description(dict(part.keywords), keys_only)}
    if isinstance(part, Sequence) and not isinstance(part, str | bytes):
        return [description(value, keys_only) for value in part]
    return os.fspath(part) if isinstance(part, os.PathLike) else part
