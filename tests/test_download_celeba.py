"""The conversion of a parquet shard to CelebA's layout, on a shard made here; nothing is fetched."""

import importlib.util
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from privacy_exp.data.celeba import CelebA


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[1] / "scripts" / "download_celeba.py"
    spec = importlib.util.spec_from_file_location("download_celeba", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(value: int, size: tuple[int, int] = (178, 218)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, 2 * value, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def shard(path: Path, identities: list[int], contents: list[bytes] | None = None) -> Path:
    contents = contents or [picture(i) for i in range(len(identities))]
    images = [{"bytes": content, "path": None} for content in contents]
    smiling = [i % 2 == 0 for i in range(len(identities))]
    table = {"image": images, "celeb_id": identities, "Smiling": smiling, "Young": [True] * len(identities)}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)
    return path


def test_shards_become_a_data_set_that_can_be_read(script, tmp_path):
    others = [picture(i) for i in (60, 90, 120)]  # one picture under two people is refused
    made = {
        "test-0.parquet": shard(tmp_path / "get/test-0.parquet", [5, 5, 9]),
        "test-1.parquet": shard(tmp_path / "get/test-1.parquet", [9, 5, 9], others),
    }
    asked = []

    def get(name):
        asked.append(name)
        return made[name]

    root = tmp_path / "celeba"
    rows = script.fetch(root, {"test": list(made)}, get)
    # CelebA's test part starts at image 182638.
    assert [row.name for row in rows] == [f"{n}.jpg" for n in range(182_638, 182_644)]
    assert (root / "identity_CelebA.txt").read_bytes().splitlines(keepends=True)[3] == b"182641.jpg 9\r\n"
    assert (root / "list_attr_celeba.txt").read_bytes().startswith(b"6\r\nSmiling Young \r\n182638.jpg  1  1\r\n")
    assert (root / "list_eval_partition.txt").read_text().split() == [w for row in rows for w in (row.name, "2")]
    data = CelebA(str(root), min_images_per_identity=2)
    data.setup()
    assert data.identities == ["5", "9"]
    assert data.image_size == (218, 178)
    photo = next(p for part in data.photos.values() for p in part if p.id == "182640")
    assert dict(photo.attributes) == {"Smiling": True, "Young": True}
    assert np.abs(data.read(photo).astype(int) - [2, 4, 40]).max() <= 2  # JPEG of one colour

    assert sorted(asked) == list(made)
    assert not any(path.exists() for path in made.values())  # fetched shards are taken away once converted
    assert script.fetch(root, {"test": list(made)}, get) == rows  # nothing is fetched a second time
    assert len(asked) == 2

    (root / "img_align_celeba" / "182642.jpg").unlink()
    made["test-1.parquet"] = shard(tmp_path / "get/test-1.parquet", [9, 5, 9], others)
    assert script.fetch(root, {"test": list(made)}, get) == rows  # only the shard with the lost image is
    assert asked[2:] == ["test-1.parquet"]


def test_limit_keeps_whole_people_and_further_parts_join(script, tmp_path):
    valid, test = shard(tmp_path / "v.parquet", [1, 2, 2, 3, 3, 3]), shard(tmp_path / "t.parquet", [7, 8])
    made = {"valid-0": valid, "test-0": test}
    root = tmp_path / "celeba"
    rows = script.fetch(root, {"valid": ["valid-0"]}, made.get, limit=5)
    assert sorted(row.identity for row in rows) == [2, 2, 3, 3, 3]
    assert [row.name for row in rows] == [f"{162_771 + i}.jpg" for i in range(1, 6)]
    rows = script.fetch(root, {"test": ["test-0"]}, made.get)
    assert sorted(row.identity for row in rows) == [2, 2, 3, 3, 3, 7, 8]
    assert len(list((root / "img_align_celeba").iterdir())) == 7


def test_png_keeps_the_source_bytes(script, tmp_path):
    path = shard(tmp_path / "s.parquet", [1, 2])
    script.fetch(tmp_path / "out", {"train": ["s"]}, lambda name: path, png=True)
    assert (tmp_path / "out/img_align_celeba/000002.png").read_bytes() == picture(1)
    with pytest.raises(ValueError, match="new folder"):
        script.fetch(tmp_path / "out", {"train": ["s"]}, lambda name: path)


@pytest.mark.parametrize(
    ("content", "words"), [(picture(3)[:200], "000002.jpg"), (picture(3, (64, 64)), "64x64"), (b"", "000002.jpg")]
)
def test_unusable_image_stops_and_leaves_no_half_file(script, tmp_path, content, words):
    path = shard(tmp_path / "s.parquet", [1, 2], [picture(1), content])
    with pytest.raises(ValueError, match=words):
        script.fetch(tmp_path / "out", {"train": ["s"]}, lambda name: path)
    assert [p.name for p in (tmp_path / "out/img_align_celeba").iterdir()] == ["000001.jpg"]
    assert not (tmp_path / "out/identity_CelebA.txt").exists()
