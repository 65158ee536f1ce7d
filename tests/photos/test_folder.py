"""A folder of whole photos in, the same folder out."""

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from privacy_exp.inpainting.controls import Identity, MeanFill
from privacy_exp.inpainting.k_same import KSame
from privacy_exp.masking.everything import Everything
from privacy_exp.masking.face_oval import FaceOval
from privacy_exp.masking.nothing import Nothing
from privacy_exp.masking.original_random import OriginalRandom
from privacy_exp.masking.random_patches import RandomPatches
from privacy_exp.photos.files import MARK, encode, read_photo
from privacy_exp.photos.finding import MTCNNFinder
from privacy_exp.photos.folder import anonymize_folder
from privacy_exp.photos.looking import Watcher
from privacy_exp.photos.review import closing, write_review, write_table
from privacy_exp.photos.treating import LADDER, LookingAgain, PhotoAnonymizer
from privacy_exp.types import UserError
from tests.photos.conftest import Canvas, Colours


def anonymizer(**keys):
    return PhotoAnonymizer(keys.pop("masker", FaceOval(aspect=1.3)), keys.pop("inpainter", MeanFill()), **keys)


@pytest.fixture
def holiday(tmp_path, party):
    root = tmp_path / "holiday"
    party.save(root / "party.png")
    party.save(root / "sub" / "party.jpg", quality=83, subsampling=0)
    Canvas(200, 150).save(root / "empty.png")
    return root


def run(holiday, out, **keys):
    return anonymize_folder(holiday, out, anonymizer(**keys), {"keys": sorted(keys)})


