"""Shapes and types are checked in every call of the package while tests run (jaxtyping + beartype)."""

import os
import shutil
import subprocess
from pathlib import Path

from jaxtyping import install_import_hook

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
hook = install_import_hook("privacy_exp", "typechecker.check")

import pytest  # noqa: E402
import torch  # noqa: E402

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(autouse=True, scope="session")
def one_thread_a_worker() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def celeba_dev() -> Path:
    """600 real faces in CelebA's layout; research only, never part of the repository."""
    path = Path(os.environ.get("CELEBA_DEV", SHARED / "data" / "celeba_dev"))
    if not path.is_dir():
        pytest.skip("needs real faces: set CELEBA_DEV to a folder in CelebA's layout")
    return path


@pytest.fixture(scope="session")
def face_onnx() -> Path:
    """A real face embedder as an ONNX file."""
    path = Path(os.environ.get("FACE_ONNX", SHARED / "weights" / "mobilefacenet.onnx"))
    if not path.is_file():
        pytest.skip("needs a face embedder: set FACE_ONNX to an .onnx file")
    return path


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs Playwright: pip install 'privacy-exp[browser]'"
    )
    path = os.environ.get("CHROMIUM", shutil.which("chromium") or "")
    if not path:
        pytest.skip("needs Chromium: bash scripts/setup_browser.sh, or set CHROMIUM to its path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def medium(tmp_path):
    """Mounts a small file system: `medium("1m")` gives its folder, `medium.close()` makes it read-only."""

    class Medium:
        path = tmp_path / "medium"

        def __call__(self, size: str) -> Path:
            self.path.mkdir()
            line = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.path]
            done = subprocess.run(line, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
            return self.path

        def close(self) -> None:
            subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)

    medium = Medium()
    yield medium
    if medium.path.is_mount():
        subprocess.run(["umount", medium.path], check=True)


@pytest.fixture(scope="session")
def composed(tmp_path_factory):
    """Composes one cell of the main job, on few people; all tests share one store, so one fit."""
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict

    from privacy_exp.sweep.entry import CONF

    store = tmp_path_factory.mktemp("store")

    def compose_cell(out: Path, *overrides: str):
        out.mkdir(parents=True, exist_ok=True)
        few = ["recognition.module.max_epochs=5", "tracking=csv", "rerun=true"]
        if not any(o.startswith("data=") for o in overrides):
            few += ["data.identities=5", "data.photos_per_identity=10"]
        if not any(o.startswith("inpainting=") for o in overrides):
            few.append("inpainting.num_inference_steps=2")
        paths = [f"cache.root={store}", f"hydra.run.dir={out}", f"hydra.runtime.output_dir={out}"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", overrides=[*few, *paths, *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return config

    return compose_cell


@pytest.fixture(scope="session")
def cell(composed):
    """Runs one cell of the main job in this process; see `composed`."""
    from privacy_exp import train

    return lambda out, *overrides: train.run(composed(out, *overrides))
