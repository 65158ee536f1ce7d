"""A run that costs little, for tests of what is kept of runs."""

from pathlib import Path

import pytest

SMALL = (
    "recognition.net._target_=recognition.small.Small",
    *(f"~recognition.net.{key}" for key in ("image_size", "dropout", "legacy_scaling")),
)
CHEAP = (*SMALL, "inpainting=mean_fill", "rerun=false", "batch_size=4")


@pytest.fixture(scope="module")
def cheap(cell, tmp_path_factory):
    """Runs a cell whose recogniser is at hand, in a store of its own."""
    fitted = tmp_path_factory.mktemp("fitted")
    cell(fitted, *SMALL, "fit_only=true", "recognition.module.max_epochs=1")

    def run(out: Path, store: Path, *overrides: str):
        return cell(out, *CHEAP, f"recognition.checkpoint={fitted}", f"cache.root={store}", *overrides)

    return run
