"""Pictures handed to a program of somebody else as a folder, and the folder of the same names that comes back."""

import re
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from privacy_exp.cache.keys import file_digest
from privacy_exp.runs.folder import FAULTS, THREADS
from privacy_exp.runs.formats import FORMATS
from privacy_exp.runs.tool import ToolError, run_tool
from privacy_exp.types import UserError, number

Pixels = UInt8[np.ndarray, "..."]
"""RGB (h w 3), or a mask (h w), in 8 bits."""

SAVED: dict[str, dict[str, Any]] = FORMATS | {"png": {"compress_level": 0}, "bmp": {}}
"""How pictures are handed over: packing files that are deleted at once would take longer than all else."""

KINDS = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP"}
SHELL = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"})


class Exchange:
    """A command that is given folders of pictures and fills another one, checked before it is started.

    The command is split into words as a shell would do it, but no shell runs it.

    Args:
        command: with the places `{input}` and `{output}`.
        version: a command that prints the tool's version; None where it has none to print.
        workers: starts of the command at a time; each gets its share of the pictures.
        timeout: seconds that a start may take.
        format: of the files that it is given: "png", "jpg" or "bmp".
        returned: of the files that it gives back; None: the same.
        further: places that the command may name besides, each a folder of pictures more.

    Raises:
        UserError: a command that cannot be started, and later one that fails, takes too long, or returns other files
            than it should.
    """

    def __init__(
        self,
        command: str,
        version: str | None,
        workers: int,
        timeout: float,
        format: str,
        returned: str | None = None,
        further: Sequence[str] = (),
    ) -> None:
        self.words = _words_of("command", command)
        self.places = _places(self.words, ("input", "output", *further))
        self.version = None if version is None else _words_of("version", version)
        if number("workers", workers) < 1 or workers != int(workers):
            raise UserError(f"`workers` must be a whole number of at least 1, but got {workers}.")
        if number("timeout", timeout) <= 0:
            raise UserError(f"`timeout` must be above 0 seconds, but got {timeout}.")
        if format not in SAVED:
            raise UserError(f"`format` must be one of {', '.join(SAVED)}, but got {format!r}.")
        self.workers, self.timeout, self.format = int(workers), float(timeout), format
        self.returned = returned or format
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

    def __call__(
        self, names: Sequence[str], pictures: Sequence[Pixels], masks: Sequence[Pixels] | None = None
    ) -> list[Pixels]:
        """What the command makes of the pictures, each of its own size.

        Args:
            names: of the pictures, for errors alone: the files are numbered.
            pictures: RGB.
            masks: the pictures of the place `{masks}`, always PNG; None where the command has no such place.
        """
        parts = [rows for rows in np.array_split(np.arange(len(names)), self.workers) if len(rows)]

        def some(rows: np.ndarray) -> list[Pixels]:
            own = None if masks is None else [masks[row] for row in rows]
            return self._some([names[row] for row in rows], [pictures[row] for row in rows], own)

        with ThreadPoolExecutor(self.workers) as pool:
            return [picture for part in pool.map(some, parts) for picture in part]

    def _some(self, names: list[str], pictures: list[Pixels], masks: list[Pixels] | None) -> list[Pixels]:
        """One start of the command."""
        with tempfile.TemporaryDirectory(prefix="privacy_exp-") as root:
            folders = {name: Path(root) / name for name in self.places}
            for folder in folders.values():
                folder.mkdir()
            stems = [f"{place:05}" for place in range(len(names))]
            _save(folders["input"], stems, pictures, self.format)
            if masks is not None:
                _save(folders["masks"], stems, masks, "png")
            sizes = [picture.shape[1::-1] for picture in pictures]
            try:
                run_tool([_filled(word, folders) for word in self.words], self.timeout, "command")
                return _collected(folders["output"], stems, sizes, self.returned)
            except ToolError as error:
                raise UserError(f"{error} (of the pictures {names[0]} to {names[-1]})") from error


def _save(folder: Path, stems: Sequence[str], pictures: Sequence[Pixels], suffix: str) -> None:
    def save(stem: str, picture: Pixels) -> None:
        Image.fromarray(picture).save(folder / f"{stem}.{suffix}", **SAVED[suffix])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(save, stems, pictures))


def _words_of(key: str, command: Any) -> list[str]:
    """A command's words.

    Raises:
        UserError: no text, no words, an open quotation mark, or what only a shell understands.
    """
    if not isinstance(command, str) or not command.strip():
        raise UserError(f"`{key}` must be a command such as 'tool {{input}} {{output}}', but got {command!r}.")
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


def _places(words: Sequence[str], known: Sequence[str]) -> set[str]:
    """The places that a command names."""
    places = {place for word in words for place in re.findall(r"\{(\w*)\}", word)}
    if odd := sorted(places - set(known)):
        *first, last = (f"{{{place}}}" for place in known)
        raise UserError(f"`command` knows the places {', '.join(first)} and {last}, but holds {{{odd[0]}}}.")
    for needed in ("input", "output"):
        if needed not in places:
            raise UserError(
                f"`command` must say where {{{needed}}} goes, as in 'tool {{input}} {{output}}', but got "
                f"{shlex.join(words)!r}."
            )
    return places


def _filled(word: str, folders: dict[str, Path]) -> str:
    """A word with the folders in their places."""
    return re.sub(r"\{(\w*)\}", lambda place: str(folders[place[1]]), word)


def _collected(folder: Path, stems: Sequence[str], sizes: Sequence[tuple[int, ...]], suffix: str) -> list[Pixels]:
    """The results of a command, in the order of the stems.

    Raises:
        ToolError: other files, sizes or formats; named.
    """
    names = [f"{stem}.{suffix}" for stem in stems]
    found = {path.name: path for path in sorted(folder.iterdir())}
    missing, extra = sorted(set(names) - set(found)), sorted(set(found) - set(names))
    if missing or extra:
        odd = ((missing, "missing"), (extra, "extra"))
        told = [f"{len(some)} are {what}, such as {some[0]}" for some, what in odd if some]
        raise ToolError(
            f"`command` must write a file of the same name for each of {len(names)} pictures, but {' and '.join(told)}"
        )
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda name, size: _read(found[name], size, KINDS[suffix]), names, sizes))


def _read(path: Path, size: tuple[int, ...], kind: str) -> Pixels:
    if path.is_symlink() or not path.is_file():
        raise ToolError(f"`command` must write pictures themselves, but {path.name} is a link or a folder")
    try:
        with Image.open(path) as image:
            is_kind, is_size, pixels = image.format, image.size, np.array(image.convert("RGB"))
    except FAULTS as error:
        raise ToolError(f"`command` wrote {path.name}, which cannot be read as a picture ({error})") from error
    if is_kind != kind:
        raise ToolError(f"`command` must write {kind} files, but {path.name} is {is_kind}; see `format`")
    if is_size != size:
        got, wanted = ("x".join(map(str, one)) for one in (is_size, size))
        raise ToolError(f"`command` must leave a picture's size as it is, {wanted}, but {path.name} is {got}")
    return pixels


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError("`version` must print the tool's version, but printed nothing.")
    return lines[0]
