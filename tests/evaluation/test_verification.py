"""Thresholds and rates against scikit-learn's ROC and by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from privacy_exp.evaluation import verification
from privacy_exp.evaluation.statistics.intervals import wilson
from privacy_exp.evaluation.verification import (
    Genuine,
    Threshold,
    accept_rate,
    accepted_share,
    equal_error_rate,
    far_name,
    genuine_pairs,
    impostor_pairs,
    same_photo,
    thresholds,
)


@pytest.fixture(params=[16, 512], ids=["small blocks", "one block"])
def people(request, monkeypatch):
    """30 people of 2 to 8 photos, embedded with noise; and all pairs in scikit-learn's terms."""
    monkeypatch.setattr(verification, "BLOCK", request.param)
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(30), rng.integers(2, 9, 30))
    rng.shuffle(who)
    embeddings = rng.normal(size=(30, 8))[who] + rng.normal(size=(len(who), 8)) * 0.7
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    i, j = np.triu_indices(len(who), 1)
    return embeddings, who, who[i] == who[j], (embeddings[i] * embeddings[j]).sum(1)


def test_tar_is_scikit_learns(people):
    embeddings, who, same, similarity = people
    far, tar, _ = roc_curve(same, similarity, drop_intermediate=False)
    pairs = genuine_pairs(embeddings, embeddings, who)
    assert len(pairs.similarity) == 2 * same.sum()
    for threshold in thresholds(embeddings, who, [0.05, 0.01]):
        measured = float((similarity[~same] >= threshold.value).mean())
        assert threshold.far - 1 / (~same).sum() <= measured <= threshold.far
        expected = tar[far <= threshold.far].max()
        assert accept_rate(pairs, threshold, who).value == pytest.approx(expected, abs=1e-9)


def test_equal_error_rate_is_scikit_learns(people):
    embeddings, who, same, similarity = people
    far, tar, _ = roc_curve(same, similarity, drop_intermediate=False)
    closest = np.argmin(np.abs(far - (1 - tar)))
    assert equal_error_rate(embeddings, who) == pytest.approx((far[closest] + 1 - tar[closest]) / 2, abs=2e-3)


def test_too_few_impostor_pairs_give_no_threshold():
    who = np.array([0, 0, 1, 1])
    assert impostor_pairs(who) == 4
    found = thresholds(np.eye(4), who, [0.01])[0]
    assert found == Threshold(0.01, None, 4, "4 impostor pairs, 3000 needed")
    metric = accept_rate(genuine_pairs(np.eye(4), np.eye(4), who), found, who)
    assert (metric.value, metric.reason) == (None, "4 impostor pairs, 3000 needed")


def test_exactly_enough_pairs_are_enough():
    who = np.arange(25)  # 300 pairs
    found = thresholds(np.eye(25), who, [0.1, 0.05])
    assert found[0].value is not None
    assert found[1].value is None


def test_pairs_of_people_decide_a_threshold_not_pairs_of_photos():
    """Two people look alike in all their 10 photos each: their 100 pairs lie highest, and are one pair of people."""
    who = np.repeat(np.arange(10), 10)
    embeddings = np.eye(10)[who]
    embeddings[who == 1] = 0.9 * np.eye(10)[0] + np.sqrt(1 - 0.81) * np.eye(10)[1]
    embeddings[:5] = np.eye(10)[2]  # half of person 0's photos look like person 2's: 50 pairs more, and 50 fewer
    loose, strict = thresholds(embeddings, who, [0.022, 0.01])  # of 4,500 pairs of photos 99 and 45
    assert (loose.pairs, strict.pairs) == (4500, 4500)
    assert loose.pairs_of_people == 1, "the 50 at 1; the next 50, at 0.9, would be one too many"
    assert loose.few_people
    spread = thresholds(np.eye(60), np.arange(60), [0.5])[0]
    assert (spread.pairs_of_people, spread.few_people) == (0, True), "all tie: nobody lies above"
    apart = np.random.default_rng(0).normal(size=(60, 8))
    apart /= np.linalg.norm(apart, axis=1, keepdims=True)
    assert thresholds(apart, np.arange(60), [0.02])[0].pairs_of_people == 35, "one photo each: 1,770 · 0.02"
    assert not thresholds(apart, np.arange(60), [0.02])[0].few_people


def test_similarities_that_tie_never_exceed_the_rate():
    who = np.arange(30)
    embeddings = np.tile([[1.0, 0.0]], (30, 1))
    threshold = thresholds(embeddings, who, [0.1])[0]
    assert threshold.value > 1, "all impostors tie: nobody may be accepted"


