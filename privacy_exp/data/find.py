"""Which image files a folder holds, and what in it is passed over."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from privacy_exp.data.files import UNREAD, is_image
from privacy_exp.data.photo import BadDataError

OF_PROGRAMS = ("@", "#", "__macosx", "lost+found", "$recycle.bin")
"""How the names of folders begin in which other programs keep thumbnails and bins."""

PARTS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"}
"""Names under which data sets keep their parts."""


class Found(NamedTuple):
    """What a folder holds.

    Attributes:
        names: paths of the images relative to the folder, with forward slashes, in sorted order.
        passed_over: one line for each kind of thing that was not taken, with a count.
    """

    names: list[str]
    passed_over: list[str]


def find_images(root: Path) -> Found:
    """All images below `root`, linked folders included.

    Args:
        root: the folder.
    """
    names, unread, foreign, loops = list[str](), Counter[str](), Counter[str](), list[str]()
    broken = list[str]()
    for folder, files in walk(root, (), foreign, loops):
        for name in files:
            if is_image(name):
                names.append((folder / name).relative_to(root).as_posix())
            elif name.startswith("."):
                continue
            elif not (folder / name).exists():
                broken.append(str(folder / name))
            elif name.lower().endswith(UNREAD):
                unread[Path(name).suffix.lower()] += 1
    lines = [f"files of a kind that is not read ({suffix}): {count}" for suffix, count in sorted(unread.items())]
    lines += [f"images in folders of other programs ({name}): {count}" for name, count in sorted(foreign.items())]
    lines += [f"links to a folder above them: {len(loops)}, such as {loops[0]}"] if loops else []
    lines += [f"links to what is not there: {len(broken)}, such as {broken[0]}"] if broken else []
    return Found(sorted(names), lines)


def walk(
    folder: Path, above: tuple[Path, ...], foreign: Counter[str], loops: list[str]
) -> Iterator[tuple[Path, list[str]]]:
    """Folders below `folder` with their files; links are followed, but not in circles.

    Args:
        folder: where to begin.
        above: the folders it lies in, resolved.
        foreign: counts images in folders of other programs, which are not entered.
        loops: takes links that lead back.
    """
    real = folder.resolve()
    if real in above:
        loops.append(str(folder))
        return
    entries = sorted(folder.iterdir())
    yield folder, [entry.name for entry in entries if not entry.is_dir()]
    for entry in entries:
        if not entry.is_dir() or entry.name.startswith("."):
            continue
        if entry.name.lower().startswith(OF_PROGRAMS):
            inside = sum(is_image(name) for _, _, files in os.walk(entry) for name in files)
            foreign.update({entry.name: inside} if inside else {})
        else:
            yield from walk(entry, (*above, real), foreign, loops)


def refuse_parts(root: Path, names: Sequence[str]) -> None:
    """Refuses a root whose first-level folders are a data set's parts: they would be people called train and test.

    Raises:
        BadDataError: the first level is train, val and the like, and people's folders lie below.
    """
    first = {name.split("/", 1)[0] for name in names}
    deep = all(name.count("/") >= 2 for name in names)
    if deep and first and {name.casefold() for name in first} <= PARTS:
        parts = sorted(first)
        raise BadDataError(
            f"`root` must hold one folder per person, but {root} holds {', '.join(parts)}, which look like parts of a "
            f"data set. Set data.root={root / parts[0]}, or copy the people of all parts into one folder."
        )


def refuse_undecodable(people: Iterable[str], what: str = "folders") -> None:
    """Refuses names that are not UTF-8, as zip files from Windows leave them: no table can hold them.

    Args:
        people: the names.
        what: has them.

    Raises:
        BadDataError: there is one.
    """
    bad = sorted({name for name in people if not name.isascii() and "\\ud" in ascii(name)})
    if bad:
        raise BadDataError(
            f"{len(bad)} {what}, such as {bad[0]!a}, have names that are not UTF-8. Rename them, for example with "
            "`convmv -r -f latin1 -t utf8 --notest FOLDER`."
        )
