"""What the command line does around a run: one paragraph, no advice of Hydra's, Ctrl-C, and nothing heavy too early."""

import errno
import io
import os
import signal
import stat
import subprocess
import sys

import pytest
from omegaconf import DictConfig, OmegaConf

from privacy_exp import UserError
from privacy_exp.cache import store
from privacy_exp.cache.files import write_text
from privacy_exp.sweep import plan
from privacy_exp.sweep.entry import entry_point


@pytest.fixture
def door(tmp_path, monkeypatch, capsys):
    """Runs a command in this process: `door(run, *arguments)` gives the exit code and what was printed on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def call(run, *arguments: str, config: str = "compare") -> tuple[int, str]:
        arguments = (*arguments, *(["a=one", "b=two"] if config == "compare" else []))
        flags, keys = [a for a in arguments if a == "-m"], [a for a in arguments if a != "-m"]
        monkeypatch.setattr(sys, "argv", ["privacy-exp", *flags, "hydra.run.dir=out", *keys])
        code = 0
        try:
            entry_point(config, run)()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        return code, capsys.readouterr().err

    return call


def refuse(config: DictConfig) -> None:
    raise UserError("`thing` must be small, but got large.")


def test_a_complete_message_stands_alone(door):
    assert door(refuse) == (1, "error: `thing` must be small, but got large.\n")
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_the_traceback_is_shown_where_it_is_asked_for(door, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    code, printed = door(refuse)
    assert code == 1
    assert "Traceback" in printed
    assert printed.endswith("error: `thing` must be small, but got large.\n")
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


def test_a_bug_keeps_its_traceback(door):
    with pytest.raises(ZeroDivisionError):
        door(lambda config: 1 / 0)
    with pytest.raises(ValueError, match="invalid literal"):  # anybody's: only a `UserError` is raised on purpose
        door(lambda config: int("x"))


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])  # Lightning makes the second one of the first
def test_ctrl_c_prints_one_line(door, end):
    def run(config: DictConfig) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise end(1) from None

    before = signal.getsignal(signal.SIGINT)
    assert door(run) == (130, "\ninterrupted; the same command goes on where it stopped\n")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_exit_code_of_its_own_stays(door):
    assert door(lambda config: sys.exit(3)) == (3, "")


def test_a_wrong_value_in_a_sweep_is_said_once(door):
    calls = []

    def run(config: DictConfig) -> None:
        calls.append(config.flips)
        raise UserError("`thing` must be small, but got large.")

    code, printed = door(run, "-m", "hydra.sweep.dir=s", f"flips={','.join(map(str, range(19)))}")
    assert code == 1
    assert len(calls) == 19
    assert printed.count("must be small") == 1
    assert "privacy-exp status" in printed


def test_characters_that_a_terminal_lacks_end_nothing(door, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert door(lambda config: print("• 3 faces")) == (0, "")
    terminal.flush()
    assert terminal.buffer.getvalue() == b"? 3 faces\n"


def test_an_output_folder_that_cannot_be_made_is_a_paragraph(door, tmp_path):
    (tmp_path / "file").write_text("")
    code, printed = door(refuse, "hydra.run.dir=file/out")
    assert code == 1
    assert printed.startswith("error: file/out: Not a directory; choose another output folder with hydra.run.dir=DIR")


@pytest.mark.parametrize(("mask", "rights"), [(0o077, 0o600), (0o002, 0o664), (0o022, 0o644)])
def test_files_have_the_rights_that_the_user_gives(tmp_path, mask, rights):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "manifest.csv", "names")
    finally:
        assert os.umask(before) == mask
    assert stat.S_IMODE((tmp_path / "manifest.csv").stat().st_mode) == rights


def test_the_users_own_cache_is_closed_to_others(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store.Store(store.default_root()).fetch("kind", {}, lambda folder: write_text(folder / "a", "b") and None)
    assert stat.S_IMODE((tmp_path / "privacy_exp").stat().st_mode) == 0o700


def finished(folder, *overrides: str):
    (folder / ".hydra").mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    (folder / ".hydra" / "overrides.yaml").write_text(OmegaConf.to_yaml(list(overrides)))
    return {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}


@pytest.mark.parametrize("places", [["hydra.run.dir=s/0"], ["-m", "hydra.sweep.dir=s"]], ids=["run", "sweep"])
def test_another_sweep_is_refused_before_anything_is_written(door, tmp_path, places):
    before = finished(tmp_path / "s" / "0", "masking=random_patches", "mask_ratio=0.1")
    code, printed = door(lambda config: None, *places, "masking=center", "mask_ratio=0.1", config="train")
    assert code == 1, printed
    assert {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "more", [["slots=1"], ["tracking=csv"], ["inpainting.batch_size=2"], ["rerun=true", "masking=center"]]
)
def test_the_same_sweep_may_go_on_with_other_settings_of_the_machine(tmp_path, more):
    finished(tmp_path / "0", "masking=random_patches", "mask_ratio=0.1")
    plan.refuse_others(tmp_path, [["masking=random_patches", "mask_ratio=0.1", *more]])


def test_a_refused_call_marks_no_finished_cell_as_failed(door, tmp_path):
    finished(tmp_path / "out")
    assert door(refuse, "hydra.output_subdir=.hydra")[0] == 1
    assert not (tmp_path / "out" / "error.txt").exists()


def test_a_full_disk_keeps_its_file_and_way_out(door):
    def run(config: DictConfig) -> None:
        raise OSError(errno.ENOSPC, "could not write a.jpg: no space left there")

    assert door(run) == (1, "error: could not write a.jpg: no space left there\n")


@pytest.mark.parametrize(
    "arguments", [["mask_ratio=50"], ["judge=[nobody]"], ["data=celeba", "data.root=/nowhere"]], ids=lambda a: a[0]
)
def test_wrong_arguments_are_answered_before_torch_is_there(arguments, tmp_path):
    code = (
        f"import sys, atexit; sys.argv = ['x', *{arguments}]\n"
        "atexit.register(lambda: sys.stdout.write(str({'torch', 'pandas', 'pydantic'} & set(sys.modules))))\n"
        "from privacy_exp.train import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "set()"), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
