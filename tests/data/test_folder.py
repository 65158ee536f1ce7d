import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from privacy_exp.data.folder import Folder
from privacy_exp.data.photo import BadDataError


def picture(path: Path, size: tuple[int, int] = (20, 24), colour: object = (200, 30, 60), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two people, six pictures each, of width 20 and height 24."""
    for name in ("Ana López", "b-2"):
        for i in range(6):
            picture(tmp_path / name / f"{name} {i}.png", colour=(40 * i, len(name), 7))
    return tmp_path


def test_one_folder_a_person(root):
    (root / "notes.txt").write_text("not a picture")
    (root / ".cache").mkdir()
    picture(root / ".cache" / "x.png")
    data = Folder(str(root))
    data.setup()
    assert data.identities == ["Ana López", "b-2"]
    assert data.image_size == (24, 20)
    ids = {photo.id for own in data.photos.values() for photo in own}
    assert len(ids) == 12
    assert {"Ana%20L%C3%B3pez%2FAna%20L%C3%B3pez%203", "b%2D2%2Fb%2D2%200"} <= ids
    faces = next(data.batches("train"))
    i = next(i for i, name in enumerate(faces.ids) if name.startswith("b%2D2"))
    k = int(faces.ids[i][-1])
    np.testing.assert_allclose(faces.images[i, :, 0, 0].numpy() * 255, [40 * k, 3, 7], atol=1e-4)
    assert faces.labels[i] == 1


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "Png", "webp", "BMP"])
def test_suffixes(root, suffix):
    picture(root / "b-2" / f"more.{suffix}")
    data = Folder(str(root))
    photo = next(photo for photo in data.index() if photo.id == "b%2D2%2Fmore")
    assert np.abs(data.read(photo).astype(int) - [200, 30, 60]).max() <= 3


def test_deeper_folders_and_links_belong_to_the_person(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for i in range(5):
        picture(elsewhere / "video 1" / f"{i}.jpg")
    (root / "Cy").symlink_to(elsewhere)
    photos = [photo for photo in Folder(str(root)).index() if photo.identity == "Cy"]
    assert sorted(p.id for p in photos) == [f"Cy%2Fvideo%201%2F{i}" for i in range(5)]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),  # worked out by hand; transparency goes over white
    [
        ("L", 90, (90, 90, 90)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 100, 200, 128), (127, 177, 227)),
        ("LA", (0, 51), (204, 204, 204)),
        ("I;16", 256 * 77 + 9, (77, 77, 77)),
        ("P", 0, (0, 0, 0)),
    ],
)
def test_grey_palette_and_transparent_images_become_rgb(root, mode, colour, expected):
    picture(root / "b-2" / "odd.png", colour=colour, mode=mode)
    data = Folder(str(root))
    pixels = data.read(next(photo for photo in data.index() if photo.id.endswith("odd")))
    assert pixels.shape == (24, 20, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_respected(root, orientation):
    """A picture that is red at the top left once it is upright, stored in each of the eight ways."""
    upright = np.zeros((24, 20, 3), np.uint8)
    upright[:8, :6] = (255, 0, 0)
    turns = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.transpose(1, 0, 2),
             6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
             8: lambda a: np.rot90(a, 3)}  # fmt: skip
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(root / "b-2" / "turned.png", exif=exif)
    data = Folder(str(root))
    data.setup()
    photo = next(p for own in data.photos.values() for p in own if p.id.endswith("turned"))
    assert data.image_size == (24, 20)
    np.testing.assert_array_equal(data.read(photo), upright)


def test_image_size_covers_and_cuts_to_the_centre(root):
    """40 wide and 20 high, in thirds of colour: a square keeps the middle, 20 of 40 columns."""
    wide = np.zeros((20, 40, 3), np.uint8)
    wide_points = "10,0,30,0,20,10,10,20,30,20"
    wide[:, 10:30] = (0, 255, 0)
    Image.fromarray(wide).save(root / "b-2" / "wide.png")
    (root / "landmarks.csv").write_text(
        "path,a,b,c,d,e,f,g,h,i,j\n"
        + "".join(
            f"{p.relative_to(root)},{wide_points if p.stem == 'wide' else '6,8,14,8,10,12,7,16,13,16'}\n"
            for p in sorted(root.rglob("*.png"))
        )
    )
    data = Folder(str(root), image_size=[10, 10])
    data.setup()
    assert data.image_size == (10, 10)
    photo = next(p for own in data.photos.values() for p in own if p.id.endswith("wide"))
    np.testing.assert_array_equal(data.read(photo)[2:8, 1:9], np.broadcast_to([0, 255, 0], (6, 8, 3)))
    expected = ((-0.25, -0.25), (9.75, -0.25), (4.75, 4.75), (-0.25, 9.75), (9.75, 9.75))  # centres, halved
    assert photo.landmarks == expected
    assert Folder(str(root), image_size=[10, 12]).digest() != data.digest()


def test_images_of_different_sizes_are_an_error_that_image_size_mends(root):
    picture(root / "b-2" / "large.jpg", size=(60, 50))
    with pytest.raises(BadDataError, match=r"large.*60x50.*20x24.*image_size=\[24,20\]"):
        Folder(str(root)).setup()
    Folder(str(root), image_size=[24, 20]).setup()


def test_unlabelled_crops(root):
    picture(root / "loose.jpg")
    data = Folder(str(root), labelled=False)
    data.setup()
    assert data.identities == []
    assert {part: len(own) for part, own in data.photos.items()} == {"train": 0, "val": 0, "test": 13}
    faces = next(data.batches("test"))
    assert faces.labels is None
    assert data.template().shape == (5, 2)
    few = Folder(str(root), labelled=False, max_test_images=4)
    few.setup()
    assert len(few.photos["test"]) == 4


def test_tables_beside_the_images(root):
    paths = [p.relative_to(root).as_posix() for p in sorted(root.rglob("*.png"))]
    (root / "groups.csv").write_text("path,group\n" + "".join(f"{p},g{i % 3}\n" for i, p in enumerate(paths)))
    (root / "attributes.csv").write_text(
        "path,Smiling,Male\n" + "".join(f"{p},{i % 2},-1\n" for i, p in enumerate(paths))
    )
    data = Folder(str(root))
    data.setup()
    sides: dict[str, set[str]] = {}
    for part, own in data.photos.items():
        for photo in own:
            sides.setdefault(photo.group, set()).add(part)
    assert len(sides) == 3
    assert all(len(parts) == 1 for parts in sides.values())
    faces = next(data.batches("train"))
    smiling = {p: i % 2 == 1 for i, p in enumerate(paths)}
    for name, value in zip(faces.ids, faces.attributes["Smiling"], strict=True):
        path = next(p for p in paths if p.replace("ó", "%C3%B3").replace(" ", "%20").replace("/", "%2F")
                    .replace("-", "%2D") == name + ".png")  # fmt: skip
        assert value == smiling[path]
    assert not faces.attributes["Male"].any()


def test_digest_moves_with_the_folder_but_not_with_a_rename(root, tmp_path_factory):
    first = Folder(str(root)).digest()
    moved = tmp_path_factory.mktemp("other place") / "x"
    shutil.copytree(root, moved)
    assert Folder(str(moved)).digest() == first
    (moved / "b-2").rename(moved / "b-3")
    assert Folder(str(moved)).digest() != first
