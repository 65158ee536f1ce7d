"""What becomes of photos as people have them: copies, links, thumbnails, odd files."""

import csv
import io
import os
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms, UnidentifiedImageError

from privacy_exp.data.duplicates import as_groups, look_of, near_pairs
from privacy_exp.data.files import examine_image, read_image, upright_size
from privacy_exp.data.folder import Folder
from privacy_exp.data.manifest import write_alike, write_manifest
from privacy_exp.data.photo import BadDataError, BadImageError, Examined, Photo


def noise(*seed, size=(40, 32)):
    """A smooth picture of its own; JPEG keeps its look."""
    small = np.random.default_rng(list(seed)).integers(0, 255, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BICUBIC)


@pytest.fixture
def people(tmp_path):
    """Three people with six photos each."""
    root = tmp_path / "people"
    for i, who in enumerate("abc"):
        (root / who).mkdir(parents=True)
        for k in range(6):
            noise(i, k).save(root / who / f"{k}.png")
    return root


def ready(root, **keys):
    data = Folder(str(root), **keys)
    data.setup()
    return data


def side(data):
    return {photo.id: part for part, own in data.photos.items() for photo in own}


def test_nothing_is_said_about_good_photos(people):
    data = ready(people)
    assert data.skipped == data.doubts == []
    assert data.summary() == "used 18 of 18 photos of 3 people (12 to train, 3 to validate, 3 to test)"


def test_one_line_says_what_was_used_and_what_was_left_out_and_why(people):
    heic = b"\0\0\0\x18ftypheic" + bytes(100)
    for name, content in (("a/IMG_1.HEIC", heic), ("b/IMG_2.heic", heic), ("b/cut.jpg", b"xx"), ("c/raw.dng", b"x")):
        (people / name).write_bytes(content)
    for name in ("few", "one"):
        (people / name).mkdir()
        noise(7, len(name)).save(people / name / "0.png")
    data = ready(people, on_bad_image="skip")
    unread = f"2 unreadable images ({read_fault(people / 'a' / 'IMG_1.HEIC')})"
    assert data.summary() == (
        "used 18 of 23 photos of 3 people (12 to train, 3 to validate, 3 to test); left out: files of a kind that is "
        f"not read (.dng): 1; 2 identities of fewer than 5 photos; {unread}; 1 unreadable image (it is not an image)"
    )
    assert "on_bad_image" not in " ".join(data.skipped), "it was set"
    assert f"unreadable image {people / 'b' / 'cut.jpg'}: it is not an image" in data.skipped


def read_fault(path):
    with pytest.raises(BadImageError) as caught:
        read_image(path)
    return caught.value.left_out.partition(": ")[2]


def test_copies_of_equal_bytes_or_pixels_stay_on_one_side(people):
    for path in sorted(people.glob("*/*.png")):
        path.with_name(f"copy {path.name}").write_bytes(path.read_bytes())
        Image.open(path).save(path.with_name(f"zip {path.name}"), compress_level=0)
    data = ready(people)
    sides = side(data)
    for name, part in sides.items():
        own, picture = name.split("%2F")
        assert sides[f"{own}%2F{picture[-1]}"] == part
    assert len(sides) == 54
    assert "photos that are copies of others: 36, such as a%2Fcopy%200 of a%2F0" in data.doubts[0]
    few = ready(people, max_identities=2, split_fold=[0, 3])
    assert len({p.group for p in few.photos["test"]}) == 4  # two of six pictures of each person


def test_a_picture_of_two_people_names_both(people):
    (people / "c" / "zz.png").write_bytes((people / "a" / "0.png").read_bytes())
    with pytest.raises(BadDataError, match=r"a%2F0 and c%2Fzz are one picture, but 'a' and 'c' are two people"):
        ready(people)
    data = ready(people, on_bad_image="skip")
    assert not {"a%2F0", "c%2Fzz"} & set(side(data))
    assert data.skipped == ["one picture under the names of several people: a%2F0, c%2Fzz"]


