"""Comparing runs: the sentinel, whose differences and p values are known."""

import json

import pandas as pd
import pytest
from sentinels import known, sentinel_run, sentinel_table

from privacy_exp.report.compared import compare_runs


@pytest.fixture
def runs(tmp_path):
    return str(sentinel_run(tmp_path / "a", "a")), str(sentinel_run(tmp_path / "b", "b"))


def by_name(found):
    return {one.name: one for one in found}


def test_differences_and_p_values_are_the_known_ones(runs, tmp_path, capsys):
    found = by_name(compare_runs(*runs, flips=20_000, out=str(tmp_path / "out.json")))
    assert list(found) == ["strongest_observer", "fool_rate", "accuracy_anonymized", "rank", "prob_anonymized"]
    for name in ("strongest_observer", "fool_rate", "accuracy_anonymized"):
        difference = found[name].difference
        assert (difference.a, difference.b) == pytest.approx((known("a")[name], known("b")[name]))
        assert difference.value == pytest.approx(known("a")[name] - known("b")[name])
    assert found["rank"].difference.value == pytest.approx(2.5 - 2.0)
    assert found["prob_anonymized"].difference.value == pytest.approx(0.275 - 0.45)
    # p06 … p11 are seen in b alone, everybody else alike: six people whose signs all agree in 2 of 2^6 patterns
    for name in ("fool_rate", "accuracy_anonymized", "rank", "prob_anonymized"):
        assert found[name].difference.p == pytest.approx(2 / 2**6, abs=0.005)
    # the same as twelve independent photos
    assert found["accuracy_anonymized"].mcnemar == pytest.approx(2 / 2**12)
    assert found["fool_rate"].mcnemar == pytest.approx(2 / 2**12)
    assert found["rank"].mcnemar is None
    assert found["strongest_observer"].mcnemar is None
    lowest = min(one.difference.p for one in found.values())
    assert min(one.p_holm for one in found.values()) == pytest.approx(5 * lowest)
    printed = capsys.readouterr().out
    assert "48 images of 24 people" in printed
    assert "fool_rate: 0.727 in a, 0.455 in b: no difference can be claimed" in printed
    assert "four times in five" in printed
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["figures"]["rank"]["value"] == pytest.approx(0.5)


def test_a_difference_is_called_one(tmp_path, runs, capsys):
    nobody = sentinel_table("a").assign(**{"pred_anonymized": 30, "rank": 3.0, "prob_anonymized": 0.1})
    nobody = nobody.assign(**{"recognised/target": 0.0, "recognised/judge/a": 0.0})
    other = sentinel_run(tmp_path / "nobody", "b", nobody)
    found = by_name(compare_runs(str(other), runs[1]))
    assert found["accuracy_anonymized"].p_holm < 0.05
    assert "accuracy_anonymized: 0.000 in a, 0.500 in b: a is lower by 0.500" in capsys.readouterr().out


def test_a_run_against_itself_differs_in_nothing(runs, tmp_path, capsys):
    found = compare_runs(runs[0], str(sentinel_run(tmp_path / "again", "a")))
    assert {one.difference.value for one in found} == {0.0}
    assert {one.p_holm for one in found} == {1.0}
    assert capsys.readouterr().out.count("the same for every person") == len(found)


def test_other_observers_are_not_ranked(tmp_path, runs, capsys):
    metrics = json.loads((tmp_path / "b" / "record.json").read_text())["metrics"]
    metrics["strongest_observer"]["observers"] = ["target"]
    fewer = sentinel_run(tmp_path / "fewer", "b", metrics=metrics)
    found = by_name(compare_runs(runs[0], str(fewer)))
    assert found["strongest_observer"].difference.value is None
    assert found["strongest_observer"].p_holm is None
    assert found["fool_rate"].p_holm is not None
    assert (
        "strongest_observer: not compared: other observers took part: judge/a, target against target"
        in capsys.readouterr().out
    )


