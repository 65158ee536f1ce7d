"""Number formats and devices by name."""

import torch

from privacy_exp.types import UserError

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def dtype_named(name: str, device: torch.device) -> torch.dtype:
    """A number format by name; "auto" is float16 on a GPU and float32 elsewhere.

    Args:
        name: float32, float16, bfloat16 or auto.
        device: where it will be used.

    Raises:
        UserError: for any other name.
    """
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise UserError(f"`dtype` must be one of auto, {', '.join(DTYPES)}, but got {name}.")
    return DTYPES[name]


def device_named(name: str) -> torch.device:
    """A device by name; "auto" is a GPU where there is one.

    Args:
        name: a torch device such as cpu or cuda:0, or auto.

    Raises:
        UserError: for a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"`device` is {name}, but this machine has no usable GPU. Use `device=auto` or `device=cpu`.")
    return device
