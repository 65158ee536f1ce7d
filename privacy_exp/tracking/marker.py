"""What a run folder knows of its trackers, for commands that start none."""

from pathlib import Path

TRACKED = ".tracked"
"""In a run folder: names what its trackers have written, one per line; missing where one of them has failed."""


def tracked(folder: Path) -> list[str]:
    """What the trackers of a finished run have written, by paths in its folder."""
    path = folder / TRACKED
    return path.read_text().split("\n")[:-1] if path.is_file() else []
