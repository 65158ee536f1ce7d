"""Weights into a network, with a word on everything that does not fit."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from privacy_exp.types import UserError

SHOWN = 3


def load_weights(module: nn.Module, state: Mapping[str, Tensor], file: Path, part: str) -> None:
    """Copies `state` into `module`, all of it or nothing.

    Args:
        module: takes the weights.
        state: name to weights.
        file: where they come from, for the message.
        part: what they are for, such as "the trunk of FaceNet".

    Raises:
        UserError: names are missing or unexpected, shapes differ, or values are not finite; the message counts and
            names them.
    """
    own = module.state_dict()
    faults = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": [
            f"{name} {tuple(state[name].shape)} in place of {tuple(own[name].shape)}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ],
        "with NaN or infinite values": [
            name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())
        ],
    }
    found = [
        f"{len(names)} {what} ({', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''})"
        for what, names in faults.items()
        if names
    ]
    if found:
        raise UserError(
            f"the weights of {file} do not fit {part}: of {len(own)} tensors {'; '.join(found)}. Take a checkpoint of "
            "the same architecture that is whole."
        )
    module.load_state_dict(state)
