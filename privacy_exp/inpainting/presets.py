"""The settings that a yaml of conf/inpainting holds, read without Hydra: `from_pretrained("sd15")` means the same."""

from pathlib import Path
from typing import Any

import yaml

PACKAGE = Path(__file__).parents[1]
FOLDER = (PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent) / "conf" / "inpainting"
"""Inside an installed package, beside it in a checkout."""


def preset(name: str, target: str) -> dict[str, Any] | None:
    """The keys of a yaml and of those that it builds on; None where there is no such yaml.

    Args:
        name: the yaml's stem, such as "sd15".
        target: what the yaml must make, as its `_target_` says.
    """
    path = FOLDER / f"{name}.yaml"
    if not name.replace("_", "").isalnum() or not path.is_file():
        return None
    keys = _merged(path)
    return keys if keys.pop("_target_", None) == target else None


def _merged(path: Path) -> dict[str, Any]:
    own: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    merged: dict[str, Any] = {}
    for parent in own.pop("defaults", []):
        if parent != "_self_":
            merged |= _merged(path.with_name(f"{parent}.yaml"))
    return merged | own
