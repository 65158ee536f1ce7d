"""A judge's counts, one part after another, on four vectors."""

import numpy as np
import pytest

from privacy_exp.evaluation.judges.embedder import Embedded, Embedder
from privacy_exp.evaluation.judges.judge import Judge, Views
from privacy_exp.evaluation.measure import Findings
from privacy_exp.evaluation.steering import target_weights
from privacy_exp.evaluation.verification import Threshold
from privacy_exp.recognition.facenet import WEIGHTS
from privacy_exp.types import UserError

NAME, PEOPLE = "judge/a", np.array([0, 0, 1, 1])


class Named(Embedder):
    """Nothing but what its weights are called."""

    def __init__(self, **known):
        self.known = known

    def fields(self):
        return self.known

    def prepare(self, images, landmarks):
        return images

    def features(self, crops):
        return crops


def at(*degrees):
    turns = np.deg2rad(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


def views(threshold=0.5, lost=(), found=(True, False, True, True)):
    """Two people at 0° and 90°; their anonymised pictures at 60°, 10°, 90° and 0°."""
    anonymized = at(60, 10, 90, 0)
    anonymized[list(lost)] = np.nan
    limits = [Threshold(0.01, threshold, 9), Threshold(0.1, threshold, 9, None if threshold else "too few pairs")]
    clean = Embedded(at(0, 0, 90, 90), np.array([True] * 4))
    return Views(clean, Embedded(anonymized, np.array(found)), PEOPLE, np.array(list("wxyz")), limits)


def test_the_same_photo_is_known_from_the_threshold_on():
    findings = Findings()
    assert Judge(Named())._verify(views(), NAME, findings) is None
    assert findings.columns[f"{NAME}/similarity_same_photo"] == pytest.approx(
        [0.5, np.cos(np.deg2rad(10)), 1, 0], abs=1e-6
    )
    metrics = findings.metrics
    assert metrics[f"{NAME}/same_photo_1e-1"].value == 0.75, "60° is exactly at 0.5"
    # pairs of two photos: a at 60° and 10° to the other of a at 0°: both; b at 90° and 0° to the other of b: one
    assert metrics[f"{NAME}/tar_cross_1e-1"].value == 0.75
    assert findings.columns[f"{NAME}/tar_cross_1e-1"].tolist() == [1, 1, 1, 0]
    assert metrics[f"{NAME}/clean_tar_1e-1"].value == metrics[f"{NAME}/clean_tar_1e-2"].value == 1
    unknown = Findings()
    assert Judge(Named())._verify(views(None), NAME, unknown).startswith("no_gate: ")
    same = unknown.metrics[f"{NAME}/same_photo_1e-1"]
    assert (same.value, same.low, same.high, same.n, same.reason) == (None, None, None, 4, "too few pairs")
    assert Judge(Named(), gate=1)._verify(views(), NAME, Findings()) is None
    assert Judge(Named(), gate=0.5)._verify(views(1.1), NAME, Findings()) == "below_gate"


def test_what_was_aligned_and_what_was_not_embedded():
    findings = Findings()
    Judge(Named())._count(views(lost=[1]), NAME, findings)
    whole = {"aligned_by_detection": 4, "aligned_by_template": 0, "not_embedded": 0}
    assert findings.details == {
        "original": whole,
        "anonymized": {"aligned_by_detection": 3, "aligned_by_template": 1, "not_embedded": 1},
    }
    assert findings.metrics[f"{NAME}/detected"].value == 1
    assert findings.metrics[f"{NAME}/detected_anonymized"].value == 0.75
    assert findings.columns[f"{NAME}/detected_anonymized"].tolist() == [True, False, True, True]
    assert findings.warnings == [f"{NAME} could not embed 1 anonymised pictures; they count as hidden."]
    blind = Findings()
    Judge(Named(), detect=False)._count(views(), NAME, blind)
    assert not blind.columns
    assert not blind.warnings
    metric = blind.metrics[f"{NAME}/detected"]
    assert (metric.value, metric.n, metric.reason) == (None, 4, "this judge does not detect")


def test_probes_are_looked_up_among_originals():
    findings = Findings()
    Judge(Named())._identify(views(), np.array(list("aabb")), NAME, None, findings)
    # 60° is nearer to b at 90°; 10° to a; 90° to b; 0° to a
    assert findings.columns[f"{NAME}/rank_1"].tolist() == [0, 1, 1, 0]
    assert findings.metrics[f"{NAME}/rank_1"].value == 0.5
    assert findings.metrics[f"{NAME}/clean_rank_1"].value == 1
    assert findings.details == {"gallery_identities": 2}
    (seen,) = findings.outcomes
    assert (seen.name, seen.chance, seen.excluded) == (NAME, 0.5, None)
    assert seen.identity.tolist() == list("aabb")
    assert (seen.clean.tolist(), seen.anonymized.tolist(), seen.rows.tolist()) == ([1] * 4, [0, 1, 1, 0], [0, 1, 2, 3])
    # taken for somebody else at 0.5: 60° for b at 30° and 0° for a; no original is
    assert findings.metrics[f"{NAME}/intrusion"].value == 0.5


def test_weights_have_one_name_in_target_and_judge():
    def same(embedder, **net):
        return bool(Judge(embedder).weights & target_weights({"recognition": {"net": net}}))

    assert same(Named(onnx="digest"), model="digest")
    assert not same(Named(onnx="digest"), model="other")
    name, digest = next(iter(WEIGHTS.items()))
    assert same(Named(facenet=digest), pretrained=name)
    assert not same(Named(facenet=digest), pretrained=None)
    assert not Judge(Named()).weights
    assert not target_weights({})
    assert not target_weights({"recognition": {"net": None}})


def test_originals_that_fail_are_named():
    lost = Embedded(np.array([[1.0, 0], [np.nan, np.nan], [np.nan, 0]]), np.array([True] * 3))
    with pytest.raises(UserError, match=f"{NAME} gives NaN, infinite or zero embeddings for 2 originals, such as q:"):
        Judge(Named())._check(lost, list("pqr"), NAME)
