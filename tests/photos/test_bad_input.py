"""Bad input to `anonymize photos=` and `prepare`: one paragraph that names the thing, and nothing is written."""

import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from PIL import Image, UnidentifiedImageError

from privacy_exp.anonymize import run as anonymize
from privacy_exp.photos.files import MARK, UnreadablePhotoError, encode, read_photo
from privacy_exp.photos.folder import anonymize_folder
from privacy_exp.prepare import run as prepare
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import UserError
from tests.photos.conftest import Canvas
from tests.photos.test_folder import anonymizer

GROUPS = ("masking", "inpainting", "detector", "judge")


def composed(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, overrides=list(overrides))


@pytest.fixture(scope="module")
def plain() -> DictConfig:
    """The command without a word more than it needs, composed once: composing takes longer than refusing."""
    return composed("anonymize", "photos=photos", "out=new", "inpainting=mean_fill")


def refused(run: Callable[[], object], words: str) -> None:
    """One paragraph that holds these words."""
    with pytest.raises((UserError, OSError, InstantiationException)) as caught:
        run()
    wrapped = isinstance(caught.value, InstantiationException)  # what a constructor says
    said = caught.value.__cause__ if wrapped else caught.value
    assert isinstance(said, UserError | OSError)
    assert re.search(words, str(said))
    assert len(str(said)) < 600


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of one photo without a face, and things that are no use beside it."""
    Canvas(200, 150).save(tmp_path / "photos" / "a.png")
    Canvas(200, 150).save(tmp_path / "people" / "anna" / "a.png")
    (tmp_path / "file").write_text("")
    (tmp_path / "bare").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "no.onnx").write_bytes(b"no graph")
    return tmp_path


ASKED = [
    (["photos={0}/missing"], "`photos` must be a folder"),
    (["photos={0}/file"], "`photos` must be a folder"),
    (["photos={0}/bare"], "holds no photo"),
    (["out={0}/photos"], "beside"),
    (["out={0}/photos/out"], "beside"),
    (["photos={0}/people/anna", "out={0}/people"], "beside"),
    (["out={0}/file"], "is a file"),
    (["out={0}/full"], "holds files already"),
    (["inpainting=k_same"], "learns from a data set"),
    (["masking=original_random"], "frames of its own"),
    (["masking=saliency"], "recognition.checkpoint"),
    (["masking=saliency", "recognition.checkpoint={0}/missing"], "missing"),
    (["masking.region=face", "mask_ratio=0.9"], "the method's region leaves"),
    (["mask_ratio=1.5"], "`mask_ratio` must lie"),
    (["mask_ratio=half"], "`mask_ratio` must lie"),
    (["seed=-1"], "`seed` must be"),
    (["batch_size=0"], "`batch_size` must be"),
    (["until=never"], "`until` must be"),
    (["until=unrecognised"], "judge=\\[dlib\\]"),
    (["tries=0"], "`tries` must be"),
    (["keep=[ears]"], "`keep` may hold"),
    (["keep=eyes"], "keep=\\[eyes\\]"),
    (["keep=[eyes]", "masking=everything"], "`keep` needs a method"),
    (["keep=[eyes,nose,mouth]", "mask_ratio=0.99"], "keep less"),
    (["keep_people={0}/people"], "judge=\\[dlib\\]"),
    (["keep_metadata=[GPSInfo]"], "`keep_metadata`"),
    (["keep_metadata=Make"], "keep_metadata=\\[Make\\]"),
    (["detector.min_size=5"], "`detector.min_size`"),
    (["detector.sure=2"], "`detector.doubt` and `sure`"),
    (["detector.max_megapixels=0"], "`detector.max_megapixels`"),
    (["detector=onnx"], "detector.model"),
    (["detector=onnx", "detector.model={0}/missing.onnx"], "`detector.model`"),
    (["detector=onnx", "detector.model={0}/no.onnx"], "`detector.model`"),
    (["judge=[onnx]", "judge.onnx.embedder.model={0}/no.onnx"], "no.onnx"),
]


@pytest.mark.parametrize(("overrides", "words"), ASKED, ids=[" ".join(o) for o, _ in ASKED])
def test_what_cannot_be_done_is_refused_before_anything_is_written(overrides, words, place, plain):
    before = sorted(str(path) for path in place.rglob("*"))
    chosen = [line.format(place) for line in overrides if line.partition("=")[0] in GROUPS]
    config = composed("anonymize", "photos=photos", "out=new", "inpainting=mean_fill", *chosen) if chosen else plain
    rest = [line.format(place) for line in overrides if line.partition("=")[0] not in GROUPS]
    lines = [f"photos={place}/photos", f"out={place}/new", *rest]
    refused(lambda: anonymize(OmegaConf.merge(config, OmegaConf.from_dotlist(lines))), words)
    assert sorted(str(path) for path in place.rglob("*")) == before


ASKED_TO_PREPARE = [
    ("{0}/missing", "{0}/new", "`people` must be a folder"),
    ("{0}/file", "{0}/new", "`people` must be a folder"),
    ("{0}/photos", "{0}/new", "lies in .*photos itself"),
    ("{0}/bare", "{0}/new", "no photo with exactly one face"),
    ("{0}/people", "{0}/new", "no photo with exactly one face"),
    ("{0}/people", "{0}/people/new", "beside"),
    ("{0}/people", "{0}/full", "holds files"),
    ("{0}/people", "{0}/file", "is a file"),
]


@pytest.mark.parametrize(("people", "out", "words"), ASKED_TO_PREPARE)
def test_what_cannot_be_prepared_is_refused_before_anything_is_written(people, out, words, place):
    before = sorted(str(path) for path in place.rglob("*"))
    config = composed("prepare", f"people={people.format(place)}", f"out={out.format(place)}")
    refused(lambda: prepare(config), words)
    assert sorted(str(path) for path in place.rglob("*")) == before


def gif(path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])


def cut(path: Path) -> None:
    Canvas(200, 150).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bomb(path: Path) -> None:
    """A picture of 100,000 × 100,000 pixels, as its header says."""
    Image.new("RGB", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (100_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


FILES = {
    "empty.jpg": (lambda path: path.write_bytes(b""), "empty"),
    "text.png": (lambda path: path.write_text("no picture"), "not an image"),
    "page.jpg": (lambda path: path.write_text("<!DOCTYPE html><title>Quota exceeded</title>"), "not an image"),
    "cut.jpg": (cut, "truncated"),
    "cut.png": (cut, "cut.png"),
    "bomb.png": (bomb, "decompression bomb"),
    "moving.gif": (lambda path: gif(path, "GIF"), "2 pictures"),
    "moving.png": (lambda path: gif(path, "PNG"), "2 pictures"),
    "moving.webp": (lambda path: gif(path, "WEBP"), "2 pictures"),
    "pages.tif": (lambda path: gif(path, "TIFF"), "2 pictures"),
    "numbers.tif": (lambda path: Image.fromarray(np.ones((9, 9), np.float32)).save(path), "floating-point"),
    "gone.jpg": (lambda path: path.symlink_to("nowhere.jpg"), "gone.jpg"),
    "none.avif": (lambda path: path.write_bytes(b"no picture"), "pip install"),
}


def test_files_that_cannot_be_treated_are_listed_each_with_its_reason_and_the_others_are_done(place):
    root = place / "photos"
    for name, (make, _) in FILES.items():
        make(root / name)
    (root / "folder.jpg").mkdir()
    outcome = anonymize_folder(root, place / "new", anonymizer(), {})
    assert outcome.failed.keys() == FILES.keys()
    for name, (_, words) in FILES.items():
        assert words in outcome.failed[name]
    assert [row["photo"] for row in outcome.rows] == ["a.png"]
    assert {path.name for path in (place / "new").iterdir()} == {".privacy_exp", "a.png"}


def test_names_that_no_list_can_hold_are_refused(place):
    (place / "photos" / "a.png").rename(place / "photos" / os.fsdecode(b"a\xe9.png"))
    with pytest.raises(UserError, match=r"1 files, .* not UTF-8"):
        anonymize_folder(place / "photos", place / "new", anonymizer(), {})


def test_photos_in_linked_folders_are_treated_too(place):
    Canvas(90, 90).save(place / "elsewhere" / "b.png")
    (place / "photos" / "link").symlink_to(place / "elsewhere")
    outcome = anonymize_folder(place / "photos", place / "new", anonymizer(), {})
    assert [row["photo"] for row in outcome.rows] == ["a.png", "link/b.png"]


def test_heic_is_read_and_written_where_its_reader_is_there(place):
    pytest.importorskip("pillow_heif", reason="needs privacy-exp[heic]")
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    path = Canvas(200, 160).save(place / "photos" / "phone.HEIC", quality=95, exif=exif)
    photo = read_photo(path)
    assert np.abs(photo.pixels.astype(int) - Canvas(200, 160).pixels).mean() < 6
    content = encode(photo, photo.pixels, changed=True)
    assert content[4:12] == b"ftypheic"
    assert MARK.encode() in content
    assert b"secret" not in content
    outcome = anonymize_folder(place / "photos", place / "new", anonymizer(), {})
    assert [row["photo"] for row in outcome.rows] == ["a.png", "phone.HEIC"]


def test_a_missing_reader_of_heic_is_named(place, monkeypatch):
    (place / "photos" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    monkeypatch.setattr(Image, "open", _unidentified)
    with pytest.raises(UnreadablePhotoError, match=r"privacy-exp\[heic\]"):
        read_photo(place / "photos" / "phone.heic")


def _unidentified(path: Path) -> None:
    raise UnidentifiedImageError(f"cannot identify image file {path}")
