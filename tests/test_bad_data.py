"""Bad data input: each is one paragraph that names the thing and the way out, and nothing is written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from privacy_exp.data.base import FaceData
from privacy_exp.data.celeba import CelebA
from privacy_exp.data.folder import Folder
from privacy_exp.data.photo import BadDataError

POINTS = "list_landmarks_align_celeba.txt"
HTML = "<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people of six pictures each, in CelebA's layout (`celeba/`) and in folders (`folder/`)."""
    root = tmp_path_factory.mktemp("whole")
    images = root / "celeba" / "img_align_celeba"
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{i:06d}.jpg" for i in range(18)]
    for i, name in enumerate(names):
        person = root / "folder" / f"person {i % 3}"
        person.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 16, 3), dtype=np.uint8)).save(images / name)
        shutil.copy(images / name, person / name)
    tables = {
        "identity_CelebA.txt": [f"{name} {i % 3}" for i, name in enumerate(names)],
        "list_attr_celeba.txt": ["18", "Male Smiling", *(f"{name}  1 -1" for name in names)],
        "list_landmarks_align_celeba.txt": ["18", "x y x y x y x y x y", *(f"{n} 1 2 3 4 5 6 7 8 9 10" for n in names)],
    }
    for name, lines in tables.items():
        (root / "celeba" / name).write_text("".join(f"{line}\r\n" for line in lines), newline="")
    return root


def celeba(root: Path, **keys: object) -> FaceData:
    return CelebA(str(root / "celeba"), **keys)


def folder(root: Path, **keys: object) -> FaceData:
    return Folder(str(root / "folder"), **keys)


def put(name: str, text: str, of: Callable[..., FaceData] = celeba, **keys: object) -> Callable[[Path], FaceData]:
    """A data set in which a text file has another content."""

    def make(root: Path) -> FaceData:
        (root / of.__name__ / name).write_text(text)
        return of(root, **keys)

    return make


def edit(name: str, old: str, new: str) -> Callable[[Path], FaceData]:
    """CelebA with a part of a text file changed."""

    def make(root: Path) -> FaceData:
        path = root / "celeba" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return celeba(root)

    return make


def gone(name: str) -> Callable[[Path], FaceData]:
    """CelebA without a file or folder."""

    def make(root: Path) -> FaceData:
        path = root / "celeba" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return celeba(root)

    return make


def image(change: Callable[[bytes], bytes], **keys: object) -> Callable[[Path], FaceData]:
    """CelebA with the bytes of one image changed."""

    def make(root: Path) -> FaceData:
        path = root / "celeba" / "img_align_celeba" / "000007.jpg"
        path.write_bytes(change(path.read_bytes()))
        return celeba(root, **keys)

    return make


def picture(place: str, size: tuple[int, int] = (16, 20)) -> Callable[[Path], FaceData]:
    """A folder with one more picture."""

    def make(root: Path) -> FaceData:
        Image.new("RGB", size).save(root / "folder" / place)
        return folder(root)

    return make


def few(root: Path) -> FaceData:
    for path in (root / "celeba" / "img_align_celeba").glob("00000[4-9].jpg"):
        path.unlink()
    return celeba(root)


def one_person(root: Path) -> FaceData:
    for name in ("person 0", "person 1"):
        shutil.rmtree(root / "folder" / name)
    return folder(root)


def empty_folder(root: Path) -> Path:
    (root / "empty" / "person").mkdir(parents=True)
    return root / "empty"


def all_broken(root: Path) -> FaceData:
    for path in (root / "celeba" / "img_align_celeba").iterdir():
        path.write_bytes(b"")
    return celeba(root, on_bad_image="skip")


def manifest(*lines: str, header: str = "image_id,identity,label,part,group") -> Callable[[Path], FaceData]:
    """CelebA split by a manifest of these lines."""

    def make(root: Path) -> FaceData:
        path = root / "manifest.csv"
        path.write_text("\n".join([header, *lines, ""]))
        return celeba(root, manifest=str(path))

    return make


