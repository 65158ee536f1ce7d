"""The command line: quick help, and errors of one paragraph with exit code 1."""

import errno
import subprocess
import sys

import pytest
from hydra.errors import HydraException

from privacy_exp.cache import files
from privacy_exp.runs.running import LOCK


def command(*arguments: str, cwd) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["train", "evaluate", "anonymize", "train_inpainter", "status", "cache.__main__"])
def test_help_needs_no_torch(module, tmp_path):
    code = (
        f"import sys; sys.argv = ['x', '--help']\n"
        f"import atexit; atexit.register(lambda: sys.stderr.write(str('torch' in sys.modules)))\n"
        f"from privacy_exp.{module} import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("False"), done.stderr


def test_an_error_is_one_paragraph_with_exit_code_1_and_the_trace_is_kept(tmp_path):
    done = command("privacy_exp.train", "mask_ratio=1.5", "hydra.run.dir=out", cwd=tmp_path)
    assert done.returncode == 1
    assert "`mask_ratio` must lie in [0, 1], but got 1.5." in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "record.json").exists()
    assert "check_keys" in (tmp_path / "out" / "error.txt").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "run=none"),
        pytest.param(("status", "sweep=none"), marks=pytest.mark.slow),
        pytest.param(("compare", "a=none", "b=no"), marks=pytest.mark.slow),
    ],
)
def test_a_command_that_only_reads_leaves_nothing_where_it_is_called(arguments, tmp_path):
    done = command(f"privacy_exp.{arguments[0]}", *arguments[1:], cwd=tmp_path)
    assert done.returncode == 1
    assert "none" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["mask_ratio=-0.1"], "mask_ratio"),
        (["mask_ratio=half"], "mask_ratio"),
        (["image_format=gif"], r"image_format.*jpg.*png.*gif"),
        (["seed=-1"], "seed"),
        (["batch_size=0"], "batch_size"),
        (["objective=[accuracy,speed]"], r"objective.*fool_rate"),
        (["objective=[]"], "objective"),
        (["objective=[judge/nobody/rank_1]"], r"objective.*judge=\[NAME\]"),
        (["slots=0"], r"`slots` must be at least 1.*0"),
        (["masking.patch_size=0"], "patch_size"),
        (["masking.granularity=0"], "granularity"),
        (["masking.region=nose"], r"region.*frame.*face"),
        (["masking=grad_cam", "masking.target=nose"], "target"),
        (["trainer=gpu"], r"trainer=gpu.*trainer=cpu"),
        (["tracking=wandb", "tracking.mode=online"], "W&B key"),
        (["recognition.checkpoint=/nowhere"], "nowhere"),
        (["recognition.target_layer=nose"], r"target_layer.*Close"),
        (["recognition=onnx", "recognition.net.model=/nowhere.onnx"], "nowhere.onnx"),
        (["recognition.net.image_size=20"], "image_size"),
        (["inpainting=diffusers", "inpainting.checkpoint=/nowhere"], "nowhere"),
        (["inpainting=diffusers"], r"inpainting\.checkpoint"),
        (["inpainting.checkpoint=privacy_exp/data"], "model_index"),
        (["inpainting.prompt='a {colour} face'"], "colour"),
        (["data=celeba", "data.root=/nowhere"], "nowhere"),
        (["data.identities=1"], "identities"),
        (["data.split=[0.5,0.5,0.5]"], "split"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_bad_keys_name_the_thing_and_the_way_out(cell, tmp_path, monkeypatch, overrides, words):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises((ValueError, OSError, HydraException), match=words):
        cell(tmp_path / "out", *overrides)
    assert not (tmp_path / "out" / "record.json").exists()


def test_an_unknown_key_is_an_error(cell, tmp_path):
    with pytest.raises(HydraException, match="guidance_scale"):
        cell(tmp_path, "inpainting=mean_fill", "inpainting.guidance_scale=3")


def test_a_full_disk_names_the_file_and_the_way_out_and_leaves_nothing_half_written(cell, tmp_path, monkeypatch):
    real, writes = files.tempfile.mkstemp, []

    def full(*args, **kwargs):
        writes.append(kwargs)
        if len(writes) > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(files.tempfile, "mkstemp", full)
    with pytest.raises(OSError, match=r"could not write .*no space left there.*hydra\.run\.dir"):
        cell(tmp_path, "inpainting=mean_fill")
    assert not (tmp_path / "record.json").exists()
    assert not [p for p in tmp_path.rglob(".*") if p.is_file() and p.name != LOCK], "no temporary stays"
