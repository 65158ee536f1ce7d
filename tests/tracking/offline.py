"""Reads W&B's offline files: what a run has logged, and whether it came to its end."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

HEADER = 7  # bytes of the file, and of each block's entries
BLOCK = 32_768  # bytes
WHOLE, LAST = 1, 4  # kinds of entries that end a record; first and middle parts are 2 and 3


def offline_runs(folder: Path) -> list[Path]:
    """The `.wandb` files of all offline runs below a folder, the oldest first."""
    return sorted(folder.rglob("wandb/offline-run-*/*.wandb"), key=lambda path: path.parent.name)


def offline_records(path: Path) -> Iterator[Any]:
    """The records of an offline run, in W&B's own protobuf classes; ends where a killed process stopped writing.

    The file is LevelDB's log format after a header.

    Args:
        path: a `.wandb` file.
    """
    content = path.read_bytes()
    position, parts = HEADER, b""
    while position + HEADER <= len(content):
        left = BLOCK - position % BLOCK
        if left < HEADER:  # the rest of a block is too short for an entry
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        entry = content[position + HEADER : position + HEADER + length]
        if len(entry) < length:
            return
        parts += entry
        position += HEADER + length
        if kind in (WHOLE, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def exit_code(path: Path) -> int | None:
    """0 of a finished run, 1 of a failed one; None of one that was killed."""
    codes = [record.exit.exit_code for record in offline_records(path) if record.HasField("exit")]
    return int(codes[-1]) if codes else None
