"""The order of the folders is a contract, not a sentence: `[tool.importlinter]` in pyproject.toml states it."""

from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


def test_no_folder_imports_what_stands_above_it(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0, capsys.readouterr().out
