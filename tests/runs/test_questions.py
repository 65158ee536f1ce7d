"""The regulator's three questions: who was asked, of how many, how sure, and what this is not."""

import pytest

from privacy_exp.runs.questions import NOT_THIS, three_questions
from privacy_exp.runs.record import Record, read_record
from privacy_exp.types import Metric
from tests.runs.test_answer import record


def figure(value, reason=None, n=400):
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": n, "reason": reason}


def test_the_strongest_observer_of_each_question_speaks():
    said = three_questions(
        {
            "judge/onnx/rank_1": figure(0.2),
            "judge/dlib/rank_1": figure(0.4),
            "judge/weak/rank_1": figure(0.9, "below_gate"),
            "judge/dlib/clean_rank_1": figure(0.95),
            "judge/dlib/intrusion": figure(0.1),
            "attacker/linkage/target/rank_1": figure(0.3),
            "attacker/linkage/onnx/rank_1": figure(0.6),
            "attacker/linkage/onnx/n_2/rank_1": figure(0.8),
            "attacker/several_photos/n_5/rank_1": figure(0.7, n=40),
            "utility/attribute_agreement": figure(0.81),
        }
    )
    assert said["not_this"] == NOT_THIS
    assert (
        "strongest judge, dlib, finds the person first among the originals for 40 % (35-45) of 400"
        in said["singling_out"]
    )
    assert "takes 10 % (5-15) of 400 photos for somebody else" in said["singling_out"]
    assert "through ONNX recogniser, finds another original of the person first for 60 %" in said["linkability"]
    assert "5 photos of a person together are linked to the person for 70 % (65-75) of 40 probes" in said["linkability"]
    assert "81 % (76-86) of 400 photos" in said["inference"]


@pytest.mark.parametrize("question", ["singling_out", "linkability", "inference"])
def test_what_nobody_was_asked_is_said(question):
    assert three_questions({})[question].startswith("Not asked: ")


def test_a_flagged_observer_speaks_only_alone_and_says_so():
    said = three_questions({"judge/weak/rank_1": figure(0.9, "below_gate")})
    assert "Weak, finds" in said["singling_out"]
    assert "(below its gate)" in said["singling_out"]


def test_record_and_words_hold_them(tmp_path):
    found: Record = record(**{"judge/onnx/rank_1": Metric(0.2, 0.15, 0.25, 240)})
    found.write(tmp_path)
    assert "ONNX recogniser, finds" in read_record(tmp_path)["details"]["questions"]["singling_out"]
    words = (tmp_path / "record.md").read_text()
    assert words.index("## Three questions") < words.index("no legal assessment") < words.index("Singling out")
