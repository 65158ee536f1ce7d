"""Anybody's anonymiser as a command: a folder of pictures goes out, a folder of the same names comes back."""

import re
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL import Image
from torch import Generator

from privacy_exp.cache.keys import file_digest
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.settings import number
from privacy_exp.inpainting.tool import ToolError, run_tool
from privacy_exp.runs.folder import FAULTS, to_pillow
from privacy_exp.runs.formats import FORMATS
from privacy_exp.types import Faces, Images, Masks, UserError

KINDS = {"png": "PNG", "jpg": "JPEG"}
PLACES = ("input", "output", "masks")
SHELL = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"})


@final
class Command(Inpainter):
    """Hands pictures to a command and takes back what it made of them.

    The command is split into words as a shell would do it, but no shell runs it. `{input}` stands for a folder of
    pictures, `{output}` for an empty one, which takes results of the same names, sizes and format. With `{masks}` the
    command is given a folder of masks, too (white = hidden), and kept pixels stay as they are; without it the command
    decides itself what it changes, and masking=everything is the only method that goes with it.

    Args:
        command: such as `deface {input} -o {output}`.
        version: a command that prints the tool's version, which becomes part of every key.
        workers: starts of the command at a time; each gets its share of a batch.
        timeout: seconds that a start may take.
        format: of the files: "png", or "jpg" for tools that read nothing else.

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
    ) -> None:
        self.words = words_of("command", command)
        self.takes_masks = _check_places(self.words)
        self.version = None if version is None else words_of("version", version)
        if number("workers", workers) < 1 or workers != int(workers):
            raise UserError(f"`workers` must be a whole number of at least 1, but got {workers}.")
        if number("timeout", timeout) <= 0:
            raise UserError(f"`timeout` must be above 0 seconds, but got {timeout}.")
        if format not in FORMATS:
            raise UserError(f"`format` must be one of {', '.join(FORMATS)}, but got {format!r}.")
        self.workers, self.timeout, self.format = int(workers), float(timeout), format
        for words in (self.words, *([self.version] if self.version else [])):
            if shutil.which(words[0]) is None:
                raise UserError(
                    f"`command` starts {words[0]!r}, which is not there. Install it, activate its environment, or give "
                    "its whole path."
                )

    def keys(self) -> dict[str, Any]:
        """What the tool says its version is, and the digests of the files that the command names."""
        files = [Path(shutil.which(self.words[0]) or ""), *map(Path, self.words[1:])]
        said = None if self.version is None else _first_line(run_tool(self.version, self.timeout, "version"))
        return {"version": said, "files": [file_digest(file) for file in files if file.is_file()]}

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """What the command makes of the faces."""
        del generators
        parts: list[list[int]] = [rows.tolist() for rows in np.array_split(np.arange(len(faces.ids)), self.workers)]
        with ThreadPoolExecutor(self.workers) as pool:
            done = list(
                pool.map(lambda rows: self._some(Faces.__getitem__(faces, rows), masks[rows]), filter(None, parts))
            )
        return torch.cat(done).to(faces.images) if done else faces.images

    def _some(self, faces: Faces, masks: Masks) -> Images:
        """One start of the command."""
        with tempfile.TemporaryDirectory(prefix="privacy_exp-") as root:
            folders = {name: Path(root) / name for name in PLACES}
            for folder in folders.values():
                folder.mkdir()
            names = [f"{place:05}.{self.format}" for place in range(len(faces.ids))]
            for name, image, mask in zip(names, faces.images, masks, strict=True):
                to_pillow(image).save(folders["input"] / name, **FORMATS[self.format])
                if self.takes_masks:
                    to_pillow(mask).save(folders["masks"] / f"{Path(name).stem}.png")
            words = [filled(word, folders) for word in self.words]
            try:
                run_tool(words, self.timeout, "command")
                height, width = faces.images.shape[2:]
                return collect(folders["output"], names, (width, height), KINDS[self.format])
            except ToolError as error:
                raise UserError(f"{error} (of the pictures {faces.ids[0]} to {faces.ids[-1]})") from error


def words_of(key: str, command: Any) -> list[str]:
    """A command's words.

    Args:
        key: of the configuration.
        command: as it would be typed.

    Raises:
        UserError: no text, no words, an open quotation mark, or what only a shell understands.
    """
    if not isinstance(command, str) or not command.strip():
        raise UserError(f"`{key}` must be a command such as 'deface {{input}} -o {{output}}', but got {command!r}.")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"`{key}` cannot be split into words ({error}): {command!r}.") from error
    if odd := [word for word in words if word in SHELL]:
        raise UserError(
            f"`{key}` is run without a shell, which alone understands {odd[0]!r}: put the line into a script and name "
            "the script."
        )
    return words


def filled(word: str, folders: dict[str, Path]) -> str:
    """A word with the folders in their places."""
    return re.sub(r"\{(\w*)\}", lambda place: str(folders[place[1]]), word)


def collect(folder: Path, names: Sequence[str], size: tuple[int, int], kind: str) -> Images:
    """The results of a command, in the order of the names.

    Args:
        folder: that it was given.
        names: of the files that it must hold, and no others.
        size: width and height of each.
        kind: Pillow's name of their format.

    Raises:
        ToolError: other files, sizes or formats; named.
    """
    found = {path.name: path for path in sorted(folder.iterdir())}
    missing, extra = sorted(set(names) - set(found)), sorted(set(found) - set(names))
    if missing or extra:
        odd = ((missing, "missing"), (extra, "extra"))
        told = [f"{len(some)} are {what}, such as {some[0]}" for some, what in odd if some]
        raise ToolError(
            f"`command` must write a file of the same name for each of {len(names)} pictures, but {' and '.join(told)}"
        )
    return torch.stack([_read(found[name], size, kind) for name in names])


def _read(path: Path, size: tuple[int, int], kind: str) -> torch.Tensor:
    if path.is_symlink() or not path.is_file():
        raise ToolError(f"`command` must write pictures themselves, but {path.name} is a link or a folder")
    try:
        with Image.open(path) as image:
            is_kind, is_size, pixels = image.format, image.size, np.asarray(image.convert("RGB"))
    except FAULTS as error:
        raise ToolError(f"`command` wrote {path.name}, which cannot be read as a picture ({error})") from error
    if is_kind != kind:
        raise ToolError(f"`command` must write {kind} files, but {path.name} is {is_kind}; see `format`")
    if is_size != size:
        got, wanted = ("x".join(map(str, one)) for one in (is_size, size))
        raise ToolError(f"`command` must leave a picture's size as it is, {wanted}, but {path.name} is {got}")
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def _check_places(words: Sequence[str]) -> bool:
    """Whether the command takes masks."""
    places = {place for word in words for place in re.findall(r"\{(\w*)\}", word)}
    if odd := sorted(places - set(PLACES)):
        raise UserError(f"`command` knows the places {{input}}, {{output}} and {{masks}}, but holds {{{odd[0]}}}.")
    for needed in ("input", "output"):
        if needed not in places:
            raise UserError(
                f"`command` must say where {{{needed}}} goes, as in 'deface {{input}} -o {{output}}', but got "
                f"{shlex.join(words)!r}."
            )
    return "masks" in places


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError("`version` must print the tool's version, but printed nothing.")
    return lines[0]