def test_a_photo_saved_anew_is_counted_and_listed(people, tmp_path):
    for k in range(6):
        noise(0, k).resize((64, 80)).resize((32, 40)).save(people / "b" / f"again {k}.jpg", quality=70)
    data = ready(people)
    assert len(data.doubts) == 1
    assert data.doubts[0].startswith("pairs of photos that look alike, as a picture saved anew does, but")
    assert ": 6, such as a%2F" in data.doubts[0]
    assert "alike.csv lists them" in data.doubts[0]
    write_alike(tmp_path / "alike.csv", data.alike, data.photos)
    rows = list(csv.DictReader((tmp_path / "alike.csv").open()))
    assert len(rows) == 6
    for row in rows:
        names = {row["first"]: row["first_identity"], row["second"]: row["second_identity"]}
        assert set(names.values()) == {"a", "b"}
        assert {name[-1] for name in names} == {row["first"][-1]}, "the same picture, saved anew"
        assert row["first_part"] == side(data)[row["first"]]
    write_alike(tmp_path / "alike.csv", [], data.photos)
    assert not (tmp_path / "alike.csv").exists()


def test_near_pairs_are_those_of_a_plain_search():
    random = np.random.default_rng(0)
    looks = random.integers(0, 2, (300, 256))
    for i in range(0, 100, 2):
        looks[i + 1] = looks[i]
        flipped = random.choice(256, random.integers(1, 20), replace=False)
        looks[i + 1, flipped] ^= 1
    photos = [Photo(f"{i:03d}", "a") for i in range(300)]
    examined = {p.id: Examined(p.id, (1, 1), np.packbits(own).tobytes()) for p, own in zip(photos, looks, strict=True)}
    expected = [
        (a.id, b.id)
        for i, a in enumerate(photos)
        for j, b in enumerate(photos[i + 1 :], i + 1)
        if (looks[i] != looks[j]).sum() <= 12
    ]
    assert 10 < len(expected) < 50
    assert sorted(tuple(sorted((a.id, b.id))) for a, b in near_pairs(photos, examined)) == expected


def test_names_that_no_table_can_hold_are_named_once(people):
    (people / "a").rename(people / os.fsdecode(b"a\xe9"))
    with pytest.raises(BadDataError, match=r"1 folders, such as 'a\\udce9'.*Rename"):
        ready(people)


def test_a_manifest_that_parts_copies_is_told(people, tmp_path):
    before = ready(people)
    train, test = (before.photos[part][0] for part in ("train", "test"))
    assert train.identity == test.identity == "a"
    write_manifest(tmp_path / "m.csv", before.photos, before.identities)
    copy, source = (people / f"{photo.id.replace('%2F', '/')}.png" for photo in (test, train))
    copy.write_bytes(source.read_bytes())
    doubts = ready(people, manifest=str(tmp_path / "m.csv")).doubts
    assert len(doubts) == 1
    assert doubts[0].startswith("pairs of photos that are copies of each other, but lie on two sides of")


def test_looks():
    one, other = noise(1), noise(2)
    again = Image.open(io.BytesIO(saved(one, "JPEG", quality=60)))
    bits = [np.unpackbits(np.frombuffer(look_of(image), np.uint8)) for image in (one, again, other)]
    assert (bits[0] != bits[1]).sum() <= 12
    assert (bits[0] != bits[2]).sum() > 60


def saved(image, kind, **keys):
    stream = io.BytesIO()
    image.save(stream, kind, **keys)
    return stream.getvalue()


def test_copies_join_the_groups_that_they_touch():
    photos = [Photo("1", "a", "x"), Photo("2", "a", "y"), Photo("3", "a"), Photo("4", "a", "y"), Photo("5", "a")]
    groups = [photo.group for photo in as_groups(photos, [[photos[0], photos[1]], [photos[1], photos[2]]])]
    assert groups == ["x", "x", "x", "x", None]


