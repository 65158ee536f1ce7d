"""Runs deface on a folder of pictures and gives its results the originals' names in another folder.

.venv-deface/bin/python scripts/deface_folder.py IN OUT [deface's options, such as --replacewith mosaic]

deface has one name for its output: with `-o`, each picture of a folder overwrites the last; without it, the results lie
beside the originals as NAME_anonymized.SUFFIX. Pictures in which it finds no face come back as they were.
"""

import shutil
import sys
from pathlib import Path

from deface import deface

MADE = "_anonymized"


def main() -> None:
    """One start of deface for the whole folder, so that its network is loaded once."""
    source, target = map(Path, sys.argv[1:3])
    names = sorted(path.name for path in source.iterdir())
    sys.argv = ["deface", str(source), *sys.argv[3:]]
    deface.main()
    for path in (source / name for name in names):
        shutil.move(path.with_stem(path.stem + MADE), target / path.name)


if __name__ == "__main__":
    main()
