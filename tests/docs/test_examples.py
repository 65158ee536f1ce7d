"""The Python of README and docs runs, at tiny sizes where it would take long."""

import inspect
import re
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from privacy_exp.data.drawn.drawing import draw
from privacy_exp.types import Faces

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def part(page: str, language: str, name: str) -> str:
    """The block that begins with the path of the file it would be."""
    return next(block for block in blocks(page, language) if block.startswith(f"# {name}\n"))


@pytest.fixture
def faces() -> Faces:
    images = torch.rand(3, 3, 40, 32, generator=torch.Generator().manual_seed(0))
    return Faces(["a", "b", "c"], images)


def test_the_front_door(tmp_path, monkeypatch, capsys):
    example = blocks("README.md", "python")[0]
    assert example.split("#")[0].strip().splitlines()[0] in blocks("docs/python.md", "python")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tiny = example.replace("DrawnFaces()", "DrawnFaces(identities=4, photos_per_identity=8, max_test_images=8)")
    tiny = tiny.replace("out=", "recipe=FitRecipe(max_epochs=1), out=").replace(
        "import DrawnFaces", "import FitRecipe, DrawnFaces"
    )
    tiny = tiny.replace("cam.grid().show()", "picture = cam.grid()")
    assert "FitRecipe(" in tiny
    assert "identities=4" in tiny
    scope: dict = {}
    exec(compile(tiny, "README.md", "exec"), scope)  # noqa: S102
    assert scope["cam"].record["n"] == 4
    assert min(scope["picture"].size) > 0
    assert "fool_rate" in capsys.readouterr().out


def test_one_stage_at_a_time(capsys):
    example = next(block for block in blocks("docs/python.md", "python") if "MeanFill" in block)
    exec(compile(example, "python.md", "exec"), {})  # noqa: S102
    assert "tensor(0.2500) torch.Size([2, 3, 64, 64])" in capsys.readouterr().out


def test_whole_photos(tmp_path, monkeypatch, capsys):
    example = next(block for block in blocks("docs/python.md", "python") if "party_anonymized" in block)
    monkeypatch.chdir(tmp_path)
    head = Image.fromarray(draw(0, 3, 0, 160).image)
    photo = Image.new("RGB", (300, 240), (90, 120, 140))
    photo.paste(head, (60, 40))
    photo.save("party.jpg")
    exec(compile(example.replace(', judges=["dlib"], until="unrecognised"', ""), "python.md", "exec"), {})  # noqa: S102
    assert ") 0.3499" in capsys.readouterr().out
    assert (tmp_path / "party_anonymized.jpg").is_file()


@pytest.mark.parametrize("page", ["README.md", "docs/extending.md"])
def test_the_masker(page, faces):
    scope: dict = {}
    exec(compile(part(page, "python", "privacy_exp/masking/brightness.py"), page, "exec"), scope)  # noqa: S102
    masks = scope["Brightness"]().mask(faces, None, mask_ratio=0.25, seed=0)
    assert masks.flatten(1).sum(1).tolist() == [320, 320, 320]
    blocks_of_8 = torch.nn.functional.avg_pool2d(faces.images.mean(1, keepdim=True), 8)
    darkest = blocks_of_8.flatten(1).argmin(1)
    assert not masks[:, 0, 4::8, 4::8].flatten(1)[range(3), darkest].any()


def test_the_inpainter(faces):
    scope: dict = {}
    exec(compile(part("docs/extending.md", "python", "privacy_exp/inpainting/noise.py"), "x", "exec"), scope)  # noqa: S102
    masks = torch.zeros(3, 1, 40, 32, dtype=torch.bool)
    masks[:, :, 8:24] = True
    noise = scope["Noise"](strength=0.5)
    results = noise(faces, masks, seed=0)
    assert torch.equal(results[:, :, :8], faces.images[:, :, :8])
    hidden = results[:, :, 8:24]
    assert 0.25 <= hidden.min() < 0.3
    assert 0.7 < hidden.max() <= 0.75
    alone = noise(Faces(["b"], faces.images[1:2]), masks[:1], seed=0)
    assert torch.equal(alone[0], results[1])


@pytest.mark.parametrize(
    ("group", "name", "cls"), [("masking", "brightness", "Brightness"), ("inpainting", "noise", "Noise")]
)
def test_the_yamls_name_arguments(group, name, cls):
    scope: dict = {}
    exec(compile(part("docs/extending.md", "python", f"privacy_exp/{group}/{name}.py"), "x", "exec"), scope)  # noqa: S102
    content = yaml.safe_load(part("docs/extending.md", "yaml", f"conf/{group}/{name}.yaml"))
    assert content.pop("_target_") == f"privacy_exp.{group}.{name}.{cls}"
    defaults = {key: value.default for key, value in inspect.signature(scope[cls]).parameters.items()}
    assert content == {key: defaults[key] for key in content}
