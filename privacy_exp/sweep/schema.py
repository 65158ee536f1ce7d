"""The parts of a configuration held against the signatures of their classes, before anything is built."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from privacy_exp import UserError
from privacy_exp.sweep.answers import near

MISSING = "???"
WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid array": "a list",
    "a valid list": "a list",
    "a valid tuple": "a list",
    "an object": "a mapping",
    "Field required": "a longer list",
}
"""Pydantic's words for what is allowed, and those of a command line."""


def check_parts(config: DictConfig) -> None:
    """Checks every part that names its class: each key is an argument of it, none is missing, and types fit.

    Raises:
        UserError: the key by its full name, what is allowed and what came.
    """
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)  # noqa: S101  a DictConfig always gives a dict
    for place, part in _parts(plain):
        _check_part(place, part)


def _parts(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield place, dict(node)
        for name, inner in node.items():
            yield from _parts(inner, f"{place}.{name}" if place else str(name))


def _check_part(place: str, part: dict[str, Any]) -> None:
    try:
        call = get_object(part["_target_"])
    except (ImportError, ValueError) as error:
        raise UserError(f"`{place}._target_` names {part['_target_']}, which cannot be imported: {error}.") from error
    known, required, anything = _arguments(call)
    for key, value in part.items():
        if key.startswith("_"):
            continue
        name = f"{place}.{key}"
        if key not in known and not anything:
            raise UserError(
                f"there is no key `{name}`{near(key, list(known))}. {part['_target_'].rpartition('.')[2]} takes "
                f"{', '.join(known) or 'no keys'}."
            )
        if value == MISSING:
            raise UserError(f"`{name}` must be given: add {name}=VALUE to the command line.")
        if key in known and not any(True for _ in _parts(value)):
            check_value(name, value, known[key])
    missing = [] if part.get("_partial_") else [name for name in required if name not in part]
    if missing:
        raise UserError(f"`{place}.{missing[0]}` must be given: add {place}.{missing[0]}=VALUE to the command line.")


@cache
def _arguments(call: Callable[..., Any]) -> tuple[dict[str, Any], list[str], bool]:
    """The types of the arguments by name, the names of those without a default, and whether others are taken too."""
    function = call.__init__ if inspect.isclass(call) else call
    hints = get_type_hints(function)
    known: dict[str, Any] = {}
    required, anything = [], False
    for name, parameter in inspect.signature(call).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            given = get_args(hints.get(name))  # Unpack[Keys]
            anything = not given
            known |= get_type_hints(given[0]) if given else {}
            if anything and inspect.ismethod(call):  # from_pretrained: keys of the constructor and of its groups
                known |= _grouped(call.__self__)
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            known[name] = hints.get(name, Any)
            if parameter.default is parameter.empty:
                required.append(name)
    return known, required, anything


def _grouped(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind.__init__)
    groups = [one for hint in hints.values() for one in (hint, *get_args(hint)) if is_dataclass(one)]
    return {name: hint for group in groups for name, hint in get_type_hints(group).items()}


def check_value(name: str, value: Any, hint: Any) -> None:
    """Holds a plain value against a type.

    Args:
        name: of the key, for the message.
        value: as yaml has it.
        hint: what is allowed.

    Raises:
        UserError: the value is of another type.
    """
    try:
        _adapter(hint).validate_json(json.dumps(value))
    except (PydanticUserError, TypeError):
        return  # a type that plain values have no notion of
    except ValidationError as error:
        found = error.errors()
        if any(one["type"] in ("is_instance_of", "callable_type") for one in found):
            return  # an object, which the class itself checks
        place = next((one["loc"] for one in found if one["loc"] and isinstance(one["loc"][-1], int)), ())
        allowed = list(dict.fromkeys(_words(one["msg"]) for one in found))
        allowed += ["null"] * (type(None) in get_args(hint))
        entry = f" in entry {place[-1]}" if place and isinstance(place[-1], int) else ""
        raise UserError(f"`{name}` must be {' or '.join(allowed)}{entry}, but got {_shown(value)}.") from None


@cache
def _adapter(hint: Any) -> Any:  # beartype, in tests, doesn't know what a TypeAdapter[...] is
    return TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True))


def _words(message: str) -> str:
    allowed = message.removeprefix("Input should be ")
    return WORDS.get(allowed, allowed)


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)
