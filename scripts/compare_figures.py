"""Holds the records of two trees of runs against each other, figure by figure, to the last digit.

python scripts/compare_figures.py OLD NEW      runs are matched by relative folder; exit code 1 where a value differs

Intervals are counted apart: they move with the way in which they are computed, although no picture has changed.
"""

import json
import sys
from pathlib import Path

NAMES = {"worst_observer": "strongest_observer", "/c": "/target"}
"""Words of older records and what they are called today."""


Figure = tuple[float | None, tuple[float | None, float | None]]


def figures(folder: Path) -> dict[str, Figure]:
    """Each figure's value and interval, under today's names."""
    found = {}
    for name, metric in json.loads((folder / "record.json").read_text())["metrics"].items():
        today = name.replace("worst_observer", NAMES["worst_observer"])
        today = today[:-2] + NAMES["/c"] if today.endswith("/c") else today
        found[today] = (metric["value"], (metric["low"], metric["high"]))
    return found


def main() -> int:
    """Prints one line per run and one per figure that differs."""
    old, new = (Path(argument) for argument in sys.argv[1:3])
    folders = sorted(path.parent.relative_to(old) for path in old.rglob("record.json"))
    differing = 0
    for name in folders:
        if not (new / name / "record.json").is_file():
            print(f"{name}: missing in {new}")
            differing += 1
            continue
        before, after = figures(old / name), figures(new / name)
        moved = [one for one in before if one in after and before[one][0] != after[one][0]]
        intervals = sum(before[one][1] != after[one][1] for one in before if one in after)
        gone, come = sorted(set(before) - set(after)), sorted(set(after) - set(before))
        counts = f"{len(moved)} values and {intervals} intervals moved, {len(gone)} gone, {len(come)} new"
        print(f"{name}: {len(before)} figures, {counts}")
        for one in moved:
            print(f"    {one}: {before[one][0]} -> {after[one][0]}")
        for words, names in (("gone", gone), ("new", come)):
            if names:
                print(f"    {words}: {', '.join(names)}")
        differing += len(moved) + len(gone)
    print(f"{len(folders)} runs, {differing} differences")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
