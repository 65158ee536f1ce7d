"""Which extras this environment has."""

from importlib.util import find_spec


def installed(module: str) -> bool:
    """Whether a module can be imported; `find_spec` raises where a package on the way is missing: each is asked for."""
    names = module.split(".")
    return all(find_spec(".".join(names[: i + 1])) is not None for i in range(len(names)))
