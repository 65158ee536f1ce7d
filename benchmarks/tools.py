"""What `inpainting=command` costs beside the tool that it starts, on 600 crops.

usage: python benchmarks/run.py tools      deface where scripts/setup_deface.sh has put it, else a stand-in of its pace

The tool alone gets the same files in a folder of its own, and its results stay where they are.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from timing import Line, in_turns

from privacy_exp.data.drawn.faces import DrawnFaces
from privacy_exp.inpainting.command import Command
from privacy_exp.runs.exchange import SAVED
from privacy_exp.runs.folder import levels
from privacy_exp.types import Faces

ROOT = Path(__file__).parents[1]
PHOTOS = 600
SIDE = 200
DEFACE = ROOT / ".venv-deface" / "bin" / "python"
STAND_IN = """
import shutil, sys, time
from pathlib import Path
for path in Path(sys.argv[1]).iterdir():
    time.sleep(0.04)
    shutil.copy(path, sys.argv[2])
"""


def lines(rounds: int = 3, photos: int = PHOTOS) -> list[Line]:
    """The table of tools.

    Args:
        rounds: how often each is timed, in turns.
        photos: handed over at once.
    """
    data = DrawnFaces(identities=photos // 20, photos_per_identity=20, image_size=SIDE, split=(0.0, 0.0, 1.0))
    data.setup()
    faces = next(iter(data.batches("test", photos)))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        tool = "deface" if DEFACE.is_file() else "a tool of 0.04 s an image"
        words = [str(DEFACE), str(ROOT / "scripts" / "deface_folder.py")]
        if not DEFACE.is_file():
            (root / "tool.py").write_text(STAND_IN)
            words = [sys.executable, str(root / "tool.py")]
        command = shlex.join(words) + " {input} {output}"
        calls: dict[str, Callable[[], None]] = {}
        for suffix in ("bmp", "png"):
            calls[f"{suffix}, tool"] = alone(words, faces, root, suffix)
            calls[f"{suffix}, command"] = partial(through, command, faces, suffix)
        times = in_turns(calls, rounds, warm_up=False)
    found = []
    for suffix in ("bmp", "png"):
        bare = times[f"{suffix}, tool"]
        ratios = [ours / own for ours, own in zip(times[f"{suffix}, command"], bare, strict=True)]
        pace = 1000 * sorted(bare)[rounds // 2] / len(faces.ids)
        note = f"{len(faces.ids)} crops of {SIDE} px"
        found.append(Line(f"{tool} alone, {suffix}", pace, unit="ms/image", rounds=rounds, note=note))
        what = f"through inpainting=command format={suffix}, against the tool alone"
        found.append(Line(what, sorted(ratios)[rounds // 2], min(ratios), max(ratios), rounds=rounds, bar="≤ 1.05"))
    return found


def through(command: str, faces: Faces, suffix: str) -> None:
    """The crops through the command."""
    masks = torch.ones(len(faces.ids), 1, *faces.images.shape[2:], dtype=torch.bool)
    Command(command, format=suffix)(faces, masks)


def alone(words: list[str], faces: Faces, root: Path, suffix: str) -> Callable[[], None]:
    """A call of the tool on files that lie there already; deface writes beside them, so that it gets them anew."""
    kept = root / suffix
    kept.mkdir()
    for number, picture in enumerate(levels(faces.images)):
        Image.fromarray(picture).save(kept / f"{number:05}.{suffix}", **SAVED[suffix])
    folders = iter(range(1000))

    def call() -> None:
        own = root / f"{suffix}_{next(folders)}"
        shutil.copytree(kept, own / "in", copy_function=os.link)
        (own / "out").mkdir()
        subprocess.run([*words, str(own / "in"), str(own / "out")], check=True, capture_output=True)

    return call
