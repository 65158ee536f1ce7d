"""The order of the folders is a contract, not a sentence: `[tool.importlinter]` in pyproject.toml states it."""

import logging
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


@pytest.fixture
def loggers_kept():
    """Import-linter switches off every logger that it finds: later tests would look for lines that nobody wrote."""
    found = {one: one.disabled for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)}
    yield
    for one, disabled in found.items():
        one.disabled = disabled


@pytest.mark.usefixtures("loggers_kept")
def test_no_folder_imports_what_stands_above_it(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0, capsys.readouterr().out
