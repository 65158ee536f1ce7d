"""What the entry points share: where the configuration lies, and errors a user can act on.

Nothing heavy is imported here: `--help` answers at once.
"""

import functools
import logging
import os
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf

from privacy_exp import UserError
from privacy_exp.cache.store import default_root

PACKAGE = Path(__file__).parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""The config tree: inside an installed package, beside it in a checkout. Absolute, so that `main` can be imported."""

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forking loaders would warn on every batch

for chatty in ("pytorch_lightning.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero"):
    logging.getLogger(chatty).setLevel(logging.WARNING)  # devices and tips on every fit; the record holds the device

# a launcher's yaml has its plugin's name on purpose: then the plugin's schema checks its keys
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")

log = logging.getLogger(__name__)

OmegaConf.register_new_resolver("cache", lambda: str(default_root()), replace=True)  # ${cache:} in conf/*.yaml


class ShownError(CompactHydraException):
    """An error that Hydra shows as one paragraph, with exit code 1."""


def entry_point(config_name: str, run: Callable[[DictConfig], Any]) -> Callable[[], Any]:
    """A command line for `run`: Hydra's, with input errors shown as one paragraph.

    Args:
        config_name: the yaml in conf/, without suffix.
        run: takes the composed configuration; tests call it directly.
    """

    @functools.wraps(run)
    def job(config: DictConfig) -> Any:
        try:
            _forget_error()
            return run(config)
        except Exception as error:  # the trace goes into the run folder, where `status` finds it
            _keep_traceback()
            cause = _cause(error)
            if os.environ.get("HYDRA_FULL_ERROR") == "1" or not isinstance(cause, UserError | OSError):
                raise  # a bug
            raise ShownError(f"error: {cause}") from error

    main: Callable[[], Any] = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)
    return main


def _cause(error: Exception) -> Exception:
    """What went wrong in a part that Hydra was building, or the error itself."""
    while isinstance(error, InstantiationException) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def _keep_traceback() -> None:
    """The whole story goes into the run folder, for whoever looks why a cell failed."""
    path = _error_file()
    if path is not None:
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