def test_few_people_are_described_and_not_tested(tmp_path, capsys):
    tables = {name: sentinel_table(name).query("label < 19") for name in "ab"}
    a, b = (str(sentinel_run(tmp_path / name, name, table)) for name, table in tables.items())
    found = compare_runs(a, b)
    assert {(one.difference.p, one.p_holm) for one in found} == {(None, None)}
    assert all(one.difference.value is not None for one in found)
    assert "not tested: 19 identities, 20 needed" in capsys.readouterr().out


def test_seeds_of_a_cell_are_pooled_by_image(tmp_path, runs, capsys):
    better = sentinel_table("a").assign(**{"pred_anonymized": lambda t: t["label"].where(t["label"] < 12, 30)})
    second = sentinel_run(tmp_path / "a1", "a", better, seed=1)
    found = by_name(compare_runs([runs[0], str(second)], runs[1]))
    assert found["accuracy_anonymized"].difference.a == pytest.approx((12 + 24) / 2 / 48)
    assert found["fool_rate"].difference.a == pytest.approx((32 + 20) / 2 / 44)
    assert found["accuracy_anonymized"].mcnemar is None, "two pictures of a photo are no pair"
    assert found["fool_rate"].difference.n == 48
    assert "seed 0, 1" in capsys.readouterr().out


def test_an_image_without_a_value_counts_in_neither_mean(tmp_path, runs):
    table = sentinel_table("a")
    table["utility/landmark_error"] = pd.array([None, *[0.25] * 47], dtype="Float64")
    a = sentinel_run(tmp_path / "error_a", "a", table)
    b = sentinel_run(tmp_path / "error_b", "b", table.assign(**{"utility/landmark_error": 0.75}))
    difference = by_name(compare_runs(str(a), str(b)))["utility/landmark_error"].difference
    assert (difference.a, difference.b) == pytest.approx((0.25, 0.75))


def other_images(path):
    return sentinel_run(path, "b", sentinel_table("b").assign(image_id=lambda t: "x" + t["image_id"]))


def other_people(path):
    return sentinel_run(path, "b", sentinel_table("b").assign(identity=lambda t: t["identity"].str.upper()))


def other_data(path):
    return sentinel_run(path, "b", details={"data_digest": "other", "observers": {}})


def damaged(path):
    sentinel_run(path, "b")
    (path / "record.json").write_text("{")
    return path


def unfinished(path):
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_images, ["same images", "96 stand in one only", "data.manifest"]),
        (other_people, ["same images", "p00_0", "P00"]),
        (other_data, ["different data", "data.manifest"]),
        (damaged, ["record.json", "damaged"]),
        (unfinished, ["no record.json", "not a finished run"]),
    ],
)
def test_runs_that_cannot_be_compared_say_why(tmp_path, runs, make, words):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        compare_runs(runs[0], str(make(tmp_path / "other")), out=str(tmp_path / "out.json"))
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.json").exists()


def test_runs_that_cannot_be_pooled_say_why(tmp_path, runs):
    with pytest.raises(ValueError, match=r"differs from .* in masking"):
        compare_runs(list(runs), runs[1])
    with pytest.raises(ValueError, match=r"different seeds, but their seeds are \[0, 0\]"):
        compare_runs([runs[0], runs[0]], runs[1])
    with pytest.raises(ValueError, match="`a` must name a run folder"):
        compare_runs([], runs[1])
    with pytest.raises(ValueError, match="`flips` must be at least 1000"):
        compare_runs(*runs, flips=10)


def test_the_command_takes_folders_and_lists(runs):
    from hydra import compose, initialize_config_dir

    from privacy_exp.compare import run
    from privacy_exp.sweep.entry import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("compare", overrides=[f"a={runs[0]}", f"b=[{runs[1]}]", "flips=1000"])
    assert run(config)["rank"] == pytest.approx(0.5)
