"""What README and docs tell a user to type exists, and its keys compose."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from privacy_exp.sweep.entry import CONF

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
COMMAND = re.compile(r"(?:privacy-exp|python -m privacy_exp\.)\s*([a-z_]+)(.*)")


def shell_lines(page: Path) -> list[str]:
    """The commands of a page's bash blocks, continued lines joined, without comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    text = re.sub(r"\\\n\s*", " ", "\n".join(blocks))
    return [line for line in (re.sub(r"\s#.*", "", line).strip() for line in text.splitlines()) if line]


def named_commands(page: Path) -> set[str]:
    """Every `privacy-exp COMMAND` in a page, also inside sentences."""
    return set(re.findall(r"privacy-exp ([a-z_]+)", page.read_text()))


def first_choice(override: str) -> str:
    """A swept value's first: `a=1,2` becomes `a=1`; lists stay whole."""
    key, _, value = override.partition("=")
    first = re.split(r",(?![^\[(]*[\])])", value)[0]
    return f"{key}={first}"


def overrides(words: list[str]) -> list[str]:
    """A command's keys for its own configuration; Hydra's own are left to Hydra."""
    keys = [word for word in words if "=" in word and not word.startswith(("hydra", "-", "experiment=pareto"))]
    return [first_choice(key) for key in keys]


LINES = [
    pytest.param(match[1], match[2], id=f"{page.stem}: {line[:60]}")
    for page in PAGES
    for line in shell_lines(page)
    if (match := COMMAND.search(line))
    and "study" not in line.split()[0]
    and "$study" not in line
    and "--config-dir" not in line
    and "brightness" not in line
]


def test_commands_are_found():
    assert len(LINES) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_commands_exist(page):
    missing = {name for name in named_commands(page) if importlib.util.find_spec(f"privacy_exp.{name}") is None}
    assert missing <= {"anonymise"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_scripts_exist(page):
    named = set(re.findall(r"(?:python|bash) ((?:scripts|benchmarks)/\w+\.\w+)", page.read_text()))
    assert {name for name in named if not (ROOT / name).is_file()} == set()


@pytest.mark.parametrize(("command", "rest"), LINES)
def test_keys_compose(command, rest, monkeypatch):
    monkeypatch.setenv("FACE_ONNX", "model.onnx")
    words = shlex.split(re.split(r"[|>]|&&", rest)[0])
    if "inpainting=noise" in words:
        pytest.skip("the example of a part that a reader adds")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        compose(command, overrides=overrides(words))


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 140