def test_every_face_is_hidden_and_all_else_is_kept_bit_for_bit(holiday, tmp_path, party):
    outcome = run(holiday, tmp_path / "out")
    assert {row["photo"]: len(row["faces"]) for row in outcome.rows} == {
        "empty.png": 0,
        "party.png": 2,
        "sub/party.jpg": 2,
    }
    assert outcome.safe
    result = np.asarray(Image.open(tmp_path / "out" / "party.png"))
    differs = (result != party.pixels).any(2)
    for left, top, right, bottom in party.boxes:
        middle = differs[(top + bottom) // 2, (left + right) // 2]
        assert middle, "the middle of the face is as it was"
    outside = np.ones(differs.shape, bool)
    for face in outcome.rows[1]["faces"]:
        left, top, right, bottom = (int(v) for v in face["box"])
        reach = right - left
        outside[max(0, top - reach) : bottom + reach, max(0, left - reach) : right + reach] = False
    assert outside.any()
    assert not differs[outside].any()


def test_touched_pixels_are_the_only_ones_that_change(party):
    treat = anonymizer()
    (treated,) = treat(["a"], [party.pixels], [treat.finder.find(party.pixels)])
    assert treated.touched.any()
    assert np.array_equal(treated.pixels[~treated.touched], party.pixels[~treated.touched])


def test_the_asked_share_of_each_crop_is_hidden(party):
    treat = anonymizer(mask_ratio=0.2)
    (treated,) = treat(["a"], [party.pixels], [treat.finder.find(party.pixels)])
    expected = round(0.2 * 218 * 178) / (218 * 178)
    assert [face.share for face in treated.faces] == pytest.approx([expected] * 2, abs=1e-6)


def test_results_do_not_depend_on_what_shares_a_batch(holiday, tmp_path):
    treat = anonymizer(masker=RandomPatches(patch_size=16))
    photo = read_photo(holiday / "party.png").pixels
    alone = treat(["party.png"], [photo], [treat.finder.find(photo)])[0].pixels
    found = [treat.finder.find(photo)] * 2
    together = treat(["other", "party.png"], [photo, photo], found)[1].pixels
    assert np.array_equal(alone, together)


def test_the_picture_says_that_it_was_changed_and_nothing_else(tmp_path, party):
    root = tmp_path / "in"
    exif = Image.Exif()
    exif[0x010E] = "a secret description"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    for name, keys in (("a.jpg", {}), ("b.png", {}), ("c.webp", {"lossless": True})):
        party.save(root / name, exif=exif, comment=b"a secret comment", **keys)
    treat = anonymizer()
    outcome = anonymize_folder(root, tmp_path / "out", treat, {}, keep_metadata=["DateTimeOriginal"])
    assert outcome.unmarked == []
    for name in ("a.jpg", "b.png", "c.webp"):
        content = (tmp_path / "out" / name).read_bytes()
        assert MARK.encode() in content
        assert b"secret" not in content
        with Image.open(tmp_path / "out" / name) as image:
            kept = image.getexif()
            assert not kept.get_ifd(0x8825)
            assert dict(kept.get_ifd(0x8769)) == {0x9003: "2026:01:02 03:04:05"}


def test_an_untouched_photo_carries_no_mark(holiday, tmp_path):
    run(holiday, tmp_path / "out")
    assert MARK.encode() not in (tmp_path / "out" / "empty.png").read_bytes()


TURNED = [(turn, suffix) for turn in range(1, 9) for suffix in (".png", ".jpg", ".webp", ".tif", ".avif")]


@pytest.mark.parametrize(("turn", "suffix"), [*TURNED, (6, ".heic")])
def test_all_orientations_come_out_upright(turn, suffix, tmp_path, party):
    if suffix == ".heic":
        pytest.importorskip("pillow_heif", reason="needs privacy-exp[heic]")
    exif = Image.Exif()
    exif[0x0112] = turn
    path = party.save(tmp_path / f"a{suffix}", exif=exif)
    photo = read_photo(path)
    from PIL import ImageOps

    assert np.array_equal(photo.pixels, np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB")))
    again = Image.open(__import__("io").BytesIO(encode(photo, photo.pixels, True)))
    assert again.getexif().get(0x0112) is None


def test_jpeg_is_written_at_its_own_quality_and_subsampling(holiday, tmp_path):
    from PIL import JpegImagePlugin

    run(holiday, tmp_path / "out")
    with Image.open(holiday / "sub/party.jpg") as old, Image.open(tmp_path / "out/sub/party.jpg") as new:
        assert old.quantization == new.quantization
        assert JpegImagePlugin.get_sampling(old) == JpegImagePlugin.get_sampling(new) == 0


def test_it_goes_on_where_it_was_killed_and_extends_a_folder_that_grew(holiday, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(holiday, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    (out / "party.png").unlink()
    Canvas(400, 300).add(5, 60, 40, 180).save(holiday / "new.png")
    outcome = run(holiday, out)
    assert {row["photo"] for row in outcome.rows} == {"empty.png", "new.png", "party.png", "sub/party.jpg"}
    assert (out / "empty.png").stat().st_mtime_ns == before[out / "empty.png"]
    assert (out / "party.png").is_file()


def test_a_photo_that_changed_is_treated_again(holiday, tmp_path):
    run(holiday, tmp_path / "out")
    Canvas(400, 300).add(5, 60, 40, 180).save(holiday / "empty.png")
    outcome = run(holiday, tmp_path / "out")
    assert {row["photo"]: len(row["faces"]) for row in outcome.rows}["empty.png"] == 1


def test_the_closing_lines_count_other_files_and_name_broken_ones_as_the_folder_does(holiday, tmp_path):
    (holiday / "notes.txt").write_text("who sat where")
    (holiday / "sub" / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    outcome = run(holiday, tmp_path / "out")
    assert "1 other file not copied, since only photos are." in closing(outcome)
    assert "1 file could not be read and was copied nowhere." in closing(outcome)
    (said,) = outcome.failed.values()
    assert said.startswith("sub/broken.jpg ")
    assert str(tmp_path) not in said


def test_what_is_half_written_lies_in_the_folder_that_the_next_call_empties(holiday, tmp_path, monkeypatch):
    out, seen = tmp_path / "out", set()
    write = tempfile.mkstemp

    def noted(*args, **keys):
        seen.add(Path(keys["dir"]))
        return write(*args, **keys)

    monkeypatch.setattr(tempfile, "mkstemp", noted)
    write_table(out, run(holiday, out))
    assert seen == {out / ".privacy_exp" / "work"}
    (out / ".privacy_exp" / "work" / ".half.png").write_bytes(b"half")
    run(holiday, out)
    assert not list(out.rglob(".half.png"))


def test_results_whose_photo_is_gone_are_named(holiday, tmp_path):
    run(holiday, tmp_path / "out")
    (holiday / "party.png").unlink()
    again = run(holiday, tmp_path / "out")
    assert again.stale == ["party.png"]
    assert "1 result of an earlier call without a photo any more: party.png." in closing(again)


def test_what_cannot_be_read_is_listed_and_copied_nowhere(holiday, tmp_path):
    (holiday / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    (holiday / "phone.dng").write_bytes(b"raw")
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(holiday / "moving.gif", save_all=True, append_images=frames[1:])
    outcome = run(holiday, tmp_path / "out")
    assert set(outcome.failed) == {"broken.jpg", "moving.gif"}
    assert outcome.unread == ["phone.dng"]
    assert not outcome.safe
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_file()) == ["empty.png", "party.png"]
    assert any("could not be read" in line for line in closing(outcome))


def test_no_picture_of_any_kind_is_passed_over_in_silence(holiday, tmp_path):
    Image.new("RGB", (3, 900), "red").save(holiday / "thin.png")
    Image.new("RGB", (1, 1), "red").save(holiday / "dot.jfif", "JPEG")
    for name in ("icon.ico", "film.mp4", "raw.CR2", "old.xbm"):
        (holiday / name).write_bytes(b"something")
    (holiday / "notes.txt").write_text("no picture")
    outcome = run(holiday, tmp_path / "out")
    assert {row["photo"] for row in outcome.rows} >= {"thin.png", "dot.jfif"}
    assert outcome.unread == ["film.mp4", "icon.ico", "old.xbm", "raw.CR2"]


def test_a_photo_that_cannot_be_written_again_is_listed_and_the_others_are_done(holiday, tmp_path, monkeypatch):
    from privacy_exp.photos import files

    monkeypatch.setattr(files, "_saving", lambda image: {"qtables": "nonsense"} if image.format == "JPEG" else {})
    outcome = run(holiday, tmp_path / "out")
    assert set(outcome.failed) == {"sub/party.jpg"}
    assert {row["photo"] for row in outcome.rows} == {"empty.png", "party.png"}
    assert not outcome.safe
    assert not (tmp_path / "out" / "sub" / "party.jpg").exists()


@pytest.mark.parametrize(
    ("keys", "words"), [({"inpainter": KSame()}, "KSame learns"), ({"masker": OriginalRandom()}, "frames of")]
)
def test_parts_that_whole_photos_cannot_serve_are_refused(keys, words):
    with pytest.raises(UserError, match=words):
        anonymizer(**keys)


def test_nothing_is_said_to_hide_nothing(holiday, tmp_path):
    outcome = run(holiday, tmp_path / "out", masker=Nothing())
    assert not outcome.safe
    assert any("Nothing is hidden" in line for line in closing(outcome))


def test_recognised_faces_are_painted_again_with_a_larger_share(party):
    watcher = Watcher("colours", Colours(), threshold=0.05, strict=0.05)
    treat = anonymizer(mask_ratio=0.01, looking=LookingAgain((watcher,), "unrecognised", 6))
    (treated,) = treat(["a"], [party.pixels], [treat.finder.find(party.pixels)])
    assert all(not face.recognised_by for face in treated.faces)
    assert all(face.tries > 1 for face in treated.faces)
    allowed = {round(share * 218 * 178) / (218 * 178) for share in LADDER}
    assert all(any(abs(face.share - one) < 1e-6 for one in allowed) for face in treated.faces)


def test_an_original_is_embedded_once_however_often_it_is_painted(party):
    class Counting(Colours):
        seen = 0

        def features(self, crops):
            self.seen += len(crops)
            return super().features(crops)

    watcher = Watcher("colours", Counting(), threshold=0.05, strict=0.05)
    treat = anonymizer(mask_ratio=0.01, looking=LookingAgain((watcher,), "unrecognised", 6))
    (treated,) = treat(["a"], [party.pixels], [treat.finder.find(party.pixels)])
    paintings = sum(face.tries for face in treated.faces)
    assert paintings > 2
    assert watcher.embedder.seen == 2 + paintings


def test_the_ladder_ends_where_the_methods_region_does(party):
    watcher = Watcher("colours", Colours(), threshold=-1, strict=-1)  # never content
    treat = anonymizer(
        masker=FaceOval(1.3, region="face"), mask_ratio=0.1, looking=LookingAgain((watcher,), "unrecognised", 7)
    )
    (treated,) = treat(["a"], [party.pixels], [treat.finder.find(party.pixels)])
    assert [face.tries for face in treated.faces] == [7, 7]
    assert all(0.12 < face.share < 0.3 for face in treated.faces), [face.share for face in treated.faces]


def test_what_stays_recognised_makes_the_folder_unsafe(holiday, tmp_path):
    watcher = Watcher("colours", Colours(), threshold=0.5, strict=0.5)
    outcome = run(holiday, tmp_path / "out", inpainter=Identity(), looking=LookingAgain((watcher,)))
    assert not outcome.safe
    assert "colours still recognises 4 of 4 treated faces (similarity from 0.5)." in closing(outcome)


def test_a_person_lets_a_face_pass_for_that_result_alone(holiday, tmp_path):
    watcher = Watcher("colours", Colours(), threshold=0.5, strict=0.5)
    looking, out = LookingAgain((watcher,)), tmp_path / "out"
    outcome = run(holiday, out, inpainter=Identity(), looking=looking)
    names = [row["face"] for row in csv.DictReader(write_table(out, outcome).open())]
    assert len(set(names)) == 4
    assert all(name in write_review(out, outcome).read_text() for name in names)
    outcome.let_pass(names[:3])
    assert not outcome.safe
    assert names[3] in " ".join(closing(outcome))
    outcome.let_pass(names)
    assert outcome.safe
    assert "4 faces of these looked at and let pass (`looked_at`)." in closing(outcome)
    with pytest.raises(UserError, match=r"`looked_at`.*4 there.*face-0"):
        outcome.let_pass([*names, "face-0"])
    other = run(holiday, tmp_path / "other", mask_ratio=0.5, inpainter=MeanFill(), looking=looking)
    with pytest.raises(UserError, match="looked at again"):
        other.let_pass(names)


def test_the_table_and_the_page_tell_what_happened(holiday, tmp_path):
    party = holiday / "=evil.png"
    (holiday / "party.png").rename(party)
    outcome = run(holiday, tmp_path / "out")
    rows = list(csv.DictReader(write_table(tmp_path / "out", outcome).open()))
    assert len(rows) == 4
    assert {row["photo"][0] for row in rows} == {"'", "s"}
    page = write_review(tmp_path / "out", outcome).read_text()
    assert page.count("<img") == 4
    assert "http" not in page.replace("http-equiv", "")
    assert write_review(tmp_path / "out", outcome, holiday).read_text().count("<img") == 8


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda t: (t / "missing", t / "out"), "there is no"),
        (lambda t: (t / "holiday", t / "holiday"), "beside"),
        (lambda t: (t / "holiday", t / "holiday" / "out"), "beside"),
        (lambda t: (t / "holiday" / "sub", t / "holiday"), "beside"),
        (lambda t: (t / "holiday", t / "full"), "holds files already"),
        (lambda t: (t / "bare", t / "out"), "holds no photo"),
        (lambda t: (t / "holiday", t / "file"), "is a file"),
    ],
)
def test_bad_folders_are_refused_before_anything_is_written(make, match, holiday, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "bare").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    with pytest.raises(UserError, match=match):
        run(*make(tmp_path))
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before


def test_other_settings_are_refused(holiday, tmp_path):
    run(holiday, tmp_path / "out")
    with pytest.raises(UserError, match="other settings"):
        anonymize_folder(holiday, tmp_path / "out", anonymizer(), {"keys": "others"})


def test_two_runs_on_one_folder_are_refused(holiday, tmp_path):
    from filelock import FileLock

    run(holiday, tmp_path / "out")
    with FileLock(tmp_path / "out" / ".privacy_exp" / "lock"), pytest.raises(UserError, match="another process"):
        run(holiday, tmp_path / "out")


@pytest.mark.parametrize("name", ["GPSInfo", "NoSuchTag", "MakerNote"])
def test_tags_that_cannot_be_kept_are_refused(name, holiday, tmp_path):
    with pytest.raises(UserError, match=name):
        anonymize_folder(holiday, tmp_path / "out", anonymizer(), {}, keep_metadata=[name])


def test_overlapping_faces_do_not_paint_over_each_other():
    canvas = Canvas(420, 300).add(3, 30, 60, 180).add(7, 200, 60, 180)
    treat = anonymizer(masker=Everything(), inpainter=MeanFill())
    found = treat.finder.find(canvas.pixels)
    assert len(found) == 2
    (treated,) = treat(["a"], [canvas.pixels], [found])
    left, right = sorted(found, key=lambda face: face.box[0])
    middle = [int((f.box[1] + f.box[3]) / 2) for f in (left, right)]
    assert (treated.pixels[middle[0], int(left.box[0]) + 5] != canvas.pixels[middle[0], int(left.box[0]) + 5]).any()


def test_large_photos_are_looked_at_smaller_and_boxes_come_back_in_their_own_pixels(party):
    large = np.asarray(Image.fromarray(party.pixels).resize((1680, 960), Image.Resampling.BICUBIC))
    whole = MTCNNFinder().find(large)
    small = MTCNNFinder(max_megapixels=0.4).find(large)
    assert len(whole) == len(small) == 2
    for a, b in zip(whole, small, strict=True):
        assert np.allclose(a.box, b.box, atol=0.08 * a.size)


def test_notes_hold_nothing_but_plain_values(holiday, tmp_path):
    run(holiday, tmp_path / "out")
    for note in (tmp_path / "out" / ".privacy_exp" / "photos").glob("*.json"):
        assert set(json.loads(note.read_text())) == {"source", "result", "row"}


def _files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.suffix in (".png", ".jpg")}


@pytest.mark.slow
def test_a_killed_run_leaves_whole_files_and_ends_alike(holiday, tmp_path):
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3])\n"
        "from privacy_exp.photos.folder import anonymize_folder\n"
        "from privacy_exp.photos.treating import PhotoAnonymizer\n"
        "from privacy_exp.masking.face_oval import FaceOval\n"
        "from privacy_exp.inpainting.controls import MeanFill\n"
        "treat = PhotoAnonymizer(FaceOval(aspect=1.3), MeanFill())\n"
        "anonymize_folder(Path(sys.argv[1]), Path(sys.argv[2]), treat, {'keys': []}, 1)\n"
    )
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", script, str(holiday), str(killed), str(Path(__file__).parents[2])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(killed.rglob("*.p*g")):
        time.sleep(0.02)
    process.kill()
    process.wait()
    shown = [path for path in killed.rglob("*") if path.is_file() and ".privacy_exp" not in path.parts]
    for path in shown:
        Image.open(path).load()
    run(holiday, killed)
    run(holiday, whole)
    assert _files(killed) == _files(whole)
