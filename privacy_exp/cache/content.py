"""Digests of files and of what a loader reads beside them: data of ONNX graphs, shards, whole checkpoint folders."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

_hashes: dict[tuple[Path, int, int, int], str] = {}  # large checkpoints are read once a process

_named: dict[tuple[Path, int, int, int], set[str]] = {}  # a large graph is parsed once a process


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes: a moved file is the same, a changed one is not."""
    stat = path.stat()
    known = path.resolve(), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
    if known not in _hashes:
        with path.open("rb") as file:
            _hashes[known] = hashlib.file_digest(file, "sha256").hexdigest()
    return _hashes[known]


def content_digest(path: Path) -> str:
    """SHA-256 of everything that loading `path` reads: the file, what it refers to, or all files of a folder.

    Args:
        path: a file or a folder. Links are followed; hidden files and `.md` files of a folder are left out.
    """
    if path.is_dir():
        files = {str(file.relative_to(path)): file for file in _below(path)}
    else:
        behind = list(files_behind(path))
        if not behind:
            return file_digest(path)
        files = {os.path.relpath(file, path.parent): file for file in (path, *behind)}
    total = hashlib.sha256()
    for name, file in sorted(files.items()):
        own = "" if path.is_file() and file == path else name  # the named file may be moved under another name
        total.update(f"{own}\0{file_digest(file)}\n".encode())
    return total.hexdigest()[:20]


def files_behind(path: Path) -> Iterator[Path]:
    """The files beside `path` that it names and a loader reads: external data of an ONNX graph, shards of an index."""
    readers = {".onnx": _external_data, ".json": _shards}
    if path.suffix not in readers:
        return
    known = path.resolve(), path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ctime_ns
    if known not in _named:
        _named[known] = readers[path.suffix](path)
    for name in sorted(_named[known]):
        if (path.parent / name).is_file():
            yield path.parent / name


def _external_data(path: Path) -> set[str]:
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data

    try:
        graph = onnx.load(str(path), load_external_data=False)
    except Exception:  # protobuf's own errors: no graph at all, as loading it will say
        return set()
    return {ExternalDataInfo(t).location for t in _get_all_tensors(graph) if uses_external_data(t)}


def _shards(path: Path) -> set[str]:
    try:
        index = json.loads(path.read_text())
        return {str(name) for name in index["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def _below(folder: Path) -> Iterator[Path]:
    """All files below a folder, through links to folders too, each folder once."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in sorted(folders) if not name.startswith(".")]
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.suffix != ".md" and path.is_file():
                yield path
