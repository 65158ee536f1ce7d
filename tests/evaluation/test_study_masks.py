"""The tables of scripts/study_masks.py, from cells made by hand whose figures are known."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import study_masks

PEOPLE, PHOTOS = 24, 2
JUDGE = "judge/hand"


def cell(fooled: int, unseen: int) -> pd.DataFrame:
    """24 people with 2 photos each, all recognised by c and the judge before.

    Args:
        fooled: people whose photos c takes for somebody else afterwards.
        unseen: people whom the judge no longer names.
    """
    label = np.repeat(np.arange(PEOPLE), PHOTOS)
    return pd.DataFrame(
        {
            "image_id": [f"{i:03d}" for i in range(PEOPLE * PHOTOS)],
            "identity": label.astype(str),
            "label": label,
            "pred": label,
            "pred_control": np.where(label < fooled // 3, (label + 1) % PEOPLE, label),
            "share_hidden_face": 0.75,
            "pred_anonymized": np.where(label < fooled, (label + 1) % PEOPLE, label),
            f"recognised_clean/{JUDGE}": 1.0,
            f"recognised/{JUDGE}": (label >= unseen).astype(float),
        }
    )


@pytest.fixture
def tables() -> dict[tuple[str, float], pd.DataFrame]:
    """Grad-CAM fools c for 6 people of 24, saliency for 12, the control for a third of those.

    The judge misses 3 people, under saliency alone.
    """
    return {
        ("random_patches", 0.5): cell(0, 0),
        ("grad_cam", 0.5): cell(6, 0),
        ("saliency", 0.5): cell(12, 3),
    }


def rows(lines: list[str]) -> list[list[str]]:
    """Cells of a markdown table, without its head."""
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines[2:]]


def first(text: str) -> float:
    """The figure before its interval."""
    return float(text.split(" ")[0])


def test_the_figures_of_a_cell_are_the_shares_of_its_people(tables: dict[tuple[str, float], pd.DataFrame]) -> None:
    found = {row[0]: row for row in rows(study_masks.cell_rows(tables, JUDGE, None))}
    face, n, accuracy, fool_rate, control, rank, worst, who = found["saliency"][2:]
    assert (first(face), n) == (0.75, str(PEOPLE * PHOTOS))
    assert [first(figure) for figure in (accuracy, fool_rate, rank)] == [1.0, 0.5, 0.875]
    assert first(control) == round(4 / PEOPLE, 3)
    # The strongest observer is the judge, named first: what it still names, from chance (0) to the originals (1).
    assert first(worst) == round((0.875 - 1 / PEOPLE) / (1 - 1 / PEOPLE), 3)
    assert who == f"{JUDGE}, target"
    assert first(found["grad_cam"][5]) == 0.25


def test_an_attacker_that_sees_more_is_the_strongest(tables: dict[tuple[str, float], pd.DataFrame]) -> None:
    seen = {"recognised_clean/attacker/whole_frame": 1.0, "recognised/attacker/whole_frame": 1.0}
    metric, who = study_masks.strongest(tables["saliency", 0.5].assign(**seen), JUDGE, None)
    assert (metric.value, who[0]) == (1.0, "attacker/whole_frame")


def test_methods_stand_against_the_reference(tables: dict[tuple[str, float], pd.DataFrame]) -> None:
    found = {(row[0], row[2]): row for row in rows(study_masks.comparisons(tables, [JUDGE]))}
    assert len(found) == 4  # two methods, two figures; the reference does not stand against itself
    assert first(found["saliency", "fool rate"][3]) == 0.5
    assert found["saliency", "fool rate"][8] == "higher"
    assert first(found["saliency", f"{JUDGE} rank 1"][3]) == -0.125
    # Three people of 24 differ, all one way: sign flips give 2 / 2³ = 0.25.
    assert float(found["saliency", f"{JUDGE} rank 1"][5]) == pytest.approx(0.25, abs=0.02)
    assert found["saliency", f"{JUDGE} rank 1"][8] == "no difference shown"
    # Twelve photos differ, all one way: exact McNemar gives 2 / 2¹².
    assert float(found["grad_cam", "fool rate"][7]) == pytest.approx(2 / 2**12, rel=0.01)


def test_another_reference_turns_the_sign(tables: dict[tuple[str, float], pd.DataFrame]) -> None:
    found = {(row[0], row[2]): row for row in rows(study_masks.comparisons(tables, [JUDGE], "saliency"))}
    assert {method for method, _ in found} == {"random_patches", "grad_cam"}
    assert first(found["random_patches", "fool rate"][3]) == -0.5
    assert first(found["grad_cam", "fool rate"][3]) == -0.25


def test_an_unknown_reference_is_named(tables: dict[tuple[str, float], pd.DataFrame]) -> None:
    with pytest.raises(ValueError, match="`against` must be a method of the study, grad_cam, random_patches, saliency"):
        study_masks.comparisons(tables, [JUDGE], "center")


def test_methods_over_different_photos_are_refused(tables: dict[tuple[str, float], pd.DataFrame]) -> None:
    tables["saliency", 0.5]["image_id"] = [f"other-{i}" for i in range(PEOPLE * PHOTOS)]
    with pytest.raises(ValueError, match="must be runs over the same images"):
        study_masks.comparisons(tables, [JUDGE])


def test_a_photo_of_two_folds_is_refused(tmp_path: Path) -> None:
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
        cell(0, 0).to_parquet(tmp_path / name / "images.parquet")
    with pytest.raises(ValueError, match=r"tested the same photo; give data\.split_fold a fold each"):
        study_masks.pooled([tmp_path / "0", tmp_path / "1"])


def test_an_empty_study_ends_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["study_masks.py", f"out={tmp_path}", "table=true"])
    assert study_masks.main() == 1
    assert "holds no finished run" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
