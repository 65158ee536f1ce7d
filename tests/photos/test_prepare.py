"""People-folders of unaligned photos become what `data=folder` takes."""

import csv

import numpy as np
import pytest
from PIL import Image

from privacy_exp.data.folder import Folder
from privacy_exp.photos.crops import CELEBA_SIZE, frame_points
from privacy_exp.photos.finding import MTCNNFinder
from privacy_exp.photos.prepare import prepare
from privacy_exp.types import UserError
from tests.photos.conftest import Canvas


@pytest.fixture
def people(tmp_path):
    root = tmp_path / "people"
    for person in (3, 7):
        for k, (side, left) in enumerate(((150, 20), (200, 60), (120, 100))):
            Canvas(320, 260, seed=10 * person + k).add(person, left, 30, side).save(root / f"p{person}" / f"{k}.png")
    Canvas(320, 260, seed=99).add(3, 20, 30, 150).save(root / "p3" / "0.jpg")  # beside 0.png
    return root


def test_the_crops_are_a_data_set_with_landmarks_on_the_template(people, tmp_path):
    Canvas(560, 300).add(3, 20, 60, 200).add(7, 320, 60, 190).save(people / "p3" / "two.png")
    Canvas(200, 200).save(people / "p7" / "nobody.png")
    (people / "p7" / "broken.jpg").write_bytes(b"no")
    (people / "p7" / "phone.heic").write_bytes(b"no")
    done = prepare(people, tmp_path / "out", MTCNNFinder())
    assert sorted(done.written) == [
        *("p3/0.jpg.png", "p3/0.png.png", "p3/1.png", "p3/2.png"),
        *("p7/0.png", "p7/1.png", "p7/2.png"),
    ]
    assert set(done.left_out) == {"p3/two.png", "p7/nobody.png", "p7/broken.jpg", "p7/phone.heic"}
    listed = list(csv.DictReader((tmp_path / "out" / "left_out.csv").open()))
    assert {row["photo"] for row in listed} == set(done.left_out)
    data = Folder(str(tmp_path / "out"), split=[0.5, 0.0, 0.5], min_images_per_identity=2)
    data.setup()
    assert data.identities == ["p3", "p7"]
    assert data.image_size == CELEBA_SIZE
    points = [photo.landmarks for part in data.photos.values() for photo in part]
    assert len(points) == 7
    assert np.abs(np.array(points) - frame_points(CELEBA_SIZE).numpy()).max() < 14


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda t: (t / "missing", t / "out"), "there is no"),
        (lambda t: (t / "people", t / "people" / "out"), "lies in it"),
        (lambda t: (t / "people", t / "full"), "holds files"),
        (lambda t: (t / "flat", t / "out"), "lies in"),
        (lambda t: (t / "empty", t / "out"), "no photo with exactly one face"),
    ],
)
def test_bad_folders_are_refused_and_nothing_is_written(make, words, people, tmp_path):
    for name in ("full", "flat", "empty/p1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "full" / "mine").write_text("")
    Image.new("RGB", (64, 64)).save(tmp_path / "flat" / "a.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "empty" / "p1" / "a.png")
    with pytest.raises(UserError, match=words):
        prepare(*make(tmp_path), MTCNNFinder())
    assert not (tmp_path / "out").exists()
