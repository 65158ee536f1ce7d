import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from privacy_exp.data.celeba import CelebA
from privacy_exp.data.photo import BadDataError

NAMES = [f"{i:06d}.jpg" for i in range(1, 25)]
WHO = {name: 100 + i % 3 for i, name in enumerate(NAMES)}
ATTRIBUTES = ["5_o_Clock_Shadow", "Male", "Smiling"]


def flags(i: int) -> list[int]:
    return [1 if (i >> bit) & 1 else -1 for bit in range(3)]


def landmarks(i: int) -> list[int]:
    return [6, 9 + i % 2, 11, 9, 8, 12, 6, 15, 11, 15]


def write(path: Path, lines: list[str], end: str) -> None:
    path.write_bytes("".join(line + end for line in lines).encode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """24 pictures of noise in CelebA's official layout: CRLF, count lines, padded columns."""
    images = tmp_path / "img_align_celeba"
    images.mkdir()
    rng = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 256, (22, 18, 3), dtype=np.uint8)).save(images / name)
    write(tmp_path / "identity_CelebA.txt", [f"{name} {who}" for name, who in WHO.items()], "\r\n")
    rows = [f"{name} {' '.join(f'{v:2d}' for v in flags(i))}" for i, name in enumerate(NAMES)]
    write(tmp_path / "list_attr_celeba.txt", ["24", " ".join(ATTRIBUTES) + " ", *rows], "\r\n")
    header = (
        "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y "
    )
    rows = [f"{name} {' '.join(f'{v:4d}' for v in landmarks(i))}" for i, name in enumerate(NAMES)]
    write(tmp_path / "list_landmarks_align_celeba.txt", ["24", header, *rows], "\r\n")
    write(tmp_path / "list_eval_partition.txt", [f"{name} 0" for name in NAMES], "\r\n")
    return tmp_path


def rewrite(path: Path, change) -> None:
    path.write_bytes(change(path.read_bytes().decode()).encode())


def without_header(text: str) -> str:
    return "\n".join(text.splitlines()[1:])


TEXT_FORMS = {
    "official": lambda root: None,
    "lf": lambda root: [rewrite(p, lambda t: t.replace("\r\n", "\n")) for p in root.glob("*.txt")],
    "blank lines": lambda root: [rewrite(p, lambda t: t.rstrip() + "\n\n  ") for p in root.glob("*.txt")],
    "byte order mark": lambda root: [rewrite(p, lambda t: "\ufeff" + t) for p in root.glob("*.txt")],
    "no count lines": lambda root: [rewrite(p, without_header) for p in root.glob("list_[al][ta]*.txt")],
    "identity with a header": lambda root: rewrite(root / "identity_CelebA.txt", lambda t: "image_id identity\r\n" + t),
    "identity with a count": lambda root: rewrite(root / "identity_CelebA.txt", lambda t: "24\r\n" + t),
    "one folder down": lambda root: [shutil.move(p, (root / "celeba").mkdir(exist_ok=True) or root / "celeba")
                                     for p in list(root.iterdir())],
    "official archive": lambda root: [
        (root / "Anno").mkdir(), (root / "Img").mkdir(),
        [shutil.move(p, root / "Anno") for p in root.glob("*.txt")],
        shutil.move(root / "img_align_celeba", root / "Img"),
    ],
    "images nested twice": lambda root: [
        shutil.move(root / "img_align_celeba", root / "x"), (root / "img_align_celeba").mkdir(),
        shutil.move(root / "x", root / "img_align_celeba" / "img_align_celeba"),
    ],
    "csv": lambda root: kaggle(root),
}  # fmt: skip


def kaggle(root: Path) -> None:
    """As the csv copies come: a header that also names the image column, commas."""
    table = pd.DataFrame([flags(i) for i in range(24)], columns=ATTRIBUTES)
    table.insert(0, "image_id", NAMES)
    table.to_csv(root / "list_attr_celeba.csv", index=False)
    table = pd.DataFrame([landmarks(i) for i in range(24)], columns=[f"c{i}" for i in range(10)])
    table.insert(0, "image_id", NAMES)
    table.to_csv(root / "list_landmarks_align_celeba.csv", index=False)
    (root / "list_attr_celeba.txt").unlink()
    (root / "list_landmarks_align_celeba.txt").unlink()


@pytest.mark.parametrize("form", TEXT_FORMS)
def test_all_forms_of_the_files_read_alike(root, form):
    TEXT_FORMS[form](root)
    photos = {photo.id: photo for photo in CelebA(str(root)).index()}
    assert sorted(photos) == [name[:6] for name in NAMES]
    for i, name in enumerate(NAMES):
        photo = photos[name[:6]]
        assert photo.identity == str(WHO[name])
        assert dict(photo.attributes) == {a: v == 1 for a, v in zip(ATTRIBUTES, flags(i), strict=True)}
        assert np.array(photo.landmarks).ravel().tolist() == landmarks(i)
        assert photo.group is None


def test_pixels_are_the_files(root):
    data = CelebA(str(root))
    data.setup()
    assert data.image_size == (22, 18)
    photo = data.photos["test"][0]
    expected = np.asarray(Image.open(root / "img_align_celeba" / f"{photo.id}.jpg"))
    np.testing.assert_array_equal(data.read(photo), expected)
    np.testing.assert_array_equal(
        (data.faces([photo]).images[0].permute(1, 2, 0) * 255).round().byte().numpy(), expected
    )


