"""Where compiled code is kept."""

import os
from pathlib import Path


def share_compiled(root: str | Path) -> None:
    """Keeps what torch.compile makes under `root`, for all runs and machines that share it.

    A place that the user has chosen (`TORCHINDUCTOR_CACHE_DIR`) stays. torch asks the environment each time.

    Args:
        root: the store's.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(root).expanduser() / "compiled"))
