"""The wheel carries everything: installed elsewhere, the default runs from an empty folder without network."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from reader import read_cells

ROOT = Path(__file__).parents[1]

OFFLINE = """
import socket, sys
def refuse(self, address, *rest):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the network is off: {address}")
    return connect(self, address, *rest)
connect, socket.socket.connect = socket.socket.connect, refuse
def lookup(host, *rest, **more):
    if host not in ("127.0.0.1", "::1", "localhost", None):
        raise OSError(f"the network is off: {host}")
    return found(host, *rest, **more)
found, socket.getaddrinfo = socket.getaddrinfo, lookup
import privacy_exp
assert privacy_exp.__file__.startswith(sys.argv[1]), privacy_exp.__file__
sys.argv = ["train", *sys.argv[2:]]
from privacy_exp.train import main
main()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The wheel's content, unpacked where nothing else is."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


@pytest.mark.slow
def test_the_default_runs_from_an_empty_folder_without_network(site, tmp_path):
    assert (site / "privacy_exp" / "conf" / "train.yaml").is_file()
    assert (site / "privacy_exp" / "report" / "templates" / "page.css").is_file()
    few = ["data.identities=4", "data.photos_per_identity=6", "recognition.module.max_epochs=1"]
    few += ["inpainting.num_inference_steps=2", "hydra.run.dir=out", f"cache.root={tmp_path / 'store'}"]
    environment = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("HF_HUB_OFFLINE", None)  # what a user's machine has not set must not be needed
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(site), *few],
        cwd=tmp_path / "empty",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (record,) = read_cells(tmp_path / "empty" / "out")
    assert record["choices"]["inpainting"] == "tiny"
    assert record["details"]["guidance"] == "live"
