"""Tables that users write: one reader for csv files whose rows are keyed by a column, such as the image's path."""

import codecs
import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from privacy_exp.data.photo import BadDataError

SHOWN = 5


class Table(NamedTuple):
    """A checked table.

    Attributes:
        path: its file.
        columns: names of the columns besides the key, in the file's order.
        rows: key to cells by column, in the file's order; cells are stripped.
        lines: key to the line of the file.
    """

    path: Path
    columns: list[str]
    rows: dict[str, dict[str, str]]
    lines: dict[str, int]


class Matched(NamedTuple):
    """A table whose rows were matched with files.

    Attributes:
        rows: file name, as the caller writes it, to cells by column.
        unmatched: rows that name no file.
    """

    rows: dict[str, dict[str, str]]
    unmatched: list[str]


def read_table(
    path: Path, columns: Sequence[str] | None, key: str | None = None, *, blank_cells: bool = False
) -> Table:
    """Reads a csv file with a header line.

    Separators may be commas, semicolons or tabs; line ends, a byte-order mark (of UTF-8, or of UTF-16 as spreadsheets
    write it) and spaces around cells do not matter.

    Args:
        path: the file.
        columns: names that must be there besides the key; None takes the table's own.
        key: the column that names a row; None takes the first.
        blank_cells: whether cells besides the key may be empty.

    Raises:
        FileNotFoundError: no such file.
        BadDataError: no header, a column that is missing, without a name or named twice, a row of another width, an
            empty cell, or a key named twice; the message names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no table {path}.")
    lines = _lines(path)
    if not lines:
        raise BadDataError(f"{path} is empty; it must start with a line of column names.")
    header = [name.strip() for name in lines[0][1]]
    key = header[0] if key is None else key
    missing = [name for name in (key, *(columns or ())) if name not in header]
    if missing:
        wanted = ", ".join((key, *(columns or ())))
        raise BadDataError(f"{path} needs the columns {wanted} in its first line, but has {', '.join(header)}.")
    if "" in header:
        raise BadDataError(
            f"The first line of {path} has no name for column {header.index('') + 1}. Name it, or remove the column: a "
            "comma at the end of each line makes one."
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise BadDataError(f"The first line of {path} names the column {twice[0]!r} twice. Rename or remove one.")
    table = Table(path, [name for name in header if name != key], {}, {})
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise BadDataError(
                f"Line {number} of {path} has {len(cells)} columns, but the first line names {len(header)}."
            )
        row = dict(zip(header, cells, strict=True))
        name = row.pop(key)
        empty = [
            column for column, cell in {key: name, **row}.items() if not cell and not (blank_cells and column != key)
        ]
        if empty:
            raise BadDataError(f"Line {number} of {path} leaves {empty[0]} empty. Fill it in, or remove the line.")
        if name in table.rows:
            raise BadDataError(
                f"Line {number} of {path} names {name} a second time, after line {table.lines[name]}. Remove one."
            )
        table.rows[name], table.lines[name] = row, number
    return table


class FileNames:
    """Finds the file that a table's row means.

    Names are compared after normalising: slashes of either kind, a leading `./` or the folder's own path, letters
    composed or not (NFC); and, where only one file fits, without suffix or without folders.

    Args:
        names: the files, with forward slashes, relative to `root`.
        root: their folder.

    Example:
        >>> FileNames(["ann/1.jpg", "bob/2.jpg"]).find("./ann/1.png")
        'ann/1.jpg'
    """

    def __init__(self, names: Iterable[str], root: Path | None = None) -> None:
        self.names = {normal_name(name): name for name in names}
        self.prefix = None if root is None else normal_name(f"{root.absolute()}/")
        self.looser = [_unambiguous(self.names, short) for short in (_stem, _last, lambda name: _stem(_last(name)))]

    def find(self, key: str) -> str | None:
        """The file's name as it was given, or None."""
        clean = normal_name(key)
        if self.prefix is not None:
            clean = clean.removeprefix(self.prefix)
        if clean in self.names:
            return self.names[clean]
        by_stem, by_last, by_last_stem = self.looser
        found = by_stem.get(_stem(clean))
        if found is None and "/" not in clean:
            found = by_last.get(clean) or by_last_stem.get(_stem(clean))
        return found


def match_files(table: Table, files: FileNames) -> Matched:
    """Rows of a table by the files they mean.

    Args:
        table: its key is a path relative to the files' folder.
        files: what there is.

    Raises:
        BadDataError: no row names a file, or two rows mean one file.
    """
    found: dict[str, dict[str, str]] = {}
    origin: dict[str, str] = {}
    unmatched = []
    for key, row in table.rows.items():
        name = files.find(key)
        if name is None:
            unmatched.append(key)
        elif name in found:
            raise BadDataError(
                f"Line {table.lines[key]} of {table.path} names {name} a second time, after line "
                f"{table.lines[origin[name]]} ({origin[name]!r} and {key!r} are one file). Remove one of the lines."
            )
        else:
            found[name], origin[name] = row, key
    if not found:
        refuse_foreign(table.path, table.rows, files)
    return Matched(found, unmatched)


def refuse_foreign(path: Path, rows: Iterable[str], files: FileNames) -> None:
    """Refuses a table that names none of the images.

    Raises:
        BadDataError: always.
    """
    example, some = next(iter(rows), "no image at all"), next(iter(files.names.values()), "no file at all")
    raise BadDataError(
        f"{path} names none of the images: its first row says {example!r}, an image is {some!r}. Write paths relative "
        "to the folder of the images."
    )


def left_over(table: Table, matched: Matched) -> list[str]:
    """One line that counts the rows that name no image; none where all do."""
    if not matched.unmatched:
        return []
    some = ", ".join(matched.unmatched[:SHOWN]) + (", …" if len(matched.unmatched) > SHOWN else "")
    n = len(matched.unmatched)
    return [f"rows of {table.path.name} that name no image: {n} of {len(table.rows)}, such as {some}"]


def normal_name(name: str) -> str:
    """A relative path as names are compared: forward slashes, no leading `./`, composed letters."""
    clean = unicodedata.normalize("NFC", name.strip().replace("\\", "/"))
    while clean.startswith("./"):
        clean = clean[2:]
    return clean


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0] if "." in _last(name) else name


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _unambiguous(names: Mapping[str, str], short: Callable[[str], str]) -> dict[str, str]:
    """Files by a shorter form of their names, where only one file has it."""
    count = Counter(short(clean) for clean in names)
    return {short(clean): name for clean, name in names.items() if count[short(clean)] == 1}


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The file's lines that are not blank, each with its number and stripped cells."""
    raw = path.read_bytes()
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = raw.decode("utf-16" if wide else "utf-8-sig", errors="replace" if wide else "surrogateescape")
    first = text.lstrip().split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    numbered = [(rows.line_num, [cell.strip() for cell in row]) for row in rows]
    return [(number, cells) for number, cells in numbered if any(cells)]
