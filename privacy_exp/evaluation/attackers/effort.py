"""How much an attacker that trains may spend."""

from privacy_exp.types import UserError

EFFORTS = {"quick": 1, "default": 3, "strong": 10}
"""Budget of training, in units of the attacker's own."""


def check_effort(effort: str) -> str:
    """The same name, if it is one of `EFFORTS`.

    Raises:
        UserError: it is not.

    Example:
        >>> EFFORTS[check_effort("strong")]
        10
    """
    if effort not in EFFORTS:
        raise UserError(f"`effort` must be one of {', '.join(EFFORTS)}, but got {effort!r}.")
    return effort