CASES = [  # name, what makes the broken input, words that the message must have
    ("no root", lambda root: CelebA(), ["`root`", "data.root=DIR"]),
    ("missing root", lambda root: CelebA(str(root / "nowhere")), ["`root`", "nowhere", "download_celeba.py"]),
    ("no root of a folder", lambda root: Folder(), ["`root`", "data.root=DIR"]),
    ("missing root of a folder", lambda root: Folder(str(root / "nowhere")), ["`root`", "nowhere", "data.root=DIR"]),
    ("no image folder", gone("img_align_celeba"), ["img_align_celeba/", "download_celeba.py"]),
    ("zip in place of the folder", lambda root: [
        (root / "celeba/img_align_celeba.zip").touch(), gone("img_align_celeba")(root)][1], ["unzip"]),
    ("no identity file", gone("identity_CelebA.txt"), ["identity_CelebA.txt", "download_celeba.py"]),
    ("html as identities", put("identity_CelebA.txt", HTML), ["identity_CelebA.txt", "web page", "Delete"]),
    ("html as attributes", put("list_attr_celeba.txt", "\n" + HTML), ["list_attr_celeba.txt", "web page"]),
    ("html as landmarks", put(POINTS, HTML), ["list_landmarks_align_celeba.txt", "web page"]),
    ("empty identities", put("identity_CelebA.txt", ""), ["identity_CelebA.txt", "empty"]),
    ("wrong count line", edit("list_attr_celeba.txt", "18", "19"), ["list_attr_celeba.txt", "19", "18", "first line"]),
    ("cut short", edit("list_attr_celeba.txt", "000017.jpg  1 -1\n", ""), ["announces 18", "17", "Fetch it again"]),
    ("image without identity", edit("identity_CelebA.txt", "000005.jpg 2\n", ""), ["000005.jpg", "no identity", "Add"]),
    ("identity row without number", edit("identity_CelebA.txt", "000005.jpg 2\n", "000005.jpg\n"),
     ["identity_CelebA.txt", "000005.jpg"]),
    ("identity is a word", edit("identity_CelebA.txt", "000005.jpg 2\n", "000005.jpg two\n"), ["000005.jpg two"]),
    ("identity given twice", edit("identity_CelebA.txt", "000005.jpg", "000004.jpg"), ["000004.jpg", "second time"]),
    ("attribute missing in a row", edit("list_attr_celeba.txt", "000004.jpg  1 -1", "000004.jpg  1"),
     ["000004.jpg", "1 attributes", "names 2"]),
    ("attribute names missing", edit("list_attr_celeba.txt", "Male Smiling\n", ""), ["names of the attributes"]),
    ("attribute value", edit("list_attr_celeba.txt", "000004.jpg  1 -1", "000004.jpg  1  5"), ["000004.jpg", "'5'"]),
    ("attributes of some images only", put("list_attr_celeba.txt", "Male\n000001.jpg 1\n"), ["17 of 18", "attributes"]),
    ("landmark is no number", edit(POINTS, "1 2 3", "1 two 3"), ["000000.jpg", "ten numbers"]),
    ("landmark missing", edit(POINTS, "9 10", "9"), ["000000.jpg", "ten numbers"]),
    ("zero-byte jpg", image(lambda b: b""), ["000007.jpg", "0 bytes", "data.on_bad_image=skip"]),
    ("truncated jpg", image(lambda b: b[: len(b) // 2]), ["000007.jpg", "truncated", "data.on_bad_image=skip"]),
    ("html as jpg", image(lambda b: HTML.encode()), ["000007.jpg", "not an image", "data.on_bad_image=skip"]),
    ("every image broken", all_broken, ["CelebA", "0 of 3", "18 photos"]),
    ("identities with too few images", few, ["at least 2 identities", "0 of 3", "data.min_images_per_identity"]),
    ("one identity", one_person, ["at least 2 identities", "1 of 1"]),
    ("one identity asked for", lambda root: celeba(root, max_identities=1), ["`max_identities`", "least 2", "got 1"]),
    ("split over 1", lambda root: celeba(root, split=[0.6, 0.3, 0.2]), ["`split`", "sum to 1", "1.1"]),
    ("split of two", lambda root: celeba(root, split=[0.8, 0.2]), ["`split`", "three shares"]),
    ("negative share", lambda root: celeba(root, split=[1.2, -0.4, 0.2]), ["`split`", "[0, 1]"]),
    ("on_bad_image", lambda root: celeba(root, on_bad_image="ignore"), ["`on_bad_image`", "'skip'", "'ignore'"]),
    ("batch size", lambda root: celeba(root, batch_size=0), ["`batch_size`", "at least 1", "got 0"]),
    ("image_size", lambda root: folder(root, image_size=[64]), ["`image_size`", "[height, width]", "[64]"]),
    ("missing manifest", lambda root: celeba(root, manifest=str(root / "m.csv")), ["`manifest`", "m.csv", "no file"]),
    ("manifest without a column", manifest("000001,1,0,train", header="image_id,identity,label,part"), ["group"]),
    ("manifest of other data", manifest("000001,1,0,train,", "900000,2,1,test,"), ["900000", "1 of 2", "`data.root`"]),
    ("manifest with other people", manifest("000001,2,0,train,"), ["000001", "'2'", "'1'", "data.manifest=null"]),
    ("manifest with another part", manifest("000001,1,0,dev,"), ["Line 2", "'dev'", "train, val, test"]),
    ("manifest names a photo twice", manifest("000001,1,0,train,", "000001,1,0,test,"), ["Line 3", "second time"]),
    ("manifest parts a group", manifest("000001,1,0,train,g", "000004,1,0,test,g"), ["Line 3", "group 'g'"]),
    ("manifest labels with a gap", manifest("000001,1,0,train,", "000002,2,2,test,"), ["labels", "without gaps"]),
    ("manifest label of two people", manifest("000001,1,0,train,", "000002,2,0,test,"), ["labels", "one label"]),
    ("manifest of one person", manifest("000001,1,0,train,", "000004,1,0,test,"), ["2 identities"]),
    ("empty manifest", manifest(), ["manifest.csv", "names no photo"]),
    ("groups of other images", put("groups.csv", "image,group\nx.jpg,1\n"), ["groups.csv", "x.jpg", "relative"]),
    ("groups without header", put("groups.csv", "000001.jpg,1\n"), ["groups.csv", "names none of the images"]),
    ("groups with three columns", put("groups.csv", "image,a,b\n000001.jpg,1,2\n"), ["groups.csv", "two columns"]),
    ("all photos in one group", put("groups.csv", "image,group\n" + "".join(f"{i:06d}.jpg,a\n" for i in range(18))),
     ["at least 2 identities", "1 group"]),
    ("folder without images", lambda root: Folder(str(empty_folder(root))), ["no image", ".webp"]),
    ("photo that belongs to nobody", picture("loose.jpg"), ["loose.jpg", "sub-folder", "data.labelled=false"]),
    ("one stem twice", picture("person 1/000001.png"), ["person 1/000001.jpg", "person 1/000001.png", "Rename"]),
    ("images of two sizes", picture("person 1/large.png", (32, 40)), ["large", "32x40", "image_size=[20,16]"]),
    ("name too long", picture("person 1/" + "ж" * 60 + ".png"), ["ж", "at most 200", "Shorten"]),
    ("ragged table", put("groups.csv", "path,group\na.jpg\n", folder), ["groups.csv", "Line 2", "1 columns"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_data(whole: Path, tmp_path: Path, make: Callable[[Path], FaceData], words: list[str]) -> None:
    root = tmp_path / "data"
    shutil.copytree(whole, root)
    try:
        data = make(root)
    except BadDataError as error:  # a key with a value that is not allowed
        message = str(error)
    else:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(BadDataError) as caught:
            data.setup()
        message = str(caught.value)
        assert data.photos == {}
        assert sorted(tmp_path.rglob("*")) == before
    for word in words:
        assert word in message
    assert "\n" not in message
    assert 40 < len(message) < 900


def test_the_input_they_start_from_is_good(whole: Path) -> None:
    for data in (celeba(whole), folder(whole)):
        data.setup()
        assert data.skipped == []
        assert len(data.identities) == 3
