"""Drawn faces: the same picture for the same numbers, the truth that comes with it, and CelebA's layout."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from privacy_exp.data.celeba import CelebA
from privacy_exp.data.drawn.drawing import draw, facts
from privacy_exp.data.drawn.faces import DRAWING, DrawnFaces, numbers_of
from privacy_exp.draw import run
from privacy_exp.sweep.entry import CONF

PHOTO_LEVEL = ("Eyeglasses", "Smiling", "Mouth_Slightly_Open")


def test_same_numbers_same_picture_in_any_order() -> None:
    first = draw(0, 3, 2)
    draw(0, 9, 0), draw(5, 3, 2)
    again = draw(0, 3, 2)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.landmarks, again.landmarks)
    assert first.attributes == again.attributes


@pytest.mark.parametrize("other", [(1, 3, 2), (0, 4, 2), (0, 3, 3)])
def test_other_numbers_other_picture(other: tuple[int, int, int]) -> None:
    difference = draw(0, 3, 2).image.astype(int) - draw(*other).image
    assert np.abs(difference).mean() > 5


@pytest.mark.parametrize("size", [32, 64, 75, 97])
def test_any_size_shows_the_same_photo(size: int) -> None:
    small, large = draw(0, 1, 1, size), draw(0, 1, 1, 128)
    assert small.image.shape == (size, size, 3)
    assert small.attributes == large.attributes
    # pixel centres lie at whole numbers, so the frame runs from -0.5 to size - 0.5
    np.testing.assert_allclose((small.landmarks + 0.5) / size, (large.landmarks + 0.5) / 128, atol=1e-5)
    assert abs(small.image.mean() - large.image.mean()) < 4


def test_truth_agrees_with_the_picture() -> None:
    for identity in range(20):
        drawing = draw(0, identity, 0, 96)
        assert drawing.landmarks.min() > 0
        assert drawing.landmarks.max() < 95
        left_eye, right_eye, nose, left_mouth, right_mouth = drawing.landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        assert left_mouth[0] < right_mouth[0]
        for x, y in drawing.landmarks:
            assert drawing.oval[round(y), round(x)]
        stacked = np.stack(list(drawing.regions.values())).sum(axis=0)
        assert (stacked == 1).all(), "regions tile the frame"
        assert drawing.regions["glasses"].any() == drawing.attributes["Eyeglasses"]
        assert drawing.regions["hat"].any() == drawing.attributes["Wearing_Hat"]


def test_eye_points_lie_on_the_drawn_eyes() -> None:
    offsets = []
    for identity in range(30):
        drawing = draw(0, identity, 0, 128)
        if drawing.attributes["Eyeglasses"] or drawing.attributes["Bangs"]:
            continue
        rows, columns = np.nonzero(drawing.regions["eyes"])
        middle = np.array([columns.mean(), rows.mean()])
        offsets.append(np.linalg.norm(middle - drawing.landmarks[:2].mean(axis=0)))
    assert np.mean(offsets) < 2.5  # of about 37 pixels between the eyes


def test_attributes_vary_and_those_of_the_photo_are_independent() -> None:
    rows = [facts(0, identity, k)[1] for identity in range(150) for k in range(4)]
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert len(table) >= 8
    for name, values in table.items():
        assert 0.01 < values.mean() < 0.99, name
    shares = [table[name].mean() for name in PHOTO_LEVEL]
    np.testing.assert_allclose(shares, [0.25, 0.45, 0.35], atol=0.07)  # 3.4 standard errors
    correlations = np.corrcoef([table[name] for name in PHOTO_LEVEL])
    assert np.abs(correlations - np.eye(3)).max() < 0.15


def test_glasses_and_smile_show_in_the_pixels() -> None:
    """Away from the mouth's and eyes' regions nothing tells; there the photo-level attributes move the mean."""
    drawings = [draw(0, identity, k) for identity in range(40) for k in range(3)]
    smiling = [d.image[d.regions["mouth"]].max() for d in drawings if d.attributes["Smiling"]]
    neutral = [d.image[d.regions["mouth"]].max() for d in drawings if not d.attributes["Smiling"]]
    assert np.mean(smiling) > np.mean(neutral) + 20  # teeth


def test_plain_hair_skin_and_background_are_alike_for_all() -> None:
    plain = ("hair", "skin", "background")
    drawings = [draw(0, identity, 0, 64, plain) for identity in range(12)]
    corners = [d.image[2:6, 2:6].mean() for d in drawings]
    assert np.std(corners) < 6
    hues = [np.median(d.image[d.regions["hair"]].reshape(-1, 3), axis=0) for d in drawings]
    ratios = np.array([h[0] / h[2] for h in hues])
    assert ratios.std() / ratios.mean() < 0.15
    assert not any(d.attributes["Wearing_Hat"] for d in drawings)


@pytest.mark.parametrize(
    ("numbers", "named"),
    [((-1, 0, 0), "seed"), ((0, -1, 0), "identity"), ((0, 0, -1), "k"), ((0, 0, 0, 31), "size")],
)
def test_bad_numbers_are_named(numbers: tuple[int, ...], named: str) -> None:
    with pytest.raises(ValueError, match=f"`{named}` must be at least"):
        draw(*numbers)


def test_unknown_plain_part_is_named() -> None:
    with pytest.raises(ValueError, match="`plain`"):
        draw(0, 0, 0, 64, ("nose",))


@pytest.mark.parametrize(
    ("key", "value"),
    [("identities", 0), ("photos_per_identity", -1), ("seed", -1), ("image_size", 31), ("first_identity", -1)],
)
def test_data_set_refuses_small_numbers(key: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"`{key}` must be at least"):
        DrawnFaces(**{key: value})


def test_people_do_not_depend_on_how_many_there_are() -> None:
    few, many = DrawnFaces(identities=2, photos_per_identity=5), DrawnFaces(identities=4, photos_per_identity=7)
    known = {photo.id: photo for photo in many.index()}
    assert len(known) == 28
    for photo in few.index():
        assert np.array_equal(few.read(photo), many.read(known[photo.id]))
        assert photo.landmarks == known[photo.id].landmarks


def test_data_set_gives_the_drawn_truth() -> None:
    data = DrawnFaces(identities=3, photos_per_identity=5, first_identity=1_000_000, image_size=48)
    data.setup()
    assert data.image_size == (48, 48)
    assert data.identities == ["1000000", "1000001", "1000002"]
    faces = next(data.batches("train", 4))
    assert faces.images.shape == (4, 3, 48, 48)
    identity, k = numbers_of(faces.ids[0])
    drawing = draw(0, identity, k, 48)
    assert torch.equal((faces.images[0] * 255).round().byte(), torch.from_numpy(drawing.image).permute(2, 0, 1))
    np.testing.assert_allclose(faces.landmarks[0], drawing.landmarks, rtol=1e-5)
    assert {name: bool(values[0]) for name, values in faces.attributes.items()} == drawing.attributes


def test_the_drawings_version_stands_for_these_pixels() -> None:
    """Whoever moves a pixel raises `DRAWING` and puts the new hash here; a comment or a new name changes neither."""
    pictures = [draw(*numbers).image for numbers in ((0, 0, 0, 64), (1, 7, 3, 64), (0, 1_000_000, 1, 48))]
    assert (DRAWING, hashlib.sha256(b"".join(p.tobytes() for p in pictures)).hexdigest()[:16]) == (
        1,
        "42ac50d492a4b915",
    )


def test_digest_tells_seeds_apart() -> None:
    digests = {DrawnFaces(identities=2, photos_per_identity=5, seed=seed).digest() for seed in (0, 0, 1)}
    assert len(digests) == 2


def test_written_layout_is_read_back_as_celeba(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "drawn faces"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("draw", [f"out='{out}'", "data.identities=3", "data.photos_per_identity=5"])
    assert run(config) == out
    assert "15 faces of 3 people" in capsys.readouterr().out
    attributes = (out / "list_attr_celeba.txt").read_bytes().split(b"\r\n")
    assert attributes[0] == b"15"
    assert attributes[1].endswith(b"Young ")
    assert b"\n" not in attributes[2]
    assert len(attributes[2].split()) == 1 + len(attributes[1].split())
    assert len((out / "list_eval_partition.txt").read_text().splitlines()) == 15

    read, drawn = CelebA(root=str(out)), DrawnFaces(identities=3, photos_per_identity=5)
    photos = sorted(read.index(), key=lambda photo: photo.id)
    for photo, source in zip(photos, drawn.index(), strict=True):
        assert dict(photo.attributes or {}) == dict(source.attributes or {})
        np.testing.assert_allclose(photo.landmarks, source.landmarks, atol=0.501)
        difference = read.read(photo).astype(int) - drawn.read(source)
        assert np.abs(difference).mean() < 4  # JPEG
    assert len({photo.identity for photo in photos}) == 3

    with pytest.raises(ValueError, match="`out` must be a new or empty folder"):
        run(config)
