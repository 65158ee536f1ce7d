"""docs/results/scale.md shows what benchmarks/scale.py computes, and that computes what a hand does."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import scale  # noqa: E402

EVEN = scale.Figures(
    "by hand", evaluation_s=0.1, unguided=0.5, evaluations=20, encode_s=0.2, decode_s=0.8, control_s=0.9, start_s=0
)


def test_the_page_shows_the_tables() -> None:
    page = (ROOT / "docs" / "results" / "scale.md").read_text().splitlines()
    for table in scale.tables():
        start = page.index(table[0])
        assert page[start : start + len(table)] == table


def test_hours_by_hand() -> None:
    """20 evaluations of 0.1 s are 2 s an image guided and 1 s unguided; the autoencoder adds 1 s."""
    hours = scale.parts_h(EVEN)
    assert hours["UNet"] == pytest.approx((27 * 1 + 54 * 2) * 20_000 / 3600)
    assert hours["autoencoder"] == pytest.approx(81 * 20_000 / 3600)
    assert hours["control, once a photo"] == pytest.approx(20_000 * 0.9 / 3600)
    assert hours["recogniser"] == pytest.approx(81 * 20_000 * 3 / 1000 / 3600)


def test_cells_on_gpus_by_hand() -> None:
    """With as many GPUs as cells the longest cell decides; one GPU has it all; no number of GPUs beats a clean cut."""
    longest = scale.cell_s(EVEN, 7.5) / 3600
    assert longest == pytest.approx(20_000 * (2 + 1 + 0.003) / 3600)
    assert scale.elapsed_h(EVEN, 81) == pytest.approx(longest)
    assert scale.elapsed_h(EVEN, 1) == pytest.approx(scale.ideal_h(EVEN, 1))
    # 64 GPUs: 22 of the first 64 cells are unguided and end first; 12 of the 17 that wait are guided.
    short = scale.cell_s(EVEN, 1.0) / 3600
    assert scale.elapsed_h(EVEN, 64) == pytest.approx(short + longest)
    assert all(scale.elapsed_h(EVEN, gpus) >= scale.ideal_h(EVEN, gpus) - 1e-9 for gpus in range(1, 100))


def test_shared_cells_lose_no_more_than_the_starts_and_the_last_batches() -> None:
    batch = scale.BATCH * (2 + 1 + 0.003) / 3600
    for gpus in (1, 8, 64, 100):
        assert -1e-6 <= scale.shared_h(EVEN, gpus) - scale.ideal_h(EVEN, gpus) <= 2 * batch
    compiled = scale.SETTINGS[1]
    assert scale.shared_h(compiled, 1) == pytest.approx(scale.elapsed_h(compiled, 1))
    assert scale.shared_h(compiled, 64) < 5.5 / 7.6 * scale.elapsed_h(compiled, 64)  # what the study was promised
