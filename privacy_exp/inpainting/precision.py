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


def dtype_name(name: str, device: torch.device) -> str:
    """The name of the number format that `name` means on a device, with "auto" decided.

    Args:
        name: float32, float16, bfloat16 or auto.
        device: where it will be used.

    Raises:
        UserError: for any other name.
    """
    return str(dtype_named(name, device)).removeprefix("torch.")


def device_named(name: str) -> torch.device:
    """A device by name; "auto" is a GPU where there is one.

    Args:
        name: a torch device such as cpu or cuda:0, or auto.

    Raises:
        UserError: for a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"`device` must be auto, cpu, cuda or cuda:N, but got {name!r}.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"`device` is {name}, but this machine has no usable GPU. Use `device=auto` or `device=cpu`.")
    return device
