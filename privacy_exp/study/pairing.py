"""Which picture of one folder belongs to which of another: by equal names, or as another tool names its results."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from privacy_exp.cache.files import write_bytes
from privacy_exp.data.files import safe_id
from privacy_exp.data.folder import Folder
from privacy_exp.data.photo import BadDataError
from privacy_exp.runs.folder import KINDS, RunFolder
from privacy_exp.types import UserError

STEM = "{stem}"
NAMED = 8
"""Unpaired pictures that are named one by one."""

_unpacked: list[TemporaryDirectory[str]] = []  # pictures of packed runs, for as long as the process lives


class Pictures:
    """One side of the pairs.

    Args:
        root: a folder of pictures, or a run folder of ours, whose own pictures are taken.
        kind: what a run folder calls them, "original" or "results".
        image_size: (height, width) to cut them to; None keeps their own.

    Attributes:
        data: the pictures.
        root: where they lie.
    """

    def __init__(self, root: str | Path, kind: str, image_size: Sequence[int] | None) -> None:
        self.root, self._kind = Path(root), None
        run = RunFolder(self.root)
        if (self.root / "record.json").is_file() and run.has(kind):
            self.root, self._kind = self.root / kind, KINDS[kind]
            if run.packed:
                _unpacked.append(TemporaryDirectory(prefix="privacy_exp-"))
                self.root = Path(_unpacked[-1].name) / kind
                for picture, _ in run.list(kind).values():
                    write_bytes(self.root / picture.name, picture.read_bytes())
        if not self.root.is_dir():
            key = "originals" if kind == "original" else "anonymized"
            raise BadDataError(f"`{key}` must be a folder of pictures, but there is no folder {root}: set {key}=DIR.")
        self.data = Folder(str(self.root), image_size=image_size, labelled=False, min_images_per_identity=1)
        self.data.setup()

    def keys(self, pattern: str | None = None) -> dict[str, str]:
        """What a picture is paired by, to its id: the name of the original without suffix, as an image id.

        Args:
            pattern: how the tool names a result; names that do not fit are left out. None: as the original.

        Raises:
            UserError: a pattern without `{stem}`, or two pictures of one original.
        """
        rule = None if pattern is None or self._kind is not None else _rule(pattern)
        found: dict[str, str] = {}
        for image_id, name in self.data.names.items():
            key = self._key(image_id, name, rule)
            if key is None:
                continue
            if key in found:
                two = self.data.names[found[key]]
                raise BadDataError(f"{two} and {name} in {self.root} both belong to {key}; remove one of them.")
            found[key] = image_id
        return found

    def _key(self, image_id: str, name: str, rule: re.Pattern[str] | None) -> str | None:
        path = PurePosixPath(name)
        if self._kind is not None:
            return path.name.partition(f"-{self._kind}-")[0]
        if rule is None:
            return image_id
        match = rule.fullmatch(path.name)
        return None if match is None else safe_id(str(path.with_name(f"{match['stem']}.x")))

    def keep(self, ids: Sequence[str]) -> None:
        """Leaves these pictures alone."""
        wanted = set(ids)
        self.data.photos["test"] = [photo for photo in self.data.photos["test"] if photo.id in wanted]


def _rule(pattern: str) -> re.Pattern[str]:
    before, stem, after = pattern.partition(STEM)
    if not stem:
        raise UserError(
            f"`anonymized_name` must say where the original's name stands, such as {STEM}_anonymized.*, but got "
            f"{pattern}."
        )
    if "." not in after:
        after += ".*"
    ends = re.escape(after).replace(r"\*", ".*")
    return re.compile(re.escape(before) + "(?P<stem>.+)" + ends, re.DOTALL)


def pair(before: Pictures, after: Pictures, pattern: str | None) -> tuple[dict[str, str], list[str]]:
    """Pairs two folders and leaves the rest out of both.

    Args:
        before: the originals.
        after: what became of them.
        pattern: see `Pictures.keys`.

    Returns:
        Id of the result to the image id that both get, and a sentence on what was left out, if anything was.

    Raises:
        UserError: nothing pairs.
    """
    left, right = before.keys(), after.keys(pattern)
    shared = sorted(left.keys() & right.keys())
    if not shared:
        one, other = (next(iter(side.data.names.values()), "nothing") for side in (before, after))
        raise BadDataError(
            f"`originals` and `anonymized` do not pair: {before.root} holds names such as {one}, {after.root} such as "
            f"{other}. Names must be the same up to the suffix, or say how they differ: "
            f"anonymized_name='{STEM}_anonymized.*'."
        )
    before.keep([left[key] for key in shared])
    after.keep([right[key] for key in shared])
    odd = [f"{key} without a result" for key in sorted(left.keys() - right.keys())]
    odd += [
        f"{name} without an original" for name in sorted(set(after.data.names.values()) - _names(after, shared, right))
    ]
    if not odd:
        return {right[key]: key for key in shared}, []
    rest = f" and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
    note = (
        f"{len(shared)} of {len(left)} originals are paired; left out: {', '.join(odd[:NAMED])}{rest}. A tool that "
        "skips hard photos looks better than it is."
    )
    return {right[key]: key for key in shared}, [note]


def _names(side: Pictures, shared: Sequence[str], keys: dict[str, str]) -> set[str]:
    return {side.data.names[keys[key]] for key in shared}