def test_any_subset_of_images_and_no_optional_files(root):
    for name in NAMES[18:]:
        (root / "img_align_celeba" / name).unlink()
    (root / "list_attr_celeba.txt").unlink()
    (root / "list_landmarks_align_celeba.txt").unlink()
    (root / "list_eval_partition.txt").unlink()
    (root / "img_align_celeba" / ".DS_Store").write_bytes(b"x")
    (root / "img_align_celeba" / "._000001.jpg").write_bytes(b"x")
    data = CelebA(str(root))
    data.setup()
    assert sum(len(own) for own in data.photos.values()) == 18
    faces = next(data.batches("test"))
    assert faces.attributes is None
    assert faces.landmarks is None


def test_groups_stay_together(root):
    groups = {name: f"shoot{i // 3 % 4}of{i % 3}" for i, name in enumerate(NAMES)}
    (root / "groups.csv").write_text("image,group\n" + "".join(f"{n},{g}\n" for n, g in groups.items()))
    data = CelebA(str(root))
    data.setup()
    sides: dict[str, set[str]] = {}
    for part, photos in data.photos.items():
        for photo in photos:
            assert photo.group == groups[f"{photo.id}.jpg"]
            sides.setdefault(photo.group, set()).add(part)
    assert len(sides) == 12
    assert all(len(parts) == 1 for parts in sides.values())


def test_unreadable_images_are_skipped_counted_and_listed(root):
    images = root / "img_align_celeba"
    (images / NAMES[0]).write_bytes(b"")
    whole = (images / NAMES[4]).read_bytes()
    (images / NAMES[4]).write_bytes(whole[: len(whole) // 2])
    (images / NAMES[8]).write_text("<html>quota exceeded</html>")
    data = CelebA(str(root), on_bad_image="skip")
    data.setup()
    assert sum(len(own) for own in data.photos.values()) == 21
    assert len(data.skipped) == 3
    for line, name in zip(data.skipped, (NAMES[0], NAMES[4], NAMES[8]), strict=True):
        assert name in line


def test_digest_is_of_bytes_and_moves_with_the_folder(root, tmp_path_factory):
    first = CelebA(str(root)).digest()
    moved = tmp_path_factory.mktemp("moved") / "celeba"
    shutil.copytree(root, moved)
    assert CelebA(str(moved)).digest() == first
    path = moved / "img_align_celeba" / NAMES[0]
    path.write_bytes(path.read_bytes() + b"\0")
    assert CelebA(str(moved)).digest() != first


def test_real_faces(celeba_dev):
    """The 600 real faces, against pandas' own parsing of the text files."""
    data = CelebA(str(celeba_dev))
    data.setup()
    photos = {photo.id: photo for own in data.photos.values() for photo in own}
    assert len(photos) == 600
    assert len(data.identities) == 40
    assert data.image_size == (218, 178)
    who = pd.read_csv(celeba_dev / "identity_CelebA.txt", sep=r"\s+", header=None, names=["image", "who"], dtype=str)
    assert {p.id: p.identity for p in photos.values()} == {r.image[:-4]: r.who for r in who.itertuples()}
    attributes = pd.read_csv(celeba_dev / "list_attr_celeba.txt", sep=r"\s+", skiprows=1)
    assert attributes.shape == (600, 40)
    points = pd.read_csv(celeba_dev / "list_landmarks_align_celeba.txt", sep=r"\s+", skiprows=1)
    for name in who.image[::7]:
        photo = photos[name[:-4]]
        assert dict(photo.attributes) == (attributes.loc[name] == 1).to_dict()
        assert np.array(photo.landmarks).ravel().tolist() == points.loc[name].tolist()
    template = data.template().numpy().ravel()
    train = points.loc[[f"{p.id}.jpg" for p in data.photos["train"]]].mean().to_numpy()
    np.testing.assert_allclose(template, train, atol=1e-4)
    for identity, n in Counter(who.who).items():
        shares = [sum(p.identity == identity for p in data.photos[part]) for part in ("train", "val", "test")]
        assert sum(shares) == n
        assert np.abs(np.array(shares) / n - [0.6, 0.2, 0.2]).max() < 1 / n
    faces = next(data.batches("test", 16))
    assert faces.images.shape == (16, 3, 218, 178)
    assert len(faces.attributes) == 40


def test_numbers_with_leading_zeros_are_the_same_person(root):
    path = root / "identity_CelebA.txt"
    before = CelebA(str(root)).index()
    rows = [line.split() for line in path.read_text().splitlines()]
    path.write_text("\n".join(f"{name} {'0' if i % 2 else ''}{who}" for i, (name, who) in enumerate(rows)))
    assert [photo.identity for photo in CelebA(str(root)).index()] == [photo.identity for photo in before]


def test_an_attribute_that_is_named_twice_is_refused(root):
    path = root / "list_attr_celeba.txt"
    lines = path.read_text().splitlines()
    names = lines[1].split()
    path.write_text("\n".join([lines[0], " ".join([names[1], *names[1:]]), *lines[2:]]))
    with pytest.raises(BadDataError, match=rf"names {names[1]} twice"):
        CelebA(str(root)).index()


@pytest.mark.parametrize("form", [".png", "", "upper"])
def test_tables_may_name_images_with_another_suffix(root, form):
    before = {photo.id: photo.attributes for photo in CelebA(str(root)).index()}
    path = root / "list_attr_celeba.txt"
    text = path.read_text()
    path.write_text(text.replace(".jpg", form) if form != "upper" else text.replace(".jpg", ".JPG"))
    assert {photo.id: photo.attributes for photo in CelebA(str(root)).index()} == before
