"""Makes the W&B workspace of a sweep; its plan is enough, so the panels are there when the sweep starts.

usage: python scripts/wandb_workspace.py SWEEP [--entity NAME] [--project NAME] [--save]

Without --save it writes SWEEP/wandb_workspace.json and sends nothing; with it, W&B needs a key.
"""

import argparse
from pathlib import Path

from privacy_exp.tracking.workspace import workspace, write_spec


def main() -> None:
    """Prints where the spec or the workspace is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--entity", default="", help="W&B user or team; needed to save")
    parser.add_argument("--project", default="privacy_exp")
    parser.add_argument("--save", action="store_true", help="send it to W&B")
    asked = parser.parse_args()
    if asked.save:
        print(f"workspace {workspace(asked.sweep, asked.entity, asked.project).save().url}")
    else:
        print(f"spec     {write_spec(asked.sweep, asked.entity, asked.project)}")


if __name__ == "__main__":
    main()
