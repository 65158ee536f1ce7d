"""Damaged picture files: every reader takes them or refuses them by name. scripts/fuzz_photos.py runs many more."""

import struct
import sys
from pathlib import Path

import pytest
from PIL import AvifImagePlugin, Image

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
import fuzz_photos

from privacy_exp.data.files import examine_image, read_image, upright_size
from privacy_exp.data.photo import BadImageError
from privacy_exp.photos.files import UnreadablePhotoError, read_photo
from privacy_exp.runs.folder import read_rgb
from privacy_exp.types import UserError


@pytest.mark.filterwarnings("ignore")
def test_nothing_escapes(tmp_path):
    assert not fuzz_photos.fuzz(400, 7, tmp_path)


def test_whole_files_and_odd_orientations_are_read(tmp_path):
    for name, content in fuzz_photos.whole_files().items():
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(content)
        assert fuzz_photos.escapes(path) == [], name
        if name not in ("tiff of floats",):
            assert read_image(path).ndim == 3


def test_a_header_that_claims_more_than_there_is_names_the_file(tmp_path):
    content = fuzz_photos.whole_files()["jpeg 2000"]
    place = content.index(b"jp2h") - 4
    path = tmp_path / "a.jp2"
    path.write_bytes(content[:place] + struct.pack(">I4sQ", 1, b"jp2h", 1 << 46) + content[place + 8 :])  # 64 TiB
    for read, refusal in (
        (examine_image, BadImageError),
        (read_image, BadImageError),
        (upright_size, BadImageError),
        (read_photo, UnreadablePhotoError),
        (read_rgb, UserError),
    ):
        with pytest.raises(refusal, match=r"a\.jp2.*(more memory than there is|but only got 4018)") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", [RuntimeError("Decoding of color planes failed"), IndexError("list"), KeyError(1)])
def test_a_decoder_may_fail_in_any_way(tmp_path, monkeypatch, fault):
    path = tmp_path / "a.avif"
    path.write_bytes(fuzz_photos.whole_files()["avif"])

    def fail(self):
        raise fault

    monkeypatch.setattr(AvifImagePlugin.AvifImageFile, "load", fail)
    monkeypatch.setattr(Image.Image, "load", fail)
    for read, refusal in (
        (examine_image, BadImageError),
        (read_image, BadImageError),
        (read_photo, UnreadablePhotoError),
    ):
        with pytest.raises(refusal, match=r"a\.avif"):
            read(path)
