"""Where checkpoints lie, a folder, a part of the package or the hub, and what libraries say while they are read."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from diffusers.utils import logging as diffusers_logging
from huggingface_hub import constants, get_session, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from transformers.utils import logging as transformers_logging

from privacy_exp.types import UserError

_Loaded = TypeVar("_Loaded")

# What a message about weights names. Safe: a LoRA without a text encoder's part, and a buffer of old checkpoints.
_ABOUT_WEIGHTS = re.compile(r"\bweights\b|\bkeys?\b", re.IGNORECASE)
_SAFE = re.compile(r"safe to ignore|position_ids")


def resolve(checkpoint: str, name: str = "checkpoint") -> str:
    """The folder or hub id that a `checkpoint` key means.

    Args:
        checkpoint: folder, path inside the package that begins with `privacy_exp/`, or hub id.
        name: of the key, for the error.

    Raises:
        UserError: for anything but a text.
        FileNotFoundError: where it can only be a folder and is not there.
    """
    if not isinstance(checkpoint, str) or not checkpoint:
        raise UserError(f"`{name}` must be a folder or a hub id (owner/name), but got {checkpoint!r}.")
    if checkpoint.startswith("privacy_exp/"):
        inside = Path(str(files("privacy_exp"))).joinpath(*checkpoint.split("/")[1:])
        if not inside.exists():
            raise FileNotFoundError(f"`{name}` names {checkpoint}, but the installed package has no {inside}.")
        return str(inside)
    path = Path(checkpoint).expanduser()
    if path.exists():
        return str(path)
    if checkpoint.startswith(("/", ".", "~")) or checkpoint.count("/") != 1:
        raise FileNotFoundError(f"`{name}` must be a folder or a hub id (owner/name), but there is no {checkpoint}.")
    return checkpoint


def cached_first(load: Callable[[bool], _Loaded], place: str, name: str = "checkpoint") -> _Loaded:
    """Load from disk alone, and only where that fails from the hub.

    Args:
        load: is told whether it must stay on this machine.
        place: what `resolve` found.
        name: of the key, for the error.

    Raises:
        ConnectionError: where it is not in the cache and the hub can't be reached or refuses.
    """
    with heard() as said:
        loaded = _load(load, place, name)
    for message in said:  # what is wrong with weights is an error already; this is the rest
        warnings.warn(f"`{name}` {place}: {message}", stacklevel=3)
    return loaded


def _load(load: Callable[[bool], _Loaded], place: str, name: str) -> _Loaded:
    if Path(place).exists():
        return load(True)
    try:
        return load(True)
    except (OSError, HFValidationError) as missing:
        try:
            _reach()
            return load(False)
        except (OSError, HfHubHTTPError, HFValidationError) as refused:
            raise ConnectionError(
                f"`{name}` is {place}, which is neither a folder nor whole in the hub's cache ({first_line(missing)}), "
                f"and the hub did not give it ({first_line(refused)}). Check the name and the revision, fetch it once "
                "with network, or give the path of a folder."
            ) from refused


def _reach() -> None:
    """Fails at once where the hub is out of reach: its client would try again for half a minute, a line each time."""
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception as error:  # whose class depends on the hub's client, which changes between its versions
        raise ConnectionError(first_line(error)) from error


def commit(place: str, file: str, revision: str | None) -> str | None:
    """The commit that a hub id means on this machine, so that keys and records don't follow a branch that moves.

    Args:
        place: what `resolve` found.
        file: one that was loaded from there.
        revision: what was asked for.

    Returns:
        The commit; `revision` itself for a folder, or where the cache does not say.
    """
    if Path(place).exists():
        return revision
    found = try_to_load_from_cache(place, file, revision=revision)
    return Path(found).parents[file.count("/")].name if isinstance(found, str) else revision


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop; its class where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(". ")


class _Ear(logging.Handler):
    """Keeps what is said about weights."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = " ".join(record.getMessage().split())
        if _ABOUT_WEIGHTS.search(message) and not _SAFE.search(message):
            self.said.append(message)


@contextmanager
def heard() -> Iterator[list[str]]:
    """No bars and no chatter while parts load, and a list of what the libraries say about weights."""
    libraries = [diffusers_logging, transformers_logging]
    levels = [library.get_verbosity() for library in libraries]
    bars = [library.is_progress_bar_enabled() for library in libraries]
    ear = _Ear()
    for library in libraries:
        library.disable_progress_bar()
        library.set_verbosity(logging.WARNING)
        library.disable_default_handler()
        library.add_handler(ear)
    try:
        yield ear.said
    finally:
        for library, level, bar in zip(libraries, levels, bars, strict=True):
            library.remove_handler(ear)
            library.enable_default_handler()
            library.set_verbosity(level)
            if bar:
                library.enable_progress_bar()
