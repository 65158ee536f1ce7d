"""How alike results are to each other, on vectors whose angles are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from privacy_exp.evaluation.utility.same_face import SameFace, of_draws, of_one_person, of_other_people
from privacy_exp.runs.folder import RunFolder
from tests.evaluation.five_photos import IDS, five_photos


def at(*degrees):
    turns = np.deg2rad(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


PEOPLE = np.array(list("aaabbc"))
TURNS = at(0, 60, 90, 0, 180, 60)


def test_pairs_of_one_person_by_hand():
    alone = np.arange(6)
    cosines = [(0.5 + 0) / 2, (0.5 + np.cos(np.pi / 6)) / 2, np.cos(np.pi / 6) / 2, -1, -1, np.nan]
    assert of_one_person(TURNS, PEOPLE, alone) == pytest.approx(cosines, abs=1e-6, nan_ok=True)
    shoot = np.array([0, 0, 1, 2, 3, 4])  # the first two are of one shoot
    without = [0, np.cos(np.pi / 6), np.cos(np.pi / 6) / 2, -1, -1, np.nan]
    assert of_one_person(TURNS, PEOPLE, shoot) == pytest.approx(without, abs=1e-6, nan_ok=True)
    lost = TURNS.copy()
    lost[1] = np.nan
    assert of_one_person(lost, PEOPLE, alone) == pytest.approx([0, np.nan, 0, -1, -1, np.nan], abs=1e-6, nan_ok=True)


def test_pairs_of_two_people_by_counting_them():
    lost = TURNS.copy()
    lost[3] = np.nan
    for vectors in (TURNS, lost):
        expected = [
            np.nanmean([one @ other for other, who in zip(vectors, PEOPLE, strict=True) if who != own])
            for one, own in zip(vectors, PEOPLE, strict=True)
            if np.isfinite(one).all()
        ]
        found = of_other_people(vectors, PEOPLE)
        assert found[np.isfinite(vectors).all(1)] == pytest.approx(expected)
        assert np.isnan(found[~np.isfinite(vectors).all(1)]).all()
    assert np.isnan(of_other_people(TURNS[:3], PEOPLE[:3])).all()


def test_pictures_of_one_photo_by_hand():
    draws = np.stack([at(0, 0, 0), at(60, 0, 0), at(0, 0, 0)])
    draws[2, 1] = draws[1:, 2] = np.nan
    assert of_draws(draws) == pytest.approx([(0.5 + 0.5 + 1) / 3, 1, np.nan], nan_ok=True)


class Level:
    """Sees the mean grey of a picture as an angle."""

    def embed(self, images):
        turn = images.mean((1, 2, 3)) * torch.pi / 2
        return torch.stack([turn.cos(), turn.sin()], 1)


@pytest.fixture
def scene(tmp_path):
    """Two pictures of each of five photos: one of a grey level for each person, one 30° further."""
    made = five_photos(tmp_path)
    levels = torch.tensor([0, 0, 1 / 3, 1 / 3, 2 / 3]).view(5, 1, 1, 1).expand(5, 3, 12, 12)
    labels = torch.tensor([0, 0, 1, 1, 2])
    RunFolder(made.folder.path, "png").save("results", IDS, labels, levels)
    RunFolder(made.folder.path / "draws" / "1", "png").save("results", IDS, labels, levels + 1 / 3)
    return replace(made, judges={"judge/level": Level()})


def test_a_record_says_which_face_comes_back(scene):
    found = SameFace().measure(scene, "utility/same_face")
    values = {name.removeprefix("utility/"): metric.value for name, metric in found.metrics.items()}
    cos = np.cos(np.pi / 6)
    # of p to q, q and r; of q to p, p and r; of r to p, p, q and q
    other = [(2 * cos + 0.5) / 3] * 2 + [cos] * 2 + [(0.5 + cos) / 2]
    assert values == {
        "same_person_similarity_level": pytest.approx(1, abs=1e-4),
        "other_people_similarity_level": pytest.approx(np.mean(other), abs=1e-4),
        "draws_similarity_level": pytest.approx(cos, abs=1e-4),
    }
    assert found.metrics["utility/same_person_similarity_level"].n == 4, "r has one photo"
    assert np.isnan(found.columns["utility/same_person_similarity_level"]).tolist() == [False] * 4 + [True]
    metric = found.metrics["utility/other_people_similarity_level"]
    assert metric.low < metric.value < metric.high


def test_what_cannot_be_had_says_why(scene):
    nobody = SameFace().measure(replace(scene, judges={}), "utility/same_face").metrics
    assert {metric.reason for metric in nobody.values()} == {"nobody looks: choose a judge, such as judge=[dlib]"}
    for path in (scene.folder.path / "draws" / "1" / "results").iterdir():
        path.unlink()
    (scene.folder.path / "draws" / "1" / "results").rmdir()
    (scene.folder.path / "draws" / "1").rmdir()
    once = SameFace().measure(scene, "utility/same_face").metrics["utility/draws_similarity_level"]
    assert (once.value, once.reason) == (
        None,
        "one picture of each face was painted: inpainting.num_draws=8 paints more",
    )
