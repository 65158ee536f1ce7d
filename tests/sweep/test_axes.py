"""A sweep over guidance that does nothing is refused, and nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from privacy_exp.inpainting.compiling import share_compiled
from privacy_exp.inpainting.controls import MeanFill
from privacy_exp.sweep.axes import refuse_inert_axis, swept_keys
from privacy_exp.sweep.entry import CONF
from privacy_exp.sweep.plan import WritePlan


def job_of_a_sweep(folder: Path, params: dict[str, str], task: list[str], mode: str = "MULTIRUN") -> None:
    """This process's Hydra says that it runs a job of a sweep that was asked for like this."""
    OmegaConf.save({"hydra": {"sweeper": {"params": params}, "overrides": {"task": task}}}, folder / "multirun.yaml")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = [f"hydra.mode={mode}", f"hydra.sweep.dir={folder}"]
        HydraConfig.instance().set_config(compose("train", overrides=overrides, return_hydra_config=True))


@pytest.mark.parametrize(
    ("params", "task", "expected"),
    [
        ({}, ["mask_ratio=0.1,0.5", "seed=1"], ["mask_ratio"]),
        ({"masking": "saliency,center", "mask_ratio": "0.1"}, ["experiment=quickstart"], ["masking"]),
        ({"mask_ratio": "0.1,0.2"}, ["mask_ratio=0.3"], []),
        ({}, ["inpainting.guidance_interval=[0.0,0.5],[0.5,1.0]"], ["inpainting.guidance_interval"]),
        ({}, ["inpainting.guidance_interval=[0.0,0.5]"], []),
        ({}, ["+a=range(1,4)"], ["a"]),
        ({"inpainting.guidance_scale": "interval(1.0, 7.5)"}, [], ["inpainting.guidance_scale"]),
    ],
)
def test_keys_of_a_sweep(params: dict[str, str], task: list[str], expected: list[str], tmp_path: Path) -> None:
    job_of_a_sweep(tmp_path, params, task)
    assert [key.lstrip("+") for key in swept_keys()] == expected


def test_no_sweep_has_no_keys(tmp_path: Path) -> None:
    job_of_a_sweep(tmp_path, {}, ["seed=1,2"], mode="RUN")
    assert swept_keys() == []


def test_only_inert_guidance_is_refused(tmp_path: Path) -> None:
    inpainter = MeanFill()
    job_of_a_sweep(tmp_path, {}, ["inpainting.guidance_scale=1.0,3.0", "seed=1,2"])
    refuse_inert_axis(inpainter, force=False)
    inpainter.heeds_guidance = False
    with pytest.raises(ValueError, match=r"varies `inpainting.guidance_scale`, which does nothing.*`force_inert=true`"):
        refuse_inert_axis(inpainter, force=False)
    refuse_inert_axis(inpainter, force=True)
    job_of_a_sweep(tmp_path, {}, ["inpainting.guidance_scale=7.5", "seed=1,2"])
    refuse_inert_axis(inpainter, force=False)


@pytest.mark.slow
def test_a_sweep_as_a_user_starts_it(tmp_path: Path) -> None:
    """The scale that is off, 1, is refused as well: its pictures are the others'."""
    axis = ["inpainting.prompt=''", "inpainting.guidance_scale=1.0,3.0"]
    places = [f"hydra.sweep.dir={tmp_path / 'out'}", f"cache.root={tmp_path / 'store'}", "tracking=csv"]
    command = [sys.executable, "-m", "privacy_exp.train", "-m", *axis, *places]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}  # this checkout, installed or not
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "the sweep varies `inpainting.guidance_scale`, which does nothing" in done.stderr
    assert not list(tmp_path.glob("out/*/results"))
    assert not (tmp_path / "store" / "recognizer").exists()


def test_compiled_code_is_kept_in_the_store_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    share_compiled(tmp_path)
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    assert cache_dir() == "/elsewhere"
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    share_compiled(tmp_path)
    assert cache_dir() == str(tmp_path / "compiled")


def test_every_sweeper_leaves_what_was_asked_for(tmp_path: Path) -> None:
    """Hydra's Optuna sweeper writes no `multirun.yaml` of its own; the plan's callback does."""
    job_of_a_sweep(tmp_path, {}, [])
    (tmp_path / "multirun.yaml").unlink()
    sweeper = {"_target_": "another.Sweeper", "n_trials": 3}
    overrides = {"task": ["inpainting.guidance_scale=interval(1.0,7.5)"]}
    hydra = {"sweep": {"dir": str(tmp_path)}, "sweeper": sweeper, "overrides": overrides}
    WritePlan().on_multirun_start(OmegaConf.create({"hydra": hydra}))
    assert swept_keys() == ["inpainting.guidance_scale"]


def test_keys_of_a_sweep_are_found_though_jobs_change_their_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep").mkdir()
    job_of_a_sweep(Path("sweep"), {}, ["mask_ratio=0.1,0.5"])
    (tmp_path / "sweep" / "0").mkdir()
    monkeypatch.chdir(tmp_path / "sweep" / "0")  # as hydra.job.chdir=true does
    assert swept_keys() == ["mask_ratio"]


def test_a_run_is_called_by_what_the_sweep_varies(monkeypatch):
    from types import SimpleNamespace

    from omegaconf import OmegaConf

    from privacy_exp.sweep import build

    choices = {"masking": "saliency", "inpainting": "tiny"}
    hydra = SimpleNamespace(runtime=SimpleNamespace(choices=choices))
    monkeypatch.setattr(build.HydraConfig, "get", lambda: hydra)
    monkeypatch.setattr(build, "swept_keys", lambda: ["masking", "mask_ratio", "inpainting.guidance_scale", "seed"])
    config = OmegaConf.create({"mask_ratio": 0.25, "inpainting": {"guidance_scale": 7.5}, "seed": 3})
    assert build.run_name(config, 4) == "4 · saliency · mask_ratio 0.25 · guidance_scale 7.5 · seed 3"
    config = OmegaConf.create({"inpainting": {"repel": None}})
    monkeypatch.setattr(build, "swept_keys", lambda: ["inpainting.repel"])
    assert build.run_name(config, 4) == "4 · inpainting.repel off"
    monkeypatch.setattr(build, "swept_keys", list)
    assert build.run_name(config, 4) == "4"
