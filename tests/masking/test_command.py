"""A tool that says what to hide: its masks are taken pixel by pixel, and what it gets wrong is named."""

import pytest
import torch

from privacy_exp import Identity, MaskCommand, Study, UserError
from privacy_exp.types import Faces
from tests.inpainting.tools import tool

FACES = Faces(["../../up", "b c", "d"], torch.rand(3, 3, 12, 10, generator=torch.Generator().manual_seed(0)))
BRIGHT = """
for name in names:
    red = Image.open(source / name).getchannel("R")
    red.point(lambda value: 255 * (value >= 128)).save(target / (name[:-3] + "png"))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_white_hides_whatever_the_photos_are_called(tmp_path, workers):
    masks = MaskCommand(tool(tmp_path, BRIGHT), workers=workers).mask(FACES)
    assert torch.equal(masks[:, 0], (FACES.images[:, 0] * 255).round() >= 128)


def test_a_tool_that_reads_jpeg_writes_png(tmp_path):
    assert MaskCommand(tool(tmp_path, BRIGHT), format="jpg").mask(FACES).shape == (3, 1, 12, 10)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("pass", r"3 are missing, such as 00000.png \(of the pictures ../../up to d\)"),
        ("for name in names: Image.new('L', (5, 5)).save(target / name)", "size as it is, 10x12, but 00000.png is 5x5"),
        ("for name in names: Image.new('L', (10, 12), 1).save(target / name)", "that of ../../up holds 1 in 100% of"),
        ("for name in names: invert(name)", "must write masks of black"),
        ("for name in names: Image.new('RGB', (10, 12), 'red').save(target / name)", "must write masks of black"),
        ("sys.exit(3)", "`command` ended with exit code 3"),
    ],
    ids=["nothing", "size", "0 and 1", "a photo", "coloured", "exit"],
)
def test_what_a_tool_gets_wrong_is_named(tmp_path, body, says):
    with pytest.raises(UserError, match=says):
        MaskCommand(tool(tmp_path, body)).mask(FACES)


def test_the_rules_are_those_of_the_painter(tmp_path):
    with pytest.raises(UserError, match=r"knows the places {input} and {output}, but holds {masks}"):
        MaskCommand("cp {input} {output} {masks}")
    with pytest.raises(UserError, match="starts 'no_such_tool', which is not there"):
        MaskCommand("no_such_tool {input} {output}")
    assert MaskCommand("cp {input} {output}", version="echo 1.2").keys()["version"] == "1.2"


def test_a_run_takes_the_masks_and_its_key_the_tools_version(tmp_path):
    from privacy_exp import DrawnFaces, FitRecipe
    from tests.recognition.small import Small

    people = DrawnFaces(identities=3, photos_per_identity=10, image_size=32, max_test_images=6)
    keys = {"recipe": FitRecipe(max_epochs=1), "trainer": {"enable_progress_bar": False}, "cache": tmp_path / "cache"}
    study = Study(people, Small(), out=tmp_path / "out", **keys)
    command = tool(tmp_path, BRIGHT)
    runs = [study.run(MaskCommand(command, version=f"echo {v}"), Identity(), utility=()) for v in (1, 2)]
    assert runs[0].record["key"] != runs[1].record["key"]
    table = runs[0].table
    assert 0 < table["share_hidden"].mean() < 1
    assert table["share_asked"].isna().all()
