"""Classes that a file names: looked up and checked before anything of them is made, for a file is data."""

import importlib
import sys
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from privacy_exp import UserError

Kind = TypeVar("Kind")

MAKER = ".from_pretrained"
"""The one method that a file may name in place of a class's constructor."""


def class_named(name: Any, kind: type[Kind], source: object, trust: Collection[str] = ()) -> type[Kind]:
    """A class by its dotted name.

    Only this package, packages that the caller trusts, and modules that are imported already may be named: nothing else
    is imported because a file says so.

    Args:
        name: such as "privacy_exp.data.celeba.CelebA".
        kind: what it must be a subclass of.
        source: the file, for messages.
        trust: packages besides this one.

    Raises:
        UserError: a name of another package, of nothing, or of something else than such a class.
    """
    module, _, own = str(name).rpartition(".")
    if module.split(".")[0] not in ("privacy_exp", *trust) and module not in sys.modules:
        raise UserError(
            f"{source} names {name}, which is not a part of privacy_exp: a file runs no code of its own choosing. If "
            f"you trust that package, say so: trust=[{module.split('.')[0]}] with `privacy-exp evaluate` or in Python; "
            "elsewhere name one of its classes in the configuration, which imports it."
        )
    try:
        found = getattr(importlib.import_module(module), own)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{source} names {name}, which can't be imported here: {error}") from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(f"{source} names {name}, which is not a {kind.__name__}.")
    return found


def make_named(
    described: Mapping[str, Any],
    kind: type[Kind],
    source: object,
    trust: Collection[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> Kind:
    """An object as a file describes it: its class by name, and plain values for its arguments.

    Args:
        described: `_target_` and arguments.
        kind: what it must be.
        source: the file, for messages.
        trust: packages besides this one.
        changes: arguments that differ now; they are the caller's own.

    Raises:
        UserError: as `class_named`; or arguments that describe further objects, or that the class does not take.
    """
    target = str(described.get("_target_"))
    made = class_named(target.removesuffix(MAKER), kind, source, trust)
    if getattr(made, "starts_code", False):
        raise UserError(
            f"{source} names a {made.__name__}, which starts code that its arguments name: a file runs no code of its "
            "own choosing."
        )
    make = getattr(made, MAKER[1:], made) if target.endswith(MAKER) else made
    arguments = {name: value for name, value in described.items() if not name.startswith("_")}
    if nested := [name for name, value in arguments.items() if _describes(value)]:
        raise UserError(f"{source} describes an object inside `{nested[0]}`; only plain values are taken from a file.")
    try:
        return make(**{**arguments, **(changes or {})})
    except (TypeError, AttributeError, KeyError) as error:  # arguments of other kinds than it takes
        raise UserError(f"{source} describes a {made.__name__} that can't be made here: {error}.") from error


def _describes(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(_describes(one) for one in value.values())
    return isinstance(value, list) and any(_describes(one) for one in value)
