"""What is left alone: regions at equal area, and people."""

import numpy as np
import pytest
import torch

from privacy_exp.inpainting.controls import MeanFill
from privacy_exp.masking.face_oval import FaceOval
from privacy_exp.masking.random_patches import RandomPatches
from privacy_exp.photos.crops import CELEBA_SIZE, cut, frame_points, paste, placement, territories
from privacy_exp.photos.finding import MTCNNFinder
from privacy_exp.photos.folder import anonymize_folder
from privacy_exp.photos.keeping import KnownPeople, kept_region, masks_that_keep
from privacy_exp.photos.looking import Watcher, measured, watcher
from privacy_exp.photos.review import closing
from privacy_exp.photos.treating import PhotoAnonymizer
from privacy_exp.types import Faces, UserError
from tests.photos.conftest import Canvas
from tests.photos.test_folder import Colours


def one_face(count=1):
    points = frame_points(CELEBA_SIZE).expand(count, 5, 2)
    return Faces([f"f{i}" for i in range(count)], torch.rand(count, 3, *CELEBA_SIZE), None, points)


@pytest.mark.parametrize("names", [["eyes"], ["nose"], ["mouth"], ["eyes", "mouth"]])
@pytest.mark.parametrize("masker", [FaceOval(aspect=1.3), RandomPatches(patch_size=16)])
def test_kept_regions_are_in_no_mask_and_the_area_is_exact(names, masker):
    faces = one_face()
    masks = masks_that_keep(masker, faces, masker.rank(faces, None, 0), 0.25, 0, names)
    kept = kept_region(names, faces.landmarks[0], *CELEBA_SIZE)
    assert kept.any()
    assert int(masks.sum()) == round(0.25 * 218 * 178)
    assert not (masks[0, 0] & kept).any()


def test_regions_lie_where_their_points_are():
    points = frame_points(CELEBA_SIZE)
    for name, rows in (("eyes", (0, 1)), ("nose", (2,)), ("mouth", (3, 4))):
        kept = kept_region([name], points, *CELEBA_SIZE)
        for row in range(5):
            x, y = points[row].round().int().tolist()
            assert bool(kept[y, x]) == (row in rows)
    mouth = kept_region(["mouth"], points, *CELEBA_SIZE)
    x, y = ((points[3] + points[4]) / 2).round().int().tolist()
    assert mouth[y, x]


def test_a_budget_beyond_what_is_left_is_refused():
    faces, masker = one_face(), FaceOval(aspect=1.3)
    with pytest.raises(UserError, match="more than the 0"):
        masks_that_keep(masker, faces, masker.rank(faces, None, 0), 0.99, 0, ["eyes", "mouth", "nose"])


def test_unknown_regions_are_refused():
    with pytest.raises(UserError, match="'ears'"):
        PhotoAnonymizer(FaceOval(aspect=1.3), MeanFill(), keep=["ears"])


def test_people_who_are_to_be_kept_stay_as_they_are(tmp_path, party):
    Canvas(260, 260).add(3, 30, 30, 200).save(tmp_path / "family" / "one.png")
    (tmp_path / "family" / "broken.png").write_bytes(b"no")
    watching = Watcher("colours", Colours(), threshold=0.9, strict=0.97)
    treat = PhotoAnonymizer(FaceOval(aspect=1.3), MeanFill())
    people = KnownPeople(tmp_path / "family", watching, treat.finder, CELEBA_SIZE)
    assert people.names == ["one.png"]
    assert len(people.left_out) == 1
    treat = PhotoAnonymizer(FaceOval(aspect=1.3), MeanFill(), people=people)
    (treated,) = treat(["a"], [party.pixels], [treat.finder.find(party.pixels)])
    first, second = treated.faces
    assert first.kept is not None
    assert "one.png" in first.kept
    assert not first.treated
    assert second.treated
    left, top, right, bottom = party.boxes[0]
    inner = (slice(top + 20, bottom - 20), slice(left + 20, right - 20))
    assert np.array_equal(treated.pixels[inner], party.pixels[inner])


def test_it_is_said_how_near_keep_people_came(tmp_path, party):
    Canvas(260, 260).add(3, 30, 30, 200).save(tmp_path / "family" / "one.png")
    party.save(tmp_path / "in" / "party.png")
    finder = MTCNNFinder()
    for strict, kept, more in (
        (0.97, "1 face", ""),
        (1.5, "0 faces", " More photos of each person in its folder help."),
    ):
        people = KnownPeople(tmp_path / "family", Watcher("colours", Colours(), 0.9, strict), finder, CELEBA_SIZE)
        treat = PhotoAnonymizer(FaceOval(aspect=1.3), MeanFill(), people=people, finder=finder)
        outcome = anonymize_folder(tmp_path / "in", tmp_path / f"out{strict}", treat, {})
        (line,) = [line for line in closing(outcome) if line.startswith("keep_people")]
        assert f"{kept} left alone, from a similarity of {strict:.2f} on; the nearest of the others reaches 0." in line
        assert line.endswith(f".{more}")


def test_a_folder_without_faces_keeps_nobody(tmp_path):
    Canvas(100, 100).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="no face"):
        KnownPeople(
            tmp_path, Watcher("c", Colours(), 0.5, 0.5), PhotoAnonymizer(FaceOval(1.3), MeanFill()).finder, (218, 178)
        )


def test_an_observer_without_a_measured_threshold_is_refused():
    with pytest.raises(UserError, match=r"threshold\.colours"):
        watcher("colours", Colours())
    assert watcher("colours", Colours(), 0.4).threshold == 0.4


def test_the_threshold_is_what_the_share_of_strangers_reaches():
    angles = np.deg2rad([0, 10, 50, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    people = np.array([0, 0, 1, 2])
    # strangers: 50, 40, 90, 80 and 40 degrees apart
    alike = np.cos(np.deg2rad([50, 40, 90, 80, 40]))
    assert measured(vectors, people, 0.2) == pytest.approx(np.quantile(alike, 0.8), abs=1e-6)


def test_a_crop_that_is_pasted_back_unchanged_changes_hardly_a_grey_level(party):
    found = PhotoAnonymizer(FaceOval(1.3), MeanFill()).finder.find(party.pixels)[0]
    matrix = placement(found.landmarks, CELEBA_SIZE)
    crop = cut(party.pixels, matrix, CELEBA_SIZE)
    pixels = party.pixels.copy()
    paste(pixels, crop, torch.ones(1, *CELEBA_SIZE, dtype=torch.bool), matrix)
    difference = np.abs(pixels.astype(int) - party.pixels)
    assert difference.mean() < 3
    assert (pixels != party.pixels).any()


def test_five_points_land_on_the_template(party):
    found = PhotoAnonymizer(FaceOval(1.3), MeanFill()).finder.find(party.pixels)[0]
    matrix = placement(found.landmarks, CELEBA_SIZE)
    landed = torch.from_numpy(found.landmarks) @ matrix[:, :2].T + matrix[:, 2]
    assert float((landed - frame_points(CELEBA_SIZE)).norm(dim=1).max()) < 12


def test_every_pixel_belongs_to_one_of_two_faces_that_meet():
    eye = torch.eye(2)
    a = torch.cat([eye, torch.tensor([[0.0], [0.0]])], 1)
    b = torch.cat([eye, torch.tensor([[-60.0], [0.0]])], 1)
    far = torch.cat([eye, torch.tensor([[-900.0], [0.0]])], 1)
    first, second, third = territories([a, b, far], CELEBA_SIZE, (300, 1200))
    assert third is None
    assert not (first & second).any()
    assert (first | second)[100, :400].all()