def test_links_are_followed_and_folders_of_programs_passed_over(people, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for k in range(5):
        noise(9, k).save(elsewhere / f"{k}.png")
    (people / "a" / "more").symlink_to(elsewhere)
    (people / ".trash").symlink_to(people / "b")
    (people / "b" / "loop").symlink_to(people / "b")
    for link in ("b/unmounted", "ann", "c/.hidden"):
        (people / link).symlink_to(tmp_path / "not there")
    (people / "c" / "@eaDir" / "0.png").mkdir(parents=True)
    noise(0, 0, size=(12, 10)).save(people / "c" / "@eaDir" / "0.png" / "SYNOPHOTO_THUMB_M.jpg")
    (people / "c" / "film.MOV").write_bytes(b"film")
    (people / "c" / "raw.dng").write_bytes(b"raw")
    (people / "c" / "notes.txt").write_text("nothing to count")
    data = ready(people)
    assert data.identities == ["a", "b", "c"]
    assert len(side(data)) == 18 + 5
    assert data.skipped == [
        "files of a kind that is not read (.dng): 1",
        "files of a kind that is not read (.mov): 1",
        "images in folders of other programs (@eaDir): 1",
        f"links to a folder above them: 1, such as {people / 'b' / 'loop'}",
        f"links to what is not there: 2, such as {people / 'ann'}",
    ]
    assert "; left out: files of a kind that is not read (.dng): 1;" in data.summary()


@pytest.mark.parametrize("parts", [("train", "val"), ("Test", "train"), ("train",)])
def test_parts_of_a_data_set_are_no_people(people, tmp_path, parts):
    for part in parts:
        (tmp_path / "r" / part).mkdir(parents=True)
        for who in "abc":
            (people / who).rename(tmp_path / "r" / part / who) if part == parts[0] else None
    for part in parts[1:]:
        (tmp_path / "r" / part / "d").mkdir()
        noise(7).save(tmp_path / "r" / part / "d" / "1.png")
    with pytest.raises(BadDataError, match=r"one folder per person.*parts of a data set\. Set data\.root=.*/r/"):
        ready(tmp_path / "r")
    assert ready(tmp_path / "r" / parts[0]).identities == ["a", "b", "c"]


def exif(tag_type, count, value):
    """EXIF that holds the orientation alone."""
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", 0x0112, tag_type, count) + value + bytes(4)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    ("content", "turned"),
    [
        (exif(3, 1, b"\6\0\0\0"), True),
        (exif(3, 1, b"\x09\0\0\0"), False),
        (exif(3, 1, b"\0\0\0\0"), False),
        (exif(1, 1, b"\6\0\0\0"), False),
        (exif(2, 2, b"6\0\0\0"), False),
        (exif(7, 4, b"\6\0\0\0"), False),
        (exif(5, 1, b"\xff\xff\0\0"), False),
        (b"Exif\0\0garbage!", False),
    ],
)
def test_orientation_of_any_type_or_value(tmp_path, content, turned, suffix):
    path = tmp_path / f"x.{suffix}"
    noise(0, size=(40, 24)).save(path, exif=content)
    expected = (24, 40) if turned else (40, 24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about broken EXIF
        assert read_image(path).shape[:2] == expected
        assert examine_image(path).size == upright_size(path) == expected


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_is_pillows(tmp_path, kind):
    from PIL import ImageOps

    for value in range(1, 9):
        path, tags = tmp_path / f"{value}.{kind.lower()}", Image.Exif()
        tags[0x0112] = value
        noise(0, size=(40, 24)).save(path, kind, exif=tags)
        upright = np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        np.testing.assert_array_equal(read_image(path), upright)
        assert examine_image(path).size == upright_size(path) == upright.shape[:2]


@pytest.mark.parametrize("suffix", ["tif", "tiff", "avif", "jfif", "jpe", "gif"])
def test_further_kinds_are_read(people, suffix):
    kind = {"jfif": "JPEG", "jpe": "JPEG"}.get(suffix)
    (people / "a" / f"new.{suffix}").write_bytes(
        saved(noise(5, 5), kind or {"tif": "TIFF"}.get(suffix, suffix.upper()))
    )
    found = read_image(people / "a" / f"new.{suffix}")
    assert np.abs(found.astype(int) - np.asarray(noise(5, 5))).mean() < 12
    assert "a%2Fnew" in side(ready(people))


def test_heic_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))

    def unidentified(path):
        raise UnidentifiedImageError(path)

    monkeypatch.setattr(Image, "open", unidentified)  # as without the reader
    with pytest.raises(BadImageError, match=r"privacy-exp\[heic\]"):
        read_image(tmp_path / "x.heic")


def test_heic_is_read(people, monkeypatch):
    pytest.importorskip("pillow_heif", reason="needs privacy-exp[heic]")
    path = people / "a" / "IMG_1.HEIC"
    path.write_bytes(saved(noise(5, 5), "HEIF", quality=95))
    found = read_image(path)
    assert np.abs(found.astype(int) - np.asarray(noise(5, 5))).mean() < 12
    assert "a%2FIMG_1" in side(ready(people))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(BadImageError, match=r"IMG_1.HEIC cannot be read"):
        read_image(path)


