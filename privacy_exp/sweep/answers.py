"""Errors as one paragraph: what is wrong with a command line, what is allowed, and the way out."""

import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from privacy_exp import UserError

RENAMED = {"store.root": "cache.root"}
"""Keys of earlier versions, and what they are called now."""


class ShownError(UserError):
    """A paragraph that is printed as it is."""


def paragraph(error: BaseException, config_name: str, conf: str) -> str | None:
    """What to print in place of a traceback; None for a bug, whose traceback is wanted.

    Args:
        error: whatever a command raised.
        config_name: the command's yaml in conf/, without suffix.
        conf: the config folder.
    """
    cause = _cause(error)
    if isinstance(cause, ShownError):
        return str(cause)
    if isinstance(cause, UserError):
        return f"error: {cause}"
    if isinstance(cause, MissingConfigException):
        return _no_such_option(cause, Path(conf))
    if isinstance(cause, OSError):
        return f"error: {_system(cause)}"
    if isinstance(cause, OverrideParseException):
        key, sign, value = cause.override.partition("=")
        if not sign or not key:
            return f"error: {cause.override!r} is no key=value: write {key or 'KEY'}={value or 'VALUE'}."
        return (
            f"error: {cause.override!r} cannot be read as key=value: a value that holds =, a comma, a bracket, a quote "
            f"or a blank is quoted twice, '{key or 'key'}=\"{value}\"'."
        )
    if isinstance(cause, ValueError) and str(cause).startswith("Config group override must be"):
        wrong = next((line for line in sys.argv[1:] if line.startswith("=")), "=")
        return f"error: {wrong!r} is no key=value: write KEY{wrong}."
    if isinstance(cause, HydraException | OmegaConfBaseException):
        return _composing(" ".join(str(cause).split()), config_name, conf)
    return None


def _cause(error: BaseException) -> BaseException:
    """What went wrong in a part that Hydra was building, or the error itself."""
    while isinstance(error, InstantiationException) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def _system(error: OSError) -> str:
    """The system's words with the file's name first, and without the number."""
    words = error.strerror or str(error)
    return f"{error.filename}: {words}" if error.filename is not None else words


def _no_such_option(error: MissingConfigException, conf: Path) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    known = sorted(error.options or [path.stem for path in (conf / group).glob("*.yaml")])
    if not group or not known:
        return f"error: {' '.join(str(error).split()).partition(' Config search path')[0]}."
    return f"error: there is no {group}={name}{near(name, known)}. The choices for `{group}` are {', '.join(known)}."


def _composing(message: str, config_name: str, conf: str) -> str:
    """An error of composing the configuration in our words."""
    if found := re.match(r"Could not override '(.+?)'\.", message):
        return _unknown_key(found[1], config_name, conf)
    if found := re.match(r"Missing mandatory value: (\S+)", message):
        return f"error: `{found[1]}` must be given: add {found[1]}=VALUE to the command line."
    if found := re.match(r"Ambiguous value for argument '(.+?)' ", message):
        key, _, value = found[1].partition("=")
        return (
            f"error: {found[1]!r} has several values: add -m for a sweep over them, write {key}=[{value}] for a list, "
            f"or quote it, '{key}=\"{value}\"', for one text with commas."
        )
    return f"error: {message}"


def _unknown_key(key: str, config_name: str, conf: str) -> str:
    if key in RENAMED:
        return f"error: `{key}` is called `{RENAMED[key]}` now."
    groups, known = _keys(config_name, conf, key)
    hint = near(key, known + groups)
    where = key.rpartition(".")[0]
    siblings = [name.removeprefix(f"{where}.") for name in known if name.rpartition(".")[0] == where]
    if not siblings:
        where, siblings = "", list(dict.fromkeys(name.partition(".")[0] for name in known + groups))
    place = f"`{where}` has" if where else "The top-level keys are"
    return f"error: there is no key `{key}`{hint}. {place} {', '.join(siblings)}."


def near(name: str, known: list[str]) -> str:
    """Words that name what is near: the whole name, or its last part below another parent; empty where nothing is."""
    found = get_close_matches(name, known, 1)
    if not found:
        last = {key.rpartition(".")[2]: key for key in known}
        found = [last[one] for one in get_close_matches(name.rpartition(".")[2], last, 1, 0.8)]
    return f" (did you mean {found[0]}?)" if found else ""


def _keys(config_name: str, conf: str, wrong: str) -> tuple[list[str], list[str]]:
    """Config groups, and all keys by their dotted names, with the parts that the command line chooses, if it can."""
    given = [line for line in sys.argv[1:] if "=" in line and not line.startswith("-") and "." not in line]
    given = [line for line in given if line.partition("=")[0].lstrip("+~") != wrong]
    for overrides in (given, []):
        try:
            with initialize_config_dir(conf, version_base="1.3"):
                config = compose(config_name, overrides=overrides, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException):
            continue
        groups = [name for name in config.hydra.runtime.choices if not name.startswith("hydra/")]
        return groups, [key for key in _flat(OmegaConf.to_container(config)) if key.partition(".")[0] != "hydra"]
    return [], []


def _flat(node: Any, above: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key in [key for key in node if not str(key).startswith("_")]:
            yield f"{above}{key}"
            yield from _flat(node[key], f"{above}{key}.")
