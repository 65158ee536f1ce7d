"""Parts by the name of their yaml, as on the command line; only here does a study need Hydra."""

from pathlib import Path
from typing import Any

from privacy_exp.cache.keys import PACKAGE
from privacy_exp.types import UserError

CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""The config tree: inside an installed package, beside it in a checkout."""


def part(group: str, asked: Any, **changes: Any) -> Any:
    """An object of a config group: itself where an object is given, else built from the yaml of that stem.

    Args:
        group: such as "masking".
        asked: an object, or a stem such as "grad_cam".
        changes: other values of the yaml's keys.

    Returns:
        The object; for `judge`, `attacker` and `utility` a dict of them by name.

    Raises:
        UserError: no such yaml, or a key that it lacks.
    """
    if not isinstance(asked, str):
        return asked
    if not (CONF / group / f"{asked}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in Path(CONF / group).glob("*.yaml")))
        raise UserError(f"`{group}` must be an object or one of {known}, but got {asked!r}.")
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import ConfigCompositionException
    from hydra.utils import instantiate

    lines = [f"{group}={asked}" if group in ("masking", "inpainting") else f"{group}=[{asked}]"]
    lines += [f"{group}.{key}={_text(value)}" for key, value in changes.items()]
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            chosen = compose("train", lines)[group]
    except ConfigCompositionException as error:
        raise UserError(f"{', '.join(changes)}: {asked} of `{group}` has no such key ({error}).") from error
    finally:
        GlobalHydra.instance().hydra = before
    if group in ("masking", "inpainting"):
        return instantiate(chosen)
    return {name: instantiate(one) for name, one in chosen.items()}


def _text(value: Any) -> str:
    """A value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(one) for one in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
