"""A board of anonymisers without a server: a folder of checked records as one page.

privacy-exp board DIR out=SITE                                        the page
privacy-exp board pack RUN dir=DIR section=NAME tool.name=NAME        a run's folder becomes a submission
privacy-exp board check FILE dir=DIR [add=true]                       computes again what can be, refuses or accepts
"""

import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> Any:
    """Writes the page, a manifest, or an entry.

    Args:
        config: composed from conf/board.yaml.

    Raises:
        UserError: a submission that is refused, with every reason; or a board that cannot be read.
    """
    from privacy_exp.report.board_check import check, pack
    from privacy_exp.report.board_page import write_board

    board = Path(config.dir).expanduser()
    if config.pack is not None:
        folder = Path(config.pack).expanduser()
        path = pack(folder, board, config.section, dict(config.tool), config.kind, config.against)
        print(f"manifest {path}")
        return path
    if config.check is not None:
        return check(Path(config.check).expanduser(), board, config.add)
    return write_board(board, Path(config.out).expanduser())


command = entry_point("board", run)


def main() -> None:
    """The command line, on which the board, a file to check or a folder to pack may stand without their names."""
    from privacy_exp.report.board import named_arguments

    sys.argv[1:] = named_arguments(sys.argv[1:])
    command()


if __name__ == "__main__":
    main()
