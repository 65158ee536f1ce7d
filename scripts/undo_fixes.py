"""Does each test of docs/results/faults.md fail where its fault is put back?

    python scripts/undo_fixes.py [ENTRY ...]

`undo_fixes.yaml` has, for each row of the page, the smallest change that brings the fault back and a test that the row
names. Each change is made in a copy of the tree, the test runs, and the copy is put right again. A line is printed for
each: entry, test, and what the test said; GREEN where it noticed nothing, BROKEN where the change itself cannot be
imported. The exit code is 1 if there is any of these. Processes are forked after other packages were imported.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import pytest
import yaml

LIST = Path(__file__).with_suffix(".yaml")
SECONDS = 400
OTHERS = (
    *("torch", "torchvision", "pytorch_lightning", "diffusers", "transformers", "hydra", "pandas", "sklearn.metrics"),
    *("matplotlib.pyplot", "onnx", "onnxruntime", "onnx2torch", "torchmetrics", "facenet_pytorch"),
)


def changed(tree: Path, fix: dict[str, str]) -> tuple[Path, str]:
    """Puts a fault back; the file and its text before.

    Raises:
        ValueError: the text to replace does not stand there exactly once.
    """
    file = tree / fix["file"]
    text = file.read_text()
    if text.count(fix["now"]) != 1:
        raise ValueError(f"{fix['entry']}: {fix['file']} has this text {text.count(fix['now'])} times: {fix['now']!r}")
    file.write_text(text.replace(fix["now"], fix["fault"]))
    return file, text


def said(tree: Path, test: str, log: Path) -> str:
    """What one test says of the tree."""
    child = os.fork()
    if not child:
        os.setsid()
        os.chdir(tree)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.path.insert(0, str(tree))
        os.environ["PYTHONPATH"] = str(tree)
        sys.dont_write_bytecode = True  # two versions of a file may be of one size and second
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        signal.alarm(SECONDS)
        os._exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", f"tests/{test}"])))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    words = re.findall(r"^E +(.+)$", log.read_text(errors="replace"), re.MULTILINE)
    if status == 0:
        return "GREEN"
    if status != 1 or any(w.startswith(("ImportError", "ModuleNotFoundError", "SyntaxError")) for w in words):
        return f"BROKEN ({status}: {(words or ['no word'])[0][:80]})"
    return f"red: {(words or ['failed'])[0][:100]}"


def main() -> None:
    """Prints a line for each undone fix."""
    wanted, bad, done = set(sys.argv[1:]), 0, 0
    for module in OTHERS:
        import_module(module)
    with tempfile.TemporaryDirectory() as folder:
        tree, log = Path(folder) / "tree", Path(folder) / "log"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree)], check=True)
        try:
            for fix in yaml.safe_load(LIST.read_text()):
                if wanted and fix["entry"] not in wanted:
                    continue
                file, text = changed(tree, fix)
                answer = said(tree, fix["test"], log)
                file.write_text(text)
                bad, done = bad + (not answer.startswith("red")), done + 1
                print(fix["entry"], fix["test"], answer, sep="\t", flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=True)
    print(f"{done - bad} of {done} red")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
