"""How far a sweep has come: done, running, failed and missing cells, and the time left.

python -m privacy_exp.status sweep=DIR      exit code 0 only when all cells are done
"""

import sys
from pathlib import Path

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> bool:
    """Prints one row per cell and the totals.

    Args:
        config: composed from conf/status.yaml.

    Returns:
        Whether all cells are done.

    Raises:
        FileNotFoundError: no such sweep.
    """
    from privacy_exp.sweep.progress import DONE, cell_states, status_table

    sweep = Path(config.sweep).expanduser()
    cells = cell_states(sweep)
    print(status_table(sweep, cells))
    return all(cell.state == DONE for cell in cells)


def finish(config: DictConfig) -> None:
    """What the command does: `run`, then the exit code."""
    if not run(config):
        sys.exit(1)


main = entry_point("status", finish)

if __name__ == "__main__":
    main()
