"""Ranks counted by hand, and ties as their expectation."""

import numpy as np
import pytest

from privacy_exp.evaluation import identification
from privacy_exp.evaluation.identification import identify, normalised, rank_metrics
from privacy_exp.types import Metric


def plane(*degrees):
    """Unit vectors in the plane: similarity falls with the angle between them."""
    angles = np.deg2rad(np.array(degrees, dtype=np.float64))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


WHO = np.array(["a", "a", "b", "b", "c", "c"])
GALLERY = plane(0, 10, 40, 50, 80, 90)
OWN = np.arange(6)


def test_counts_by_hand():
    found = identify(plane(0, 42, 45, 100, 70, 5), WHO, GALLERY, WHO, OWN, OWN, ranks=(1, 2))
    # nearest without the own photo: a (10°); 42° is nearest to b, then a (0°, its own being 10°); 45° to b at 50°;
    # 100° to c, then b at 40°; 70° to c at 90° before b at 50°? both 20° away: a tie; 5° to a, b, c (80°).
    np.testing.assert_allclose(found.hits[:, 0], [1, 0, 1, 0, 0.5, 0])
    np.testing.assert_allclose(found.hits[:, 1], [1, 0, 1, 1, 1, 0])
    assert found.num_identities == 3
    assert identify(GALLERY, WHO, GALLERY, WHO).ranks == (1, 5, 10), "those of the published tables"
    assert found.known.all()
    np.testing.assert_allclose(found.best_other, np.cos(np.deg2rad([40, 2, 35, 10, 20, 5])), atol=1e-6)


def test_brute_force_over_random_embeddings(monkeypatch):
    monkeypatch.setattr(identification, "BLOCK", 7)
    rng = np.random.default_rng(0)
    who = rng.integers(0, 6, 40)
    gallery, probes = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 40, 5)))
    found = identify(probes, who, gallery, who, np.arange(40), np.arange(40), ranks=(1, 3))
    for i in range(40):
        best = {
            p: max((probes[i] @ gallery[k] for k in range(40) if who[k] == p and k != i), default=-2) for p in set(who)
        }
        rank = sorted(best, key=lambda p: -best[p]).index(who[i]) + 1
        assert found.hits[i].tolist() == [float(rank <= 1), float(rank <= 3)]
        assert found.best_other[i] == pytest.approx(max(v for p, v in best.items() if p != who[i]), abs=1e-6)


def test_probes_come_in_blocks_that_meet_and_do_not_overlap(monkeypatch):
    monkeypatch.setattr(identification, "BLOCK", 4)
    columns = np.array([0, 0, 1, 1, 2, 2])
    blocks = list(identification._best_by_identity(GALLERY, GALLERY, columns, 3, None))
    assert [rows for rows, _ in blocks] == [slice(0, 4), slice(4, 6)]
    assert [best.shape for _, best in blocks] == [(4, 3), (2, 3)]


def test_ties_count_as_their_expectation():
    same = np.tile(plane(30), (6, 1))
    found = identify(same, WHO, same, WHO, OWN, OWN, ranks=(1, 2, 3))
    np.testing.assert_allclose(found.hits, np.tile([1 / 3, 2 / 3, 1.0], (6, 1)))
    metrics = rank_metrics(identify(same, WHO, same, WHO, OWN, OWN, ranks=(1,)), WHO)
    assert metrics["rank_1"].value == pytest.approx(1 / 3)
    assert metrics["rank_1_normalised"].value == pytest.approx(0)


def test_a_face_that_cannot_be_embedded_is_a_guess_and_is_kept():
    probes = plane(0, 10, 40, 50, 80, 90)
    probes[2] = np.nan
    found = identify(probes, WHO, GALLERY, WHO, OWN, OWN)
    assert found.known.all()
    assert found.rank_1.tolist() == [1, 1, pytest.approx(1 / 3), 1, 1, 1]
    assert np.flatnonzero(np.isnan(found.best_other)).tolist() == [2]


def test_nobody_is_found_by_their_own_photo_alone():
    who = np.array(["a", "a", "b"])
    found = identify(plane(0, 10, 90), who, plane(0, 10, 90), who, np.arange(3), np.arange(3))
    assert found.known.tolist() == [True, True, False]
    assert rank_metrics(found, who)["rank_1"].n == 2


def test_a_probe_of_nobody_in_the_gallery():
    found = identify(plane(0, 3), np.array(["a", "z"]), GALLERY, WHO)
    assert found.known.tolist() == [True, False]
    assert found.best_other[1] == pytest.approx(np.cos(np.deg2rad(3)), abs=1e-6)


def test_normalised():
    rate = normalised(Metric(0.6, 0.5, 0.7, 9), 0.2)
    assert (rate.value, rate.low, rate.high, rate.n) == (*map(pytest.approx, (0.5, 0.375, 0.625)), 9)
    sure = normalised(Metric(1.0, 0.9, 1.0, 9), 1.0)
    assert (sure.value, sure.n, sure.reason) == (None, 9, "as many ranks as identities: a guess is always right")
    assert normalised(Metric(0.6, 0.5, 0.7, 9, "below_gate"), 0.2).reason == "below_gate"
    assert normalised(Metric(0.0, 0.0, 0.0, 9), 0.5).value == -1, "worse than a guess"
    for part in (Metric(0.6, None, 0.7, 9), Metric(0.6, 0.5, None, 9), Metric(None, 0.5, 0.7, 9)):
        assert normalised(part, 0.2) == part
    assert normalised(Metric(None, None, None, 0, "why"), 0.2).reason == "why"


def test_one_person_cannot_be_told_apart():
    with pytest.raises(ValueError, match="`gallery` must hold at least 2 identities"):
        identify(plane(0, 1), WHO[:2], plane(0, 1), WHO[:2])


def test_a_whole_group_leaves_the_gallery_with_its_probe():
    groups = np.array(["shoot", "shoot", "x", "y", "z", "w"])  # both photos of a are of one shoot
    found = identify(GALLERY, WHO, GALLERY, WHO, groups, groups, ranks=(1,))
    assert found.known.tolist() == [False, False, True, True, True, True]
    apart = identify(GALLERY, WHO, GALLERY, WHO, OWN, OWN, ranks=(1,))
    assert apart.known.all()


def test_a_group_of_two_people_leaves_with_either():
    groups = np.array(["a0", "both", "b0", "both", "c0", "c1"])  # the photos at 10° and 50° are of one shoot
    found = identify(plane(9), np.array(["b"]), GALLERY, WHO, np.array(["both"]), groups, ranks=(1,))
    assert found.best_other[0] == pytest.approx(np.cos(np.deg2rad(9)), abs=1e-6)  # a at 0°, without that at 10°