def test_counts_by_hand():
    who = np.array([0, 0, 0, 1, 1])
    # pairs (k, i) of person 0: three photos, six ordered pairs; of person 1: two
    a = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    pairs = genuine_pairs(a, a, who)
    assert sorted(zip(pairs.probe.tolist(), pairs.similarity.tolist(), strict=True)) == [
        (0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0), (2, 0.0), (2, 0.0), (3, 1.0), (4, 1.0)]  # fmt: skip
    metric = accept_rate(pairs, Threshold(0.01, 0.5, 3000), who)
    assert (metric.value, metric.n) == (0.5, 5)
    assert accepted_share(pairs, Threshold(0.01, 0.5, 3000), 6).tolist()[:5] == [0.5, 0.5, 0, 1, 1]
    assert np.isnan(accepted_share(pairs, Threshold(0.01, 0.5, 3000), 6)[5]), "no pair, no share"


def test_pairs_of_one_photo_are_no_further_people():
    pairs = Genuine(np.ones(40), np.repeat(np.arange(4), 10))
    metric = accept_rate(pairs, Threshold(0.01, 0.5, 3000), np.array([0, 0, 1, 1]))
    assert (metric.low, metric.high) == wilson(1.0, 2)  # at 1 even the two photos of a person count once


def test_pairs_are_no_further_trials():
    """8 photos of 8 people with 10 pairs each, half of them accepted: as wide as Wilson's interval of 8 trials."""
    pairs = Genuine(np.tile([0.0, 1.0], 40), np.repeat(np.arange(8), 10))
    metric = accept_rate(pairs, Threshold(0.01, 0.5, 3000), np.arange(8))
    low, high = wilson(0.5, 8)
    assert metric.low <= low + 1e-9
    assert high - 1e-9 <= metric.high


def test_at_the_threshold_a_pair_is_accepted():
    pairs = Genuine(np.array([0.5, 0.4]), np.arange(2))
    at = Threshold(0.01, 0.5, 3000)
    assert accept_rate(pairs, at, np.arange(2)).value == 0.5
    assert accepted_share(pairs, at, 2).tolist() == [1, 0]


def test_an_impostor_as_alike_as_a_genuine_pair_is_accepted_with_it():
    """All similarities are 1: everybody is accepted; of the four equal genuine pairs the last is the closest step."""
    assert equal_error_rate(np.tile([[1.0, 0.0]], (4, 1)), np.array([0, 0, 1, 1])) == (1 + 3 / 4) / 2


def test_a_face_that_cannot_be_embedded_is_not_accepted():
    who = np.array([0, 0])
    probes = np.array([[np.nan, np.nan], [1.0, 0.0]])
    pairs = genuine_pairs(np.array([[1.0, 0.0]] * 2), probes, who)
    assert accept_rate(pairs, Threshold(0.01, 0.5, 3000), who).value == 0.5


def test_names_of_rates():
    assert [far_name(far) for far in (0.01, 0.001, 0.05, 1e-4)] == ["1e-2", "1e-3", "5e-2", "1e-4"]


def test_rates_outside_the_open_interval():
    with pytest.raises(ValueError, match=r"`fars` must lie in \(0, 1\), but got 1"):
        thresholds(np.eye(3), np.arange(3), [0.01, 1.0])


def test_photos_of_one_group_are_no_pair():
    who, groups = np.array([0, 0, 0, 1, 1]), np.array(["s", "s", "t", "u", "u"])
    pairs = genuine_pairs(np.eye(5), np.eye(5), who, groups)
    assert sorted(pairs.probe.tolist()) == [0, 1, 2, 2], "0-2, 1-2 in either order; 0-1 and 3-4 are of one shoot"
    assert equal_error_rate(np.eye(5), np.array([0, 0, 1, 1, 2]), np.array(["s", "s", "t", "t", "v"])) is None


def test_float32_and_float64_decide_alike_at_the_threshold():
    """An embedder that has collapsed: every similarity is the same, so that nobody may be accepted by any figure."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        one = rng.normal(size=64).astype(np.float32)
        same = np.tile(one / np.linalg.norm(one), (40, 1))
        who = np.repeat(np.arange(20), 2)
        threshold = thresholds(same, who, [0.1])[0]
        assert accept_rate(genuine_pairs(same, same, who), threshold, who).value == 0
        assert not (same_photo(same, same) >= threshold.value).any()
