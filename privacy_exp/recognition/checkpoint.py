"""Checkpoints of recognisers: a file of plain dicts, tensors and strings, read without unpickling code."""

import importlib
import io
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from privacy_exp.cache.files import write_bytes
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import UserError

CHECKPOINT = "recognizer.ckpt"
"""Name of the checkpoint in a run folder."""

FORMAT = "privacy_exp.recognizer/2"


def save_checkpoint(path: str | os.PathLike[str], recognizer: Recognizer, identities: Sequence[str]) -> None:
    """Writes all that is needed to build the recogniser again, whole or not at all.

    Args:
        path: the file.
        recognizer: fitted.
        identities: label to the data's own name.

    Raises:
        UserError: as many names as classes are needed.
    """
    if len(identities) != recognizer.num_classes:
        raise UserError(
            f"`identities` must name the {recognizer.num_classes} classes of the recogniser, "
            f"but got {len(identities)} names."
        )
    kind = type(recognizer)
    content = {
        "format": FORMAT,
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "config": {**recognizer.arguments, **recognizer.fitted},
        "identities": list(identities),
        "prototypes": None if recognizer.prototypes is None else recognizer.prototypes.detach().cpu(),
        "state_dict": {name: value.detach().cpu() for name, value in recognizer.state_dict().items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(Path(path), buffer.getvalue())


def load_checkpoint(path: str | os.PathLike[str], identities: Sequence[str] | None = None) -> Recognizer:
    """Builds a recogniser from a checkpoint, in evaluation mode on the CPU.

    Args:
        path: the file, or a run folder that holds it.
        identities: of the data it shall be used on, label by label; None skips the check.

    Raises:
        FileNotFoundError: no such file, or a folder without one.
        UserError: not a checkpoint of this format, damaged, or of other people than `identities`.
    """
    file = checkpoint_file(path)
    content = _read(file)
    if identities is not None:
        _check_identities(file, content["identities"], identities)
    recognizer = _class(file, content["class"])(**content["config"])
    try:
        recognizer.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise UserError(f"{file}: its weights do not fit {content['class']}: {_first_lines(error)}") from error
    recognizer.prototypes = content["prototypes"]
    return recognizer.eval()


def checkpoint_identities(path: str | os.PathLike[str]) -> list[str]:
    """Label to the data's own name of each identity that a checkpoint (file or run folder) knows."""
    return list(_read(checkpoint_file(path))["identities"])


def load_trunk(recognizer: Recognizer, path: str | os.PathLike[str]) -> None:
    """Copies the trunk of a checkpoint into `recognizer`; the head and its people stay behind.

    So do layers that `recognizer` has taken out, as the original study did with FaceNet's last BatchNorm.

    Args:
        recognizer: of the same kind as the checkpoint's.
        path: the file, or a run folder that holds it.

    Raises:
        FileNotFoundError: no such file.
        UserError: damaged, or of another architecture.
    """
    file = checkpoint_file(path)
    content = _read(file)
    state = {n.removeprefix("trunk."): v for n, v in content["state_dict"].items() if n.startswith("trunk.")}
    taken_out = tuple(f"{n}." for n, part in recognizer.trunk.named_modules() if isinstance(part, nn.Identity))
    try:
        recognizer.trunk.load_state_dict({n: v for n, v in state.items() if not n.startswith(taken_out)})
    except RuntimeError as error:
        raise UserError(
            f"`init_from` must be a checkpoint of the same architecture as {type(recognizer).__name__}, but {file} "
            f"holds {content['class'].rsplit('.', 1)[-1]}: {_first_lines(error)}"
        ) from error


def checkpoint_file(path: str | os.PathLike[str]) -> Path:
    """The checkpoint that `path` means: itself, or `recognizer.ckpt` in a run folder.

    Raises:
        FileNotFoundError: there is none.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        place = place / CHECKPOINT
    if not place.is_file():
        raise FileNotFoundError(
            f"`recognition.checkpoint` and `recognition.init_from` take a checkpoint or a run folder with a "
            f"{CHECKPOINT} in it, but there is no {place}."
        )
    return place


def _read(file: Path) -> dict[str, Any]:
    """The file's content, checked to be a checkpoint."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(_unpickling_message(file)) from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise UserError(
            f"{file} is damaged, as after a broken copy or download ({_first_lines(error)}). Copy it again, or fit "
            "anew."
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        kind = content.get("format", "without a format mark") if isinstance(content, dict) else type(content).__name__
        raise UserError(
            f"{file} is not a recogniser's checkpoint (expected {FORMAT}, found {str(kind)[:60]}). `privacy_exp.train` "
            f"writes one to each run folder as {CHECKPOINT}."
        )
    return content


def _unpickling_message(file: Path) -> str:
    with file.open("rb") as stream:
        start = stream.read(2)
    if start in (b"PK", b"\x80\x02"):
        return (
            f"{file} holds pickled objects, such as a whole module, and is refused: unpickling runs code. Save its "
            "state_dict where you trust it, or fit anew with recognition.checkpoint=null."
        )
    return f"{file} is not a checkpoint: it starts with {start!r}. Is it a web page saved under this name?"


def _check_identities(file: Path, known: list[str], asked: Sequence[str]) -> None:
    if len(known) != len(asked):
        raise UserError(
            f"`recognition.checkpoint` {file} tells {len(known)} people apart, but the data has {len(asked)}. Choose "
            "the data it was fitted on (data.manifest=RUN/manifest.csv repeats a split), or fit anew."
        )
    other = [f"label {i} is {a!r}, not {b!r}" for i, (a, b) in enumerate(zip(known, asked, strict=True)) if a != b]
    if other:
        raise UserError(
            f"`recognition.checkpoint` {file} knows other people than the data: {other[0]} ({len(other)} differ). "
            "Choose the data it was fitted on, or fit anew."
        )


def _class(file: Path, name: str) -> type[Recognizer]:
    """The recogniser's class by its dotted name; nothing but a `Recognizer` is accepted."""
    module, _, attribute = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{file} was made by {name}, which can't be imported here: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Recognizer)):
        raise UserError(f"{file} was made by {name}, which is not a Recognizer.")
    return kind


def _first_lines(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines()[:2])[:300]
