"""People-folders of unaligned photos become what `data=folder` takes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from privacy_exp.data.folder import Folder
from privacy_exp.evaluation.aligned import spread, unaligned
from privacy_exp.photos.crops import CELEBA_SIZE, frame_points
from privacy_exp.photos.finding import MTCNNFinder
from privacy_exp.photos.prepare import prepare
from privacy_exp.sweep.aligning import align_first
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
    (people / "p7" / "phone.dng").write_bytes(b"no")
    done = prepare(people, tmp_path / "out", MTCNNFinder())
    assert sorted(done.written) == [
        *("p3/0.jpg.png", "p3/0.png.png", "p3/1.png", "p3/2.png"),
        *("p7/0.png", "p7/1.png", "p7/2.png"),
    ]
    assert set(done.left_out) == {"p3/two.png", "p7/nobody.png", "p7/broken.jpg", "p7/phone.dng"}
    listed = list(csv.DictReader((tmp_path / "out" / "left_out.csv").open()))
    assert {row["photo"] for row in listed} == set(done.left_out)
    data = Folder(str(tmp_path / "out"), split=[0.5, 0.0, 0.5], min_images_per_identity=2)
    data.setup()
    assert data.identities == ["p3", "p7"]
    assert data.image_size == CELEBA_SIZE
    points = [photo.landmarks for part in data.photos.values() for photo in part]
    assert len(points) == 7
    assert np.abs(np.array(points) - frame_points(CELEBA_SIZE).numpy()).max() < 14


def test_data_align_makes_the_crops_once_and_hands_on_an_ordinary_folder(people, tmp_path):
    (people / "groups.csv").write_text("path,group\np3/0.png,a\np3/1.png,a\np3/nobody.png,b\n")
    given = {"root": str(people), "align": True, "image_size": None}
    config = OmegaConf.create({"data": given, "cache": {"root": str(tmp_path / "store")}})
    found = align_first(config)
    assert config.data.align, "the caller's configuration was changed"
    assert found.data.align is False
    out = Path(found.data.root)
    made = {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert len(made) == 7
    assert (out / "groups.csv").read_text() == "path,group\np3/0.png.png,a\np3/1.png,a\n"
    assert align_first(config).data.root == str(out)
    assert {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in out.rglob("*.png")} == made
    Canvas(320, 260).add(5, 20, 30, 150).save(people / "p5" / "0.png")
    assert align_first(config).data.root != str(out)
    assert align_first(found) is found


@pytest.mark.parametrize(("changes", "words"), [({"root": None}, "data.root=DIR"), ({"root": "missing"}, "no missing")])
def test_what_cannot_be_aligned_is_refused(changes, words):
    with pytest.raises(UserError, match=words):
        align_first(OmegaConf.create({"data": {"align": True, **changes}}))


def test_a_folder_that_is_still_to_be_aligned_is_not_read(people):
    with pytest.raises(UserError, match=r"photos\.prepare"):
        Folder(str(people), align=True).setup()


def test_unaligned_photos_are_known_and_aligned_ones_are_not_accused(people, tmp_path):
    (people / "p3" / "0.jpg").unlink()
    prepare(people, tmp_path / "out", MTCNNFinder())
    for root, words in ((people, "data.align=true"), (tmp_path / "out", None)):
        data = Folder(str(root), split=[0.0, 0.0, 1.0], min_images_per_identity=2)
        data.setup()
        said = unaligned(data)
        assert said is None if words is None else words in said
        if words is None:
            (root / "landmarks.csv").unlink()  # found by MTCNN in their place
            data = Folder(str(root), split=[0.0, 0.0, 1.0], min_images_per_identity=2)
            data.setup()
            assert unaligned(data) is None


def test_the_spread_of_points_by_hand():
    face = np.array([[0, 0], [10, 0], [5, 5], [2, 9], [8, 9]], float)
    assert spread(np.stack([face, face])) == 0
    assert spread(np.stack([face, face + np.array([8, 0])])) == pytest.approx(0.4)  # each is 4 pixels from the mean


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
