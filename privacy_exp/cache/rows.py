"""What is known of single things, a small file each: computed once, whoever asks again and with whatever else."""

import hashlib
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from privacy_exp.cache.files import atomic_file
from privacy_exp.cache.store import CLOSED, FULL

Row = Mapping[str, np.ndarray]
"""Arrays of one thing by name."""


class Rows:
    """A folder with a file of arrays for each of many things, written whole.

    Files of single things are what a job that dies half-way leaves behind in order, what two jobs can write at once
    without a lock, and what takes no more memory for more things. Their container (npz) carries a checksum: a damaged
    file counts as absent and is written anew.

    Args:
        folder: its key holds all that decides the arrays besides the thing itself; see `Store.open_folder`.
        what: the arrays, in a warning.

    Attributes:
        read: how many things were found.
        computed: how many were not.

    Example:
        >>> rows = Rows(Path("rows"), "squares")
        >>> for _ in range(2):
        ...     rows(["1", "2"], lambda: {"square": np.array([1, 4])})["square"].tolist()
        [1, 4]
        [1, 4]
        >>> rows.computed, rows.read
        (2, 2)
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.folder, self.what = folder, what
        self.read = self.computed = 0
        self._writable = True

    def __call__(self, names: Sequence[str], compute: Callable[[], Row]) -> dict[str, np.ndarray]:
        """The arrays of these things, one row a thing; what was missing is kept.

        Where one is missing all are computed, as they would be without a store, so that a resumed job meets the very
        rounding of an undisturbed one.

        Args:
            names: of the things; each decides its arrays, together with the folder's key.
            compute: the arrays of all of them.
        """
        known = [self._find(name) for name in names]
        self.read += sum(row is not None for row in known)
        rows = [row for row in known if row is not None]
        if len(rows) < len(known):
            self.computed += len(known) - len(rows)
            fresh = compute()
            rows = [old or {k: np.asarray(v[i]) for k, v in fresh.items()} for i, old in enumerate(known)]
            for name, row in [(n, r) for n, r, old in zip(names, rows, known, strict=True) if old is None]:
                self._keep(name, row)
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

    def find(self, names: Sequence[str]) -> dict[str, np.ndarray] | None:
        """The arrays of these things, one row a thing; None where one is missing."""
        rows = [row for name in names if (row := self._find(name)) is not None]
        if len(rows) < len(names):
            return None
        self.read += len(rows)
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / f"{name}.npz"

    def _find(self, name: str) -> dict[str, np.ndarray] | None:
        try:
            with np.load(self._path(name), allow_pickle=False) as file:
                return dict(file)
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError):
            return None  # absent, or damaged: computed anew and replaced

    def _keep(self, name: str, row: Row) -> None:
        if not self._writable:
            return
        try:
            with atomic_file(self._path(name)) as temporary:
                np.savez(temporary, **row)  # type: ignore[arg-type]  # nobody calls an array allow_pickle
        except OSError as error:
            if error.errno not in CLOSED + FULL:
                raise
            self._writable = False
            warnings.warn(f"{self.what} are computed without being kept: {error.strerror}", stacklevel=3)


def picture_name(pixels: Shaped[np.ndarray, "..."]) -> str:
    """A name by a picture's shape, number format and pixels."""
    total = hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode())
    total.update(np.ascontiguousarray(pixels).data)
    return total.hexdigest()[:32]
