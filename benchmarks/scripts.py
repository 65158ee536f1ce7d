"""The demo and the test suite, with set-up done before."""

import tempfile
from pathlib import Path

from commands import ROOT, line
from timing import Line


def lines(rounds: int = 1) -> list[Line]:
    """The table of scripts; each runs once."""
    del rounds
    with tempfile.TemporaryDirectory() as name:
        found = []
        for script, bar in (("demo.sh", "≤ 300"), ("test.sh", "≤ 720")):
            found += line(script, ["bash", str(ROOT / "scripts" / script)], Path(name), bar)
        return found
