"""What the entry points share: where the configuration lies, and errors a user can act on.

Nothing heavy is imported here: `--help` answers at once.
"""

import functools
import logging
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, InstantiationException
from omegaconf import DictConfig

PACKAGE = Path(__file__).parent
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""The config tree: inside an installed package, beside it in a checkout. Absolute, so that `main` can be imported."""

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forking loaders would warn on every batch

for chatty in ("pytorch_lightning.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero"):
    logging.getLogger(chatty).setLevel(logging.WARNING)  # devices and tips on every fit; the record holds the device

log = logging.getLogger(__name__)


class UserError(CompactHydraException):
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
            return run(config)
        except (ValueError, OSError, InstantiationException) as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            _keep_traceback()
            raise UserError(_paragraph(error)) from error

    main: Callable[[], Any] = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)
    return main


def _paragraph(error: Exception) -> str:
    cause = error
    while isinstance(cause, InstantiationException) and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    return f"error: {cause}"


def _keep_traceback() -> None:
    """The whole story goes into the run folder, so that a bug that looks like bad input can be found."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    if folder.is_dir() and os.access(folder, os.W_OK):
        try:
            (folder / "error.txt").write_text(traceback.format_exc())
        except OSError:
            log.debug("the trace could not be kept", exc_info=True)
