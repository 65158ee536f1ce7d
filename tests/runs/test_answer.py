"""What a run says in words: a dozen records, each with the sentence that a reader must get."""

import pandas as pd
import pytest

from privacy_exp.runs.answer import answer
from privacy_exp.runs.names import display_name, name_order
from privacy_exp.runs.record import IN_WORDS, Record, read_record
from privacy_exp.runs.run import Run
from privacy_exp.types import Metric


def rate(value, low, high, n, reason=None):
    return Metric(value, low, high, n, reason)


def record(observers=("target",), data="celeba", n=240, people=30, ratio=0.5, device="cpu", **metrics):
    figures = {
        "accuracy": rate(0.94, 0.9, 0.97, n),
        "fool_rate": rate(0.62, 0.48, 0.74, 225),
        "control_fool_rate": rate(0.02, 0.01, 0.05, 225),
        "strongest_observer": rate(0.31, 0.22, 0.4, n),
    } | metrics
    return Record(
        key="k",
        choices={"data": data, "recognition": "facenet_scratch", "masking": "saliency", "inpainting": "sd15"},
        config={"evaluation": {"gate": 0.8}},
        mask_ratio=ratio,
        seed=0,
        n=n,
        metrics={name: metric for name, metric in figures.items() if metric is not None},
        observers=list(observers),
        timing={},
        details={} if people is None else {"people": people},
        device=device,
    )


def few(k, n):
    return rate(k / n, 0.2, 0.64, n)


def test_a_clear_difference():
    text = answer(record(("parrot", "target")).as_dict())
    assert text == (
        "With 50 % of the frame hidden, Saliency protects 62 % (48-74) of 225 photos that FaceNet recognised before. "
        "The autoencoder alone, with nothing repainted, accounts for 2 % (1-5). The strongest of 2 observers "
        "that tried (Parrot) still has 31 % (22-40) of its ability to recognise people beyond chance. "
        "240 photos of 30 people."
    )


@pytest.mark.parametrize(
    ("changes", "there", "absent"),
    [
        ({"fool_rate": rate(0.01, 0.0, 0.04, 225)}, "protects 1 % (0-4) of 225 photos", "%)."),
        ({"fool_rate": few(6, 15)}, "protects 6 of 15 photos (20-64 %)", "0.4"),
        ({"fool_rate": rate(0.4321, 0.4281, 0.4361, 90_000)}, "43.2 % (42.8-43.6) of 90000 photos", "43.21"),
        ({"control_fool_rate": None}, "There is no control", "autoencoder alone"),
        ({"control_fool_rate": rate(0.0, 0.0, 0.02, 225)}, "recognised before. No other observer", "autoencoder"),
        ({"fool_rate": rate(1.0, 0.92, 1.0, 225)}, "protects all 225 photos (at least 92 %)", "100 %"),
        ({"fool_rate": rate(0.0, 0.0, 0.08, 225)}, "protects none of 225 photos (at most 8 %)", "protects 0"),
        ({"people": 1}, "240 photos of one person: nothing is said about anybody else.", "1 people"),
        ({"people": None}, "chance. 240 photos.", "people."),
        ({"strongest_observer": rate(-0.001, -0.03, 0.03, 240)}, "still has none (at most 3 %) of its ability", "-0"),
        ({"strongest_observer": rate(0.0, 0.0, 0.0, 240)}, "still has none of its ability", "at most"),
        ({"strongest_observer": rate(0.004, -0.03, 0.04, 240)}, "still has 0 % (0-4) of its ability", "-3"),
        ({"strongest_observer": rate(0.96, 0.9, 1.07, 240)}, "still has 96 % (90-100) of its ability", "107"),
        ({"strongest_observer": rate(1.05, 0.93, 1.19, 240)}, "still has all (at least 93 %) of its ability", "105"),
        ({"strongest_observer": rate(1.05, 1.0, 1.19, 240)}, "still has all of its ability", "119"),
        ({"strongest_observer": rate(1.05, None, None, 240)}, "still has all of its ability", "105"),
        ({"observers": ("judge/onnx",)}, "The observer that tried (ONNX recogniser) still has 31 %", "judge/"),
        ({"observers": ("onnx",)}, "The observer that tried (ONNX recogniser) still has 31 % (22-40)", "strongest"),
        ({"ratio": None}, "With the area that it chose itself, Saliency", "% of the frame"),
        ({"device": "cuda"}, "Saliency protects 62 % (48-74)", "cuda"),
    ],
)
def test_what_else_a_run_may_have_found(changes, there, absent):
    text = answer(record(**changes).as_dict())
    assert there in text
    assert absent not in text


def test_below_the_gate_comes_first():
    weak = {"accuracy": rate(0.45, 0.38, 0.52, 240), "fool_rate": rate(0.9, 0.8, 0.95, 108, "below_gate")}
    weak["strongest_observer"] = rate(None, None, None, 240, "below_gate: no observer passed its gate")
    text = answer(record((), **weak).as_dict())
    assert text.startswith("Below the gate: the recogniser names only 45 % (38-52) of 240 originals, of which 80 %")
    assert "is not known: below its gate: no observer passed its gate." in text


def test_a_figure_that_is_missing_says_why():
    plain = record(fool_rate=rate(None, None, None, 0, "nothing was recognised on the originals")).as_dict()
    assert "There is no fool rate for Saliency: nothing was recognised on the originals." in answer(plain)
    plain["metrics"]["strongest_observer"]["value"] = "NaN"  # as `read_record` leaves it
    assert "not known: the record gives no number." in answer(plain)


def test_pairs_have_their_own_sentence():
    judged = {
        "judge/onnx/tar_cross_1e-2": rate(0.12, 0.07, 0.19, 88),
        "judge/onnx/rank_1": rate(0.08, 0.03, 0.14, 88),
        "judge/weak/rank_1": rate(0.5, 0.4, 0.6, 88, "below_gate"),
        "utility/ssim_inside": rate(0.8123, 0.79, 0.83, 88),
    }
    none = dict.fromkeys(("accuracy", "fool_rate", "control_fool_rate"))
    text = answer(record(("onnx",), data="pairs", n=88, people=22, **none, **judged).as_dict())
    assert "After saliency, ONNX recogniser accepts 12 % (7-19) of pairs as the same person" in text
    assert "first in a gallery in 8 % (3-14)" in text
    assert "Weak (below its gate) finds" in text
    assert "Quality: structural similarity 0.81." in text
    assert "fool rate" not in text
    assert "None" not in text


def test_the_same_words_in_the_file_and_in_python(tmp_path):
    one = record(people=None)
    one.warnings.append("a judge\nis the target")
    one.write(tmp_path)
    written = (tmp_path / IN_WORDS).read_text()
    assert answer(read_record(tmp_path)) in written
    assert "- a judge is the target\n" in written
    run = Run(tmp_path, read_record(tmp_path), pd.DataFrame({"label": [0, 1, 1]}))
    assert run.summary() == answer(read_record(tmp_path), people=2)
    assert run.summary().endswith("240 photos of 2 people.")


def test_names_people_read_and_their_one_order():
    assert [display_name(n) for n in ("grad_cam", "rise", "MyTool", "deface_out")] == [
        "Grad-CAM",
        "RISE",
        "MyTool",
        "Deface out",
    ]
    methods = ["random_patches", "saliency", "grad_cam"]
    assert sorted(methods, key=name_order) == ["grad_cam", "saliency", "random_patches"]