def test_modes_and_profiles_become_srgb(tmp_path):
    grey = np.full((8, 8), 77 * 256 + 9)
    for name, image in (
        ("i16", Image.fromarray(grey.astype(np.uint16))),
        ("i32", Image.fromarray(grey.astype(np.int32))),
        ("cmyk", Image.new("RGB", (8, 8), (77, 77, 77)).convert("CMYK")),
    ):
        image.save(tmp_path / f"{name}.tif")
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.tif"), np.full((8, 8, 3), 77))
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(BadImageError, match="floating-point"):
        read_image(tmp_path / "f.tif")
    # Linear light: a middle value of 0.2140 is 0.5 in sRGB's curve (IEC 61966-2-1).
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))
    assert lab.profile.profile_description
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    Image.new("RGB", (8, 8), (200, 30, 60)).save(tmp_path / "s.png", icc_profile=srgb.tobytes())
    assert read_image(tmp_path / "s.png")[0, 0].tolist() == [200, 30, 60]


def test_another_profile_is_converted(tmp_path):
    """Swapped primaries: red and green of this profile's device are sRGB's green and red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    text = profile.find(b"s\0R\0G\0B")
    while text != -1:
        profile[text : text + 7] = b"o\0t\0h\0e"
        text = profile.find(b"s\0R\0G\0B")
    Image.new("RGB", (8, 8), (200, 30, 60)).save(tmp_path / "p.png", icc_profile=bytes(profile))
    np.testing.assert_allclose(read_image(tmp_path / "p.png")[0, 0], [30, 200, 60], atol=2)
    Image.new("RGB", (8, 8), (200, 30, 60)).save(tmp_path / "b.png", icc_profile=b"broken")
    assert read_image(tmp_path / "b.png")[0, 0].tolist() == [200, 30, 60]


def test_a_jpeg_that_ends_in_grey_is_named(people):
    whole = saved(noise(3, 3, size=(320, 256)), "JPEG", quality=95)
    data = ready(people, image_size=[40, 32])
    assert data.doubts == []
    (people / "a" / "cut.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    doubts = ready(people, image_size=[40, 32]).doubts
    assert len(doubts) == 1
    assert "photos that look damaged: 1, such as a%2Fcut: its lower" in doubts[0]
    (people / "a" / "cut.jpg").write_bytes(whole)
    assert ready(people, image_size=[40, 32]).doubts == []


def test_image_size_wants_two_numbers(people):
    with pytest.raises(BadDataError, match=r"`image_size` must be \[height, width\] in pixels, but got 218"):
        Folder(str(people), image_size=218)


POINTS = np.array([[11, 14], [21, 14], [16, 20], [12, 27], [20, 27]], float)  # of a frame 32 wide and 40 high


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (POINTS * 5, r"18 of 18 photos.*outside the photos' frames of 32x40.*resized"),
        (POINTS / [32, 40], "look like fractions of the frame"),
        (np.full((5, 2), -1.0), "all five coincide"),
        (POINTS[[1, 0, 2, 4, 3]], "mirrored or upside down"),
        (POINTS * [1, -1] + [0, 40], "mirrored or upside down"),
    ],
)
def test_landmarks_that_belong_to_other_frames(people, points, words):
    names = [path.relative_to(people).as_posix() for path in sorted(people.glob("*/*.png"))]

    def write(kept):
        rows = ["path," + ",".join("abcdefghij")]
        rows += [",".join([n, *(f"{v:g}" for v in (kept if i == 3 else POINTS).ravel())]) for i, n in enumerate(names)]
        (people / "landmarks.csv").write_text("\n".join(rows))

    write(POINTS)
    assert ready(people).doubts == []
    rows = ["path,a,b,c,d,e,f,g,h,i,j"] + [",".join([n, *(f"{v:g}" for v in points.ravel())]) for n in names]
    (people / "landmarks.csv").write_text("\n".join(rows))
    with pytest.raises(BadDataError, match=words):
        ready(people)
    if "coincide" not in words and "fractions" not in words:
        write(points)  # one photo alone
        assert "1 of 18 photos, such as a%2F3" in ready(people).doubts[0]


def test_tables_that_name_no_photo_are_refused(people):
    (people / "attributes.csv").write_text("path,Male\nx/1.jpg,1\n")
    with pytest.raises(BadDataError, match=r"attributes.csv names none of the images"):
        ready(people)
    names = [f"./{p.parent.name}\\{p.name}" for p in sorted(people.glob("*/*.png"))]
    (people / "attributes.csv").write_text("path,Male\n" + "".join(f"{name},1\n" for name in [*names, "gone.png"]))
    data = ready(people)
    assert data.skipped == ["rows of attributes.csv that name no image: 1 of 19, such as gone.png"]
    assert all(photo.attributes == {"Male": True} for own in data.photos.values() for photo in own)
