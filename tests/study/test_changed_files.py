"""A file that a run reads is changed in place, under the same name: no figure of the old one is served."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from PIL import Image

from privacy_exp.cache import entry
from privacy_exp.cache.keys import PACKAGE
from tests.recognition.test_onnx import graph

PEOPLE, PHOTOS, SIDE = 3, 6, 24


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """People in folders with their tables, two graphs with weights beside them, a painter behind a link."""
    root = tmp_path_factory.mktemp("files")
    rows = []
    for i in range(PEOPLE):
        (root / "photos" / f"p{i}").mkdir(parents=True)
        colour = np.random.default_rng(i).uniform(40, 215, 3)
        for k in range(PHOTOS):
            pixels = np.random.default_rng([i, k]).normal(colour, 12, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "photos" / f"p{i}" / f"{k}.png")
            rows.append(f"p{i}/{k}.png")
    points = "8,9,16,9,12,13,9,17,15,17"
    tables = {"groups": "g", "attributes": "1", "landmarks": points}
    heads = {"groups": "group", "attributes": "Smiling", "landmarks": ",".join("abcdefghij")}
    for name, cells in tables.items():
        lines = [
            f"path,{heads[name]}",
            *(f"{row},{cells}{n if name == 'groups' else ''}" for n, row in enumerate(rows)),
        ]
        (root / "photos" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    for name in ("net", "judge"):
        model = onnx.load(graph(root / "whole.onnx"))
        onnx.save(model, root / f"{name}.onnx", save_as_external_data=True, size_threshold=0, location=f"{name}.data")
    shutil.copytree(PACKAGE / "assets" / "tiny_inpaint", root / "painter")
    (root / "painter" / "unet").rename(root / "blob")
    (root / "painter" / "unet").symlink_to(root / "blob")
    return root


@pytest.fixture
def asked(files, tmp_path):
    """A copy of these files, and a run that reads them all."""
    root = tmp_path / "files"
    shutil.copytree(files, root, symlinks=True)
    (root / "painter" / "unet").unlink()
    (root / "painter" / "unet").symlink_to(root / "blob")
    recogniser = ["recognition=onnx", f"recognition.net.model={root}/net.onnx", "recognition.net.align=false"]
    judge = ["judge=[onnx]", f"judge.onnx.embedder.model={root}/judge.onnx", "judge.onnx.detect=false"]
    sizes = ["recognition.net.image_size=16", "judge.onnx.embedder.image_size=16", "recognition.module.max_epochs=1"]
    data = ["data=folder", f"data.root={root}/photos", "data.min_images_per_identity=3"]
    return root, [*recogniser, *judge, *sizes, *data, "masking=center", "rerun=false", "utility=[]"]


def turned(path: Path) -> None:
    """A picture with the same size and name, and other pixels."""
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)


def scaled(path: Path) -> None:
    """Weights of the same shapes: half of them have another sign."""
    numbers = np.frombuffer(path.read_bytes(), np.float32).copy()
    numbers[::2] *= -1
    path.write_bytes(numbers.tobytes())


def reworded(old: str, new: str):
    return lambda path: path.write_text(path.read_text().replace(old, new, 1))


def last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


CHANGES = {
    "photos/p0/0.png": turned,
    "photos/groups.csv": reworded("g1\n", "g0\n"),
    "photos/attributes.csv": reworded(",1\n", ",0\n"),
    "photos/landmarks.csv": reworded(",8,", ",7,"),
    "net.data": scaled,
    "judge.data": scaled,
    "blob/diffusion_pytorch_model.safetensors": last_byte,
    "painter/scheduler/scheduler_config.json": reworded('"num_train_timesteps": 1000', '"num_train_timesteps": 900'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_file_that_is_changed_in_place_makes_another_run(asked, composed, tmp_path, name):
    from privacy_exp.sweep.build import job_of

    root, overrides = asked
    painted = "blob" in name or "painter" in name
    painter = ["inpainting=diffusers", f"inpainting.checkpoint={root}/painter", "inpainting.force=true"]
    overrides = [*overrides, *(painter if painted else ["inpainting=mean_fill"])]
    before = job_of(composed(tmp_path / "run", *overrides)).key()
    assert job_of(composed(tmp_path / "run", *overrides)).key() == before
    content = (root / name).read_bytes()
    CHANGES[name](root / name)
    assert (root / name).read_bytes() != content
    assert job_of(composed(tmp_path / "run", *overrides)).key() != before


@pytest.mark.parametrize("names", [["judge.data"], ["net.data", "photos/p0/0.png"]], ids=lambda names: names[0])
def test_what_the_store_gives_is_what_an_empty_one_computes(asked, cell, tmp_path, names):
    root, overrides = asked
    overrides = [*overrides, "inpainting=mean_fill", "image_format=png"]
    before = figures(cell, tmp_path / "before", *overrides, f"cache.root={tmp_path / 'full'}")
    for name in names:
        CHANGES[name](root / name)
    entry._sound.clear()
    full = figures(cell, tmp_path / "full-store", *overrides, f"cache.root={tmp_path / 'full'}")
    empty = figures(cell, tmp_path / "empty-store", *overrides, f"cache.root={tmp_path / 'empty'}")
    assert full == empty
    assert full != before


def figures(cell, out: Path, *overrides: str) -> tuple[dict[str, float], str]:
    """All metrics, and the table of what each photo was taken for."""
    cell(out, *overrides)
    record = json.loads((out / "record.json").read_text())
    table = pd.read_parquet(out / "images.parquet").to_json(double_precision=10)
    return {name: metric["value"] for name, metric in record["metrics"].items()}, table
