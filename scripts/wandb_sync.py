"""Uploads the offline W&B runs of the finished cells below a folder, each once.

usage: python scripts/wandb_sync.py FOLDER [--dry-run] [--unfinished]

A killed or failed cell leaves a run without figures; started again it logs into a new one, so the old one stays here
unless --unfinished asks for it. Needs a key (`wandb login`). The folder may have been copied from another machine.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from privacy_exp.tracking.marker import tracked


def main() -> int:
    """Prints one line per run; returns 1 where an upload failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be uploaded")
    parser.add_argument("--unfinished", action="store_true", help="upload what killed cells have left, too")
    arguments = parser.parse_args()
    runs = sorted(arguments.folder.rglob("wandb/offline-run-*/*.wandb"), key=lambda path: path.parent.name)
    if not runs:
        sys.exit(f"error: there is no offline run below {arguments.folder}; tracking=wandb writes them.")
    failures = 0
    for path in runs:
        cell = path.parents[2]
        finished = str(path.parent.relative_to(cell)) in tracked(cell)
        if marked(path):
            word = "uploaded before"
        elif not finished and not arguments.unfinished:
            word = "left here"
        elif arguments.dry_run:
            word = "would be uploaded"
        else:
            done = subprocess.run([sys.executable, "-m", "wandb", "sync", str(path.parent)], check=False)
            # its exit code is 0 after an error of the server, too; the mark stands where all has arrived
            sent = done.returncode == 0 and marked(path)
            word = "uploaded" if sent else "FAILED to upload"
            failures += not sent
        print(f"{word}: {path.parent} ({'finished' if finished else 'unfinished'})")
    return int(failures > 0)


def marked(path: Path) -> bool:
    """Whether W&B has noted that a run was uploaded."""
    return path.with_name(f"{path.name}.synced").exists()


if __name__ == "__main__":
    sys.exit(main())
