"""mypy runs on machines without the optional extras: what only they bring must be named as missing."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _imported() -> set[str]:
    """Top-level names of every import in the package, those within functions included."""
    found = set[str]()
    for path in (ROOT / "privacy_exp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(one.name.partition(".")[0] for one in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"privacy_exp"}


def _plain(names: list[str]) -> set[str]:
    """Distributions without version, extras and spelling."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", name)[0]).lower() for name in names}


def test_what_an_optional_extra_brings_is_named_for_mypy():
    project = SETTINGS["project"]
    always = _plain([*project["dependencies"], *project["optional-dependencies"]["dev"]])
    extras = [one for name, extra in project["optional-dependencies"].items() if name != "dev" for one in extra]
    optional = _plain(extras) - always
    skipped = {name.removesuffix(".*") for name in SETTINGS["tool"]["mypy"]["overrides"][0]["module"]}
    owners = packages_distributions()
    unnamed = {
        name
        for name in _imported() - skipped
        if not (brought := _plain(owners.get(name, []))) or brought <= optional  # not installed, or by an extra alone
    }
    assert not unnamed, f"add them to mypy's overrides in pyproject.toml: {sorted(unnamed)}"
