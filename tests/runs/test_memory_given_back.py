"""A run's memory does not grow with its photos, though little things are kept of each batch."""

import subprocess
import sys

import pytest

CODE = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from privacy_exp.runs import folder

picture = Path(sys.argv[1])
Image.fromarray(np.random.default_rng(0).integers(0, 255, (218, 178, 3), np.uint8)).save(picture)
kept, used = [], []
for batch in range(40):
    pictures = folder.read_pictures([picture] * 32)
    scaled = (pictures - 0.5).mul(2)
    kept.append([np.ones(8192) for _ in range(2)])
    del pictures, scaled
    used.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4 / 1024)
print(used[-1] - used[3])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and glibc alone holds on to what is freed")
def test_reading_pictures_gives_back_what_was_freed(tmp_path):
    line = [sys.executable, "-c", CODE, str(tmp_path / "one.png")]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40, "MiB; 78 where nothing is given back"
