"""What the entry points share: where the configuration lies, and errors a user can act on.

Nothing heavy is imported here: `--help` answers at once.
"""

import functools
import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from privacy_exp.cache.store import default_root
from privacy_exp.sweep.answers import ShownError, paragraph
from privacy_exp.sweep.configuration import check_choices, check_keys

PACKAGE = Path(__file__).parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""The config tree: inside an installed package, beside it in a checkout. Absolute, so that `main` can be imported."""

FULL = "HYDRA_FULL_ERROR"
ASKED = "PRIVACY_EXP_FULL_ERROR"
"""What the user has set `FULL` to, while it is ours; workers of a sweep inherit both."""

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forking loaders would warn on every batch

for chatty in ("pytorch_lightning.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero"):
    logging.getLogger(chatty).setLevel(logging.WARNING)  # devices and tips on every fit; the record holds the device

logging.getLogger("matplotlib.font_manager").setLevel(logging.WARNING)  # it tells that it has read the fonts

# a launcher's yaml has its plugin's name on purpose: then the plugin's schema checks its keys
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")

log = logging.getLogger(__name__)

OmegaConf.register_new_resolver("cache", lambda: str(default_root()), replace=True)  # ${cache:} in conf/*.yaml


def entry_point(config_name: str, run: Callable[[DictConfig], Any]) -> Callable[[], Any]:
    """A command line for `run`: Hydra's, with input errors shown as one paragraph.

    Exit codes: 0; 1 after an error; 130 after Ctrl-C; or what `run` exits with. `HYDRA_FULL_ERROR=1` shows every
    error's traceback.

    Args:
        config_name: the yaml in conf/, without suffix.
        run: takes the composed configuration; tests call it directly.
    """

    @functools.wraps(run)
    def job(config: DictConfig) -> Any:
        try:
            _forget_error()
            check_choices()
            check_keys(config)
            if _parts_matter(config):
                from privacy_exp.sweep.schema import check_parts  # imports the classes, and torch with them

                check_parts(config)
            return run(config)
        except Exception as error:  # the trace goes into the run folder, where `status` finds it
            _keep_traceback()
            shown = paragraph(error, config_name, str(CONF))
            if shown is None:
                raise  # a bug
            if HydraConfig.get().mode == RunMode.MULTIRUN:  # the other cells go on
                raise ShownError(shown) from error
            _end(shown, error)

    hydra_main = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)

    @functools.wraps(hydra_main)
    def main() -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal without a character shows ?, and the run goes on
        with _interrupts() as interrupts, _errors_raised():
            try:
                hydra_main()
            except (KeyboardInterrupt, SystemExit):
                if not interrupts:
                    raise
                print("\ninterrupted; the same command goes on where it stopped", file=sys.stderr)
                sys.exit(INTERRUPTED)
            except Exception as error:
                shown = paragraph(error, config_name, str(CONF))
                if shown is None:
                    raise
                if isinstance(error, OSError) and not isinstance(error, HydraException):  # Hydra's own mkdir
                    shown += "; choose another output folder with hydra.run.dir=DIR, or hydra.sweep.dir=DIR for a sweep"
                if isinstance(error, ShownError):
                    shown += "\nprivacy-exp status sweep=DIR lists what has failed; the other cells have been run."
                _end(shown, error)

    return main


def _end(shown: str, error: BaseException) -> None:
    """Prints one paragraph and ends with exit code 1."""
    if os.environ.get(ASKED) == "1":
        traceback.print_exception(error)
    print(shown, file=sys.stderr)
    sys.exit(1)


@contextmanager
def _errors_raised() -> Iterator[None]:
    """Hydra passes errors on, instead of printing them with advice of its own; what the user has asked for is kept."""
    before = {name: os.environ.get(name) for name in (FULL, ASKED)}
    os.environ.setdefault(ASKED, before[FULL] or "0")
    os.environ[FULL] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Notes Ctrl-C, which Lightning turns into an exit of its own in the middle of a fit."""
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread
        yield seen
        return
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _parts_matter(config: DictConfig) -> bool:
    """Whether there are parts that are built from classes."""
    plain = OmegaConf.to_container(config)
    return "'_target_'" in str(plain)


def _keep_traceback() -> None:
    """The whole story goes into the run folder, for whoever looks why a cell failed; not beside a finished cell."""
    path = _error_file()
    if path is not None and not (path.parent / "record.json").is_file():
        try:
            path.write_text(traceback.format_exc())
        except OSError:
            log.debug("the trace could not be kept", exc_info=True)


def _forget_error() -> None:
    """A cell that is run again has not failed."""
    path = _error_file()
    if path is not None:
        path.unlink(missing_ok=True)


def _error_file() -> Path | None:
    """`error.txt` in the run folder; None where nothing can be written, and for commands without a folder."""
    config = HydraConfig.get()
    folder = Path(config.runtime.output_dir)
    known = config.output_subdir is not None and folder.is_dir() and os.access(folder, os.W_OK)
    return folder / "error.txt" if known else None
