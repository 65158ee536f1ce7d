"""Who is called best and what lies on the front, against statsmodels and against counting by hand."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from privacy_exp.report.collect import collect
from privacy_exp.report.ranking import best, compare, pareto_front
from privacy_exp.report.sections import sections
from tests.report.sample import Sample, edit_record, make_sweep


def section(folder, **sample):
    """The one section of a made sweep without pictures."""
    make_sweep(folder, Sample(pictures=False, **sample))
    (found,) = sections(collect([folder]).cells)
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return section(tmp_path_factory.mktemp("ranking") / "study")


def fooled(cell) -> np.ndarray:
    known = cell.images[cell.images["pred"] == cell.images["label"]]
    return (known["pred_anonymized"] != known["label"]).to_numpy()


def test_leaders_are_tested_on_the_same_photos_and_corrected_for_every_pair(study):
    found = compare(study)
    assert len(found) == 9 * 2, "nine classes of three methods: the leader against two others"
    pairs = 9 * 3
    reference = multipletests([c.difference.p for c in found] + [1.0] * (pairs - len(found)), method="holm")[1]
    np.testing.assert_allclose([c.p_holm for c in found], reference[: len(found)])
    for comparison in found:
        leader, other = (fooled(study.cells[index]) for index in (comparison.leader, comparison.other))
        assert comparison.difference.n == 96, "all photos; each rate is of those that were recognised before"
        assert comparison.difference.identities == 24
        assert comparison.difference.value == pytest.approx(leader.mean() - other.mean())
        table = [[np.sum(leader & other), np.sum(leader & ~other)], [np.sum(~leader & other), np.sum(~leader & ~other)]]
        assert comparison.p_mcnemar == pytest.approx(mcnemar(table, exact=True).pvalue)
        assert study.row(comparison.leader)["mask_ratio"] == study.row(comparison.other)["mask_ratio"]


def test_only_who_beats_all_of_its_class_is_best(study):
    found = compare(study)
    marked = best(found)
    assert marked, "the sample has a method that is far ahead at large ratios"
    for leader in {comparison.leader for comparison in found}:
        own = [c for c in found if c.leader == leader]
        assert (leader in marked) == all(c.p_holm < 0.05 and c.difference.value > 0 for c in own)
    assert {study.cells[index].method for index in marked} == {"grad_cam"}


def test_equal_methods_are_not_told_apart(tmp_path):
    equal = section(tmp_path / "study", methods=("a", "b"), ratios=(0.25,), scales=(1.0,))
    (comparison,) = compare(equal)
    assert comparison.difference.value == 0
    assert comparison.difference.p == 1
    assert best([comparison]) == set()


def test_too_few_people_are_not_tested(tmp_path):
    few = section(tmp_path / "study", people=19, ratios=(0.5,), scales=(7.5,))
    assert {c.difference.p for c in compare(few)} == {None}
    assert all("19 identities" in c.difference.reason for c in compare(few))
    assert best(compare(few)) == set()


def test_below_the_gate_nothing_is_compared(tmp_path):
    weak = section(tmp_path / "study", right=0.5, ratios=(0.5,), scales=(7.5,))
    assert compare(weak) == []
    assert pareto_front(weak, "fool_rate", "utility/ssim") == []


def test_the_front_is_what_nobody_beats_in_both(study):
    (front,) = pareto_front(study, "strongest_observer", "utility/ssim")
    points = [(c.metric("strongest_observer").value, c.metric("utility/ssim").value) for c in study.cells]

    def beaten(index: int) -> bool:
        x, y = points[index]
        return any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)

    assert sorted(points[i] for i in front) == sorted({p for i, p in enumerate(points) if not beaten(i)})
    assert front == sorted(front, key=lambda i: points[i][0])


def test_other_observers_make_another_front(tmp_path):
    folder = make_sweep(tmp_path / "study", Sample(pictures=False, ratios=(0.25,), scales=(1.0,)))
    record = collect([folder]).cells[1].record
    metrics = dict(record["metrics"])
    metrics["strongest_observer"] = metrics["strongest_observer"] | {"observers": ["judge/onnx", "target"]}
    edit_record(folder / "1", metrics=metrics)
    (found,) = sections(collect([folder]).cells)
    fronts = pareto_front(found, "strongest_observer", "utility/ssim")
    assert [1] in fronts
    assert len(fronts) == 2
