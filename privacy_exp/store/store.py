"""What has been computed already: folders by content key, made once even when two jobs want them at once."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from privacy_exp.store.files import explained
from privacy_exp.store.keys import content_key


class Store:
    """Folders of finished things, by kind and content key.

    Args:
        root: where they lie; made when first needed. Shared by runs, and by machines on one file system.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()

    def fetch(self, kind: str, fields: Mapping[str, Any], compute: Callable[[Path], None]) -> tuple[Path, bool]:
        """The folder that holds this thing, computed first if it is not there yet.

        Args:
            kind: what it is, such as "recognizer".
            fields: everything that decides its content, as plain values.
            compute: fills the empty folder that it is given.

        Returns:
            The folder, and whether it had been there before.
        """
        folder = self.root / kind / content_key(fields)
        if folder.is_dir():
            return folder, True
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_suffix(".lock")):
                if folder.is_dir():  # another job made it while this one waited
                    return folder, True
                temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
                try:
                    compute(temporary)
                    temporary.chmod(0o755)
                    os.replace(temporary, folder)  # noqa: PTH105  a rename of folders; Path.replace reads as files
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise explained(error, folder) from error
        return folder, False


def default_root() -> Path:
    """`$XDG_CACHE_HOME/privacy_exp`, by default `~/.cache/privacy_exp`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "privacy_exp"
