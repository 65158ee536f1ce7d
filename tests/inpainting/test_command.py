"""Other people's tools: what they made is taken as it is, and what they got wrong is named."""

import shlex
import sys
import time
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from privacy_exp import Command, Everything, FaceOval, Function, Study, UserError
from privacy_exp.study.implied import implied
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import Faces
from tests.inpainting import tools
from tests.inpainting.tools import WHOLE, tool

FACES = Faces(
    ["../../up", "b c", "d"], (torch.rand(3, 3, 12, 10, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
)
ALL = torch.ones(3, 1, 12, 10, dtype=torch.bool)


@pytest.mark.parametrize(("workers", "suffix"), [(1, "png"), (2, "png"), (1, "bmp")])
def test_results_are_taken_pixel_by_pixel_whatever_the_photos_are_called(tmp_path, workers, suffix):
    inverted = Command(tool(tmp_path, WHOLE), workers=workers, format=suffix)(FACES, ALL)
    torch.testing.assert_close(inverted, 1 - FACES.images, atol=1e-6, rtol=0)
    assert not list(tmp_path.glob(f"*.{suffix}")), "nothing is left behind"


def test_with_masks_kept_pixels_stay(tmp_path):
    body = "assert sorted(p.name for p in Path(sys.argv[3]).iterdir()) == names\n" + WHOLE
    half = ALL.clone()
    half[..., :5] = False
    painted = Command(tool(tmp_path, body, "{input} {output} {masks}"))(FACES, half)
    torch.testing.assert_close(painted, torch.where(half, 1 - FACES.images, FACES.images), atol=1e-6, rtol=0)


BAD = {
    "nothing written": ("pass", "3 are missing, such as 00000.png"),
    "half of the files": ("for name in names[:2]: invert(name)", "1 are missing, such as 00002.png"),
    "one more": (f"{WHOLE}\ninvert(names[0], 'list.png')", "1 are extra, such as list.png"),
    "renamed": (
        "for name in names: invert(name, 'anon_' + name)",
        "3 are missing, such as 00000.png and 3 are extra, such as anon_00000.png",
    ),
    "another size": (
        f"{WHOLE}\nImage.new('RGB', (5, 5)).save(target / names[1])",
        "size as it is, 10x12, but 00001.png is 5x5",
    ),
    "another format": (
        f"{WHOLE}\nImage.new('RGB', (10, 12)).save(target / names[1], 'JPEG')",
        "must write PNG files, but 00001.png is JPEG",
    ),
    "text": (f"{WHOLE}\n(target / names[1]).write_text('no face')", "00001.png, which cannot be read as a picture"),
    "cut off": (
        f"{WHOLE}\n(target / names[1]).write_bytes((target / names[0]).read_bytes()[:60])",
        "00001.png, which cannot be read as a picture",
    ),
    "a link out of the folder": (
        f"{WHOLE}\n(target / names[2]).unlink(); (target / names[2]).symlink_to(source / names[2])",
        "00002.png is a link or a folder",
    ),
    "a folder": (
        "for name in names: (target / name).mkdir()",
        "00000.png is a link or a folder",
    ),
    "out of its folder": (
        f"{WHOLE}\n(target / names[0]).rename(target / '..' / names[0])",
        "1 are missing, such as 00000.png",
    ),
    "into a sub-folder": (
        "(target / 'out').mkdir()\nfor name in names: invert(name, 'out/' + name)",
        "3 are missing, such as 00000.png and 1 are extra, such as out",
    ),
    "nothing in them": (
        f"{WHOLE}\n(target / names[1]).write_bytes(b'')",
        "00001.png, which cannot be read as a picture",
    ),
    "another suffix": (
        "for name in names: invert(name, name[:-3] + 'jpg')",
        "3 are missing, such as 00000.png and 3 are extra, such as 00000.jpg",
    ),
    "exit code": ("sys.stderr.write('a\\nno weights\\n'); sys.exit(3)", "ended with exit code 3: a | no weights"),
    "its own error": ("raise KeyError('gpu')", "exit code 1: .*KeyError: 'gpu'"),
    "silence": ("sys.exit(7)", "exit code 7: it said nothing"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_a_tool_gets_wrong_is_named(tmp_path, case):
    body, says = BAD[case]
    with pytest.raises(UserError, match=f"(?s){says}.*of the pictures ../../up to d") as raised:
        Command(tool(tmp_path, body))(FACES, ALL)
    assert "`command`" in str(raised.value)


def test_a_tool_that_hangs_is_stopped_with_all_that_it_started(tmp_path):
    child = [sys.executable, "-c", "import time; time.sleep(60)"]
    body = f"import subprocess; (Path({str(tmp_path)!r}) / 'pid').write_text(str(subprocess.Popen({child}).pid))\n"
    before = time.monotonic()
    with pytest.raises(UserError, match=r"took more than 2 s and was stopped; raise `timeout`"):
        Command(tool(tmp_path, body + "time.sleep(60)"), timeout=2)(FACES, ALL)
    assert time.monotonic() - before < 20
    status = Path("/proc") / (tmp_path / "pid").read_text() / "stat"
    assert not status.exists() or status.read_text().split()[2] in "ZX", "its child has gone, too"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"command": "no_such_tool {input} {output}"}, "starts 'no_such_tool', which is not there"),
        ({"command": "cp {input}"}, r"must say where \{output\} goes"),
        ({"command": "cp {output}"}, r"must say where \{input\} goes"),
        ({"command": "cp {input} {output} {faces}"}, r"but holds \{faces\}"),
        ({"command": "cp '{input} {output}"}, "cannot be split into words"),
        ({"command": "cp {input} {output} | tee log"}, r"without a shell, which alone understands '\|'"),
        ({"command": " "}, "must be a command"),
        ({"command": "cp {input} {output} > log"}, "alone understands .>."),
        ({"timeout": 0}, "`timeout` must be above 0"),
        ({"workers": 0}, "`workers` must be a whole number"),
        ({"format": "gif"}, "`format` must be one of jpg, png, bmp"),
        ({"version": "no_such_tool --version"}, "starts 'no_such_tool'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(keys, says):
    with pytest.raises(UserError, match=says):
        Command(**{"command": "cp {input} {output}", **keys})


RECIPES = sorted(path.stem for path in (CONF / "inpainting" / "tool").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_state_what_is_known_and_ask_for_the_rest(recipe):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        keys = compose(overrides=[f"+inpainting=tool/{recipe}"]).inpainting
    assert "--version" in keys.version or "rev-parse HEAD" in keys.version
    if not OmegaConf.is_missing(keys, "command"):
        assert {"{input}", "{output}"} < set(keys.command.split())
    made = instantiate(keys, command="cp -r {input}/. {output}", version="echo 1")
    assert isinstance(made, Command)
    assert {name for name in keys if name != "_target_"} == set(made.arguments)


def test_words_reach_the_tool_as_they_are(tmp_path):
    body = f"assert sys.argv[3] == '$HOME; rm *', sys.argv\n{WHOLE}"
    Command(tool(tmp_path, body, "{input} {output} '$HOME; rm *'"))(FACES, ALL)


def test_the_key_holds_the_version_and_the_script(tmp_path):
    command = tool(tmp_path, WHOLE)
    said = [Command(command, version=shlex.join(["echo", number])).keys() for number in ("1.5.0", "1.5.1")]
    assert said[0]["version"] == "1.5.0"
    assert said[0] != said[1]
    tool(tmp_path, "pass")
    assert Command(command).keys()["files"] != said[0]["files"]
    with pytest.raises(UserError, match="`version` must print"):
        Command(command, version="true").keys()
    with pytest.raises(UserError, match="`version` ended with exit code 1"):
        Command(command, version="false").keys()


def test_a_function_of_another_package_paints():
    half = ALL.clone()
    half[..., :5] = False
    named = Function("tests.inpainting.tools.mirrored")
    assert torch.equal(Function(tools.mirrored)(FACES, half), named(FACES, half))
    assert named.arguments == {"function": "tests.inpainting.tools.mirrored"}
    torch.testing.assert_close(Function(tools.negative)(FACES, ALL), 1 - FACES.images)
    before = FACES.images.clone()
    Function(tools.greyed)(FACES, ALL)
    assert torch.equal(FACES.images, before), "a function may write on what it is given"
    assert set(Function("torch.zeros_like").keys()) == {"versions"}
    assert Function(tools.negative).keys() == Function(tools.mirrored).keys(), "the code of one module"


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("no.such.module", "cannot be imported"),
        ("torch.no_such", "cannot be imported"),
        ("torch", "must be a function's dotted name"),
        ("torch.Tensor", "must be a function's dotted name"),
        (lambda images: images, "define it with `def` at the top of a module"),
        (tools.needs_more, "takes .*strength.*wrap it"),
    ],
)
def test_what_is_no_such_function_is_refused(function, says):
    with pytest.raises(UserError, match=says):
        Function(function)


def test_a_function_that_returns_something_else_is_named():
    with pytest.raises(UserError, match=r"`Function.repaint` must return .* shape \(2, 3, 12, 10\)"):
        Function(tools.half_of_them)(FACES, ALL)


def test_without_a_mask_everything_is_implied_and_the_change_is_measured(tmp_path):
    from privacy_exp import DrawnFaces, FitRecipe
    from tests.recognition.small import Small

    people = DrawnFaces(identities=3, photos_per_identity=10, image_size=32, max_test_images=6)
    quiet = {"enable_progress_bar": False}
    keys = {"recipe": FitRecipe(max_epochs=1), "trainer": quiet, "cache": tmp_path / "cache"}
    study = Study(people, Small(), out=tmp_path / "out", **keys)
    run = study.run("face_oval", Function(tools.greyed), utility=(), image_format="png")
    assert run.record["choices"]["masking"] == "everything"
    assert any("takes no mask" in line for line in run.record["warnings"])
    assert 0.3 < run["share_changed"].value <= 0.5
    assert isinstance(implied(FaceOval(), Function(tools.negative)), Everything)
    asked = FaceOval()
    assert implied(asked, Function(tools.mirrored)) is asked
    with pytest.raises(UserError, match="`masking` must be everything with Function, which takes no mask"):
        Function(tools.negative)(FACES, ~ALL)
