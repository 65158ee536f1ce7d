"""The benchmark of painting runs in small: what it asks a painter for is still there."""

import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import generation


@pytest.mark.slow
def test_the_table_of_generation_in_small(monkeypatch):
    monkeypatch.setattr(generation, "BATCH", 2)
    monkeypatch.setattr(generation, "LOOPED", 1)
    lines = generation.lines(rounds=1, compiled=False)
    assert all(math.isfinite(line.value) for line in lines)
    (difference,) = [line for line in lines if line.what.startswith("difference to (a)")]
    assert difference.met, "painting is the original's loop, faster"
