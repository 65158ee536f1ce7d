"""Checkpoints of recognisers: a file of plain dicts, tensors and strings, read without unpickling code."""

import io
import os
import pickle
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from privacy_exp.cache.files import write_bytes
from privacy_exp.cache.named import class_named
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.weights import load_weights
from privacy_exp.types import UserError

CHECKPOINT = "recognizer.ckpt"
"""Name of the checkpoint in a run folder."""

FORMAT = "privacy_exp.recognizer/2"
KEYS = ("class", "config", "identities", "frame_size", "points", "prototypes", "state_dict")


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
        "frame_size": recognizer.frame_size,
        "points": recognizer.points,
        "prototypes": None if recognizer.prototypes is None else recognizer.prototypes.detach().cpu(),
        "state_dict": {name: value.detach().cpu() for name, value in recognizer.state_dict().items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(Path(path), buffer.getvalue())


def load_checkpoint(
    path: str | os.PathLike[str], identities: Sequence[str] | None = None, trust: Collection[str] = ()
) -> Recognizer:
    """Builds a recogniser from a checkpoint, in evaluation mode on the CPU.

    Args:
        path: the file, or a run folder that holds it.
        identities: of the data it shall be used on, label by label; None skips the check.
        trust: packages besides this one whose recognisers a checkpoint may name; what is imported already may be named
            anyway.

    Raises:
        FileNotFoundError: no such file, or a folder without one.
        UserError: not a checkpoint of this format, damaged, or of other people than `identities`.
    """
    file = checkpoint_file(path)
    content = _read(file)
    if identities is not None:
        _check_identities(file, content["identities"], identities)
    kind = class_named(content["class"], Recognizer, file, trust)  # type: ignore[type-abstract]  # any of them
    try:
        recognizer = kind(**content["config"])
    except TypeError as error:
        raise UserError(f"{file} was made by another version of {kind.__name__}: {_first_lines(error)}") from error
    load_weights(recognizer, content["state_dict"], file, kind.__name__)
    recognizer.prototypes = content["prototypes"]
    if content["frame_size"] is not None:
        height, width = content["frame_size"]
        recognizer.fitted_on(height, width, content["points"])
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
    wanted = {n: v for n, v in state.items() if not n.startswith(taken_out)}
    try:
        load_weights(recognizer.trunk, wanted, file, f"the trunk of {type(recognizer).__name__}")
    except UserError as error:
        raise UserError(
            f"`init_from` must be a checkpoint of the same architecture as {type(recognizer).__name__}, but {file} "
            f"holds {content['class'].rsplit('.', 1)[-1]}: {error}"
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
    if file.suffix.lower() == ".onnx":
        raise UserError(
            f"{file} is an ONNX model, not a fitted recogniser. Fit a head on it with recognition=onnx "
            f"recognition.net.model={file}."
        )
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(_unpickling_message(file)) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:  # any text
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
    lacking = [name for name in KEYS if name not in content]
    if lacking:
        raise UserError(f"{file} lacks {', '.join(lacking)}: it was cut or edited. Copy it again, or fit anew.")
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


def _first_lines(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines()[:2])[:300]
