"""What `import privacy_exp` gives, and a study in Python without Hydra."""

import subprocess
import sys

import pytest

import privacy_exp

STUDY = """
import sys
{before}
from privacy_exp import Center, DrawnFaces, FaceNet, FitRecipe, MeanFill, RandomPatches, Study, compare

people = DrawnFaces(identities=20, photos_per_identity=6, min_images_per_identity=2, split=[0.5, 0.0, 0.5])
out = sys.argv[1]
study = Study(people, FaceNet(image_size=80), out=out, seed=0, recipe=FitRecipe(max_epochs=1), cache=out + "-cache")
one = study.run(Center(), MeanFill(), mask_ratio=0.5, utility=())
two = study.run({blind}, {fill}, mask_ratio=0.5, utility=())
print(one["fool_rate"])
print(compare(one, two))
print(one.grid().size)
"""

WITHOUT_HYDRA = """
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hydra":
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
"""


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_import_is_light():
    code = "import sys, privacy_exp; print([m for m in ('torch', 'hydra', 'pandas', 'numpy') if m in sys.modules])"
    assert run(code).stdout.strip() == "[]"


def test_every_public_name_is_there():
    for name in privacy_exp.__all__:
        assert getattr(privacy_exp, name) is not None
    assert {"Study", "GradCAM", "FaceNet", "DiffusionInpainter", "OnnxJudge", "compare", "load_run"} <= set(
        dir(privacy_exp)
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        privacy_exp.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", ["anonymize", pytest.param("compare", marks=pytest.mark.slow)])
def test_a_command_does_not_hide_the_function_of_its_name(name):
    code = (
        f"import privacy_exp.{name}, privacy_exp; from privacy_exp import {name}\n"
        f"assert callable({name}) and callable(privacy_exp.{name})\n"
        f"from privacy_exp.{name} import main"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_study_in_python_with_objects_alone(tmp_path):
    code = STUDY.format(before=WITHOUT_HYDRA, blind="RandomPatches()", fill="MeanFill()")
    done = run(code, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "fool_rate" in done.stdout
    assert "n=" in done.stdout


@pytest.mark.slow
def test_a_study_in_python_with_the_names_of_yamls(tmp_path):
    code = STUDY.format(before="", blind='"random_patches"', fill='"blur"')
    done = run(code, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = [p.name.rpartition("-")[0] for p in (tmp_path / "out").iterdir()]
    assert sorted(names) == ["center-mean_fill-0.5-s0", "random_patches-blur-0.5-s0"]


def test_help_is_a_line_per_command():
    done = subprocess.run([sys.executable, "-m", "privacy_exp"], capture_output=True, text=True, check=True)
    from privacy_exp.__main__ import COMMANDS

    lines = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in lines] == list(COMMANDS)


@pytest.mark.parametrize(("name", "hint"), [("trian", "did you mean train?"), ("zzzz", "the commands are train")])
def test_an_unknown_command_names_the_nearest(name, hint):
    done = subprocess.run([sys.executable, "-m", "privacy_exp", name], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert hint in done.stderr


@pytest.mark.parametrize("name", ["anonymise", "compare"])
def test_commands_run_under_the_one_name(name):
    line = [sys.executable, "-m", "privacy_exp", name, "--help"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "powered by Hydra" in done.stdout.lower() or "hydra" in done.stdout.lower()
