"""How files come into being: under a temporary name, then renamed, so that nothing half-written is seen."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(path: Path, work: Path | None = None) -> Iterator[Path]:
    """A temporary path; it becomes `path` when the block ends well, and vanishes otherwise.

    Args:
        path: where the finished file belongs; its folder is made.
        work: an existing folder of the same file system that takes the temporary file, which a kill leaves behind; None
            takes the folder of `path`.

    Raises:
        OSError: no space left or not writable; the message names the file and the way out.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=work or path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that their owner alone can read
        temporary.replace(path)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """What the user takes from the rights of new files; the system tells it only by setting another."""
    found = os.umask(0o077)
    os.umask(found)
    return found


def write_bytes(path: Path, content: bytes, work: Path | None = None) -> None:
    """Writes a file whole or not at all, also where the power fails just after; see `atomic_file`."""
    with atomic_file(path, work) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # else the name may be on the disk before the content is: a file of zero bytes


def write_text(path: Path, content: str, work: Path | None = None) -> None:
    """Writes a UTF-8 text file whole or not at all; see `atomic_file`."""
    write_bytes(path, content.encode(), work)


def explained(error: OSError, path: Path) -> OSError:
    """The same error with the file's name and the way out, where the cause is a full or closed disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "no space left there; free some, or move the output with `hydra.run.dir=DIR` or `cache.root=DIR`"
    elif error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        advice = "not writable; choose another place with `hydra.run.dir=DIR` or `cache.root=DIR`"
    else:
        return error
    return OSError(error.errno, f"could not write {path}: {advice}")
