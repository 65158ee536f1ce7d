"""How the UNet is compiled, and where the code is kept."""

import os
from pathlib import Path

import torch


def share_compiled(root: str | Path) -> None:
    """Keeps what torch.compile makes under `root`, for all runs and machines that share it.

    A place that the user has chosen (`TORCHINDUCTOR_CACHE_DIR`) stays. torch asks the environment each time.

    Args:
        root: the store's.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(root).expanduser() / "compiled"))


def compiler_options(device: torch.device) -> dict[str, bool] | None:
    """What inductor is asked for on a device.

    On a CPU weights are frozen: constants of the code, laid out once as its convolutions and matrix products like them.
    A GPU's kernels take them as they are.

    Args:
        device: where the network runs.
    """
    return {"freezing": True} if device.type == "cpu" else None
