"""Which cells may stand in one table, those of the same data, and by what its rows differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from privacy_exp.cache.keys import content_key, has_effect
from privacy_exp.report.collect import Row
from privacy_exp.report.metrics import UTILITY, describe, in_order
from privacy_exp.types import UserError

WITHOUT_SIGHT = {"manifest", "on_bad_image"}
"""Keys of the data whose effect the data's digest already tells."""

GROUPS = ("recognition", "masking", "inpainting", "image_format", "trainer", "evaluation", "judge", "attacker")
"""Parts of the configuration in which cells of one table may differ."""


@dataclass(frozen=True)
class Axis:
    """Something by which rows differ.

    Attributes:
        name: key, such as `inpainting.guidance_scale`.
        label: heading.
        values: one a cell, plain; None where a cell's part has no such key.
    """

    name: str
    label: str
    values: list[Any]

    @cached_property
    def levels(self) -> list[Any]:
        """Its different values in order, None last."""
        found = {content_key({"value": v}): v for v in self.values}.values()
        return sorted(found, key=lambda v: (v is None, isinstance(v, str), v if isinstance(v, int | float) else str(v)))


@dataclass(frozen=True)
class Section:
    """Cells that may be compared: those of one data set.

    Attributes:
        title: in words.
        cells: its rows.
        axes: method, ratio and guidance, then whatever else varies.
        metrics: names of all metrics of any cell, in the order of the tables.
    """

    title: str
    cells: list[Row]
    axes: list[Axis]
    metrics: list[str]

    def axis(self, name: str) -> Axis | None:
        """An axis by name."""
        return next((axis for axis in self.axes if axis.name == name), None)

    def row(self, index: int) -> dict[str, Any]:
        """What one cell's row says about how it was made: axis name to value."""
        return {axis.name: axis.values[index] for axis in self.axes}

    def label(self, index: int) -> str:
        """One cell in words: its method and whatever varies in this section."""
        parts = [self.cells[index].method]
        for axis in self.axes[1:]:
            if len(axis.levels) > 1 and axis.values[index] is not None:
                parts.append(f"{axis.label} {show(axis.values[index])}")
        return " · ".join(parts)


def sections(cells: Sequence[Row]) -> list[Section]:
    """Groups cells by their data, in the order in which they came."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for cell in cells:
        groups.setdefault((str(cell.record["choices"].get("data")), data_key(cell)), []).append(cell)
    names = [data for data, _ in groups]
    made = []
    for number, (name, group) in enumerate(zip(names, groups.values(), strict=True)):
        twins = [n for n, other in enumerate(names) if other == name]
        suffix = "" if len(twins) == 1 else f", data set {twins.index(number) + 1} of {len(twins)}"
        made.append(
            Section(name + suffix, group, axes(group), in_order(name for cell in group for name in cell.metrics))
        )
    return made


def data_key(cell: Row) -> str:
    """What tells data sets apart: the digest that the run recorded, else its configuration."""
    digest = cell.record.get("details", {}).get("data_digest")
    config = {k: v for k, v in (cell.get("data") or {}).items() if _tells(k)}
    return str(digest) if digest is not None else content_key(config)


def axes(cells: Sequence[Row]) -> list[Axis]:
    """Method, ratio and guidance always; other choices and keys where they vary.

    A key of a part counts as varying only among cells that chose the same part: that two methods have different
    parameters is said by their names.
    """
    found = [
        Axis("masking", "method", [cell.method for cell in cells]),
        Axis("mask_ratio", "ratio", [cell.mask_ratio for cell in cells]),
        Axis("inpainting.guidance_scale", "guidance", [cell.guidance for cell in cells]),
    ]
    for group in ("recognition", "inpainting", "judge", "attacker"):
        values = [_plain(cell.record["choices"].get(group)) for cell in cells]
        if len(set(values)) > 1:
            found.append(Axis(group, group, values))
    seeds = [cell.record.get("seed") for cell in cells]
    if len(set(seeds)) > 1:
        found.append(Axis("seed", "seed", seeds))
    known = {axis.name for axis in found}
    found += [axis for axis in _keys(cells) if axis.name not in known]
    return found


def _keys(cells: Sequence[Row]) -> list[Axis]:
    flat = [{k: v for g in GROUPS for k, v in _flat(g, cell.get(g)).items()} for cell in cells]
    choices = [{group: _plain(cell.record["choices"].get(group)) for group in GROUPS} for cell in cells]
    varying = []
    for key in dict.fromkeys(key for values in flat for key in values):
        group = key.partition(".")[0]
        seen: dict[Any, set[str]] = {}
        for values, choice in zip(flat, choices, strict=True):
            seen.setdefault(choice[group], set()).add(content_key({"value": values.get(key)}))
        if any(len(values) > 1 for values in seen.values()):
            varying.append(Axis(key, key.rpartition(".")[2].replace("_", " "), [v.get(key) for v in flat]))
    return varying


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: _plain(value)}
    found: dict[str, Any] = {}
    for key, part in value.items():
        if _tells(key):
            found |= _flat(f"{prefix}.{key}", part)
    return found


def _tells(key: str) -> bool:
    """Whether a key can be what two cells differ in."""
    return has_effect(key) and key not in WITHOUT_SIGHT and key != "_target_"


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | Mapping) else value


def headline(section: Section, utility: str | None = None, most: int = 2) -> list[str]:
    """The columns of the headline table.

    Args:
        section: whose table it is.
        utility: the metric that stands for utility; None takes the first ones that are there.
        most: utility columns.

    Raises:
        UserError: no record has the metric that `utility` names.
    """
    valued = [n for n in section.metrics if any(cell.metric(n).value is not None for cell in section.cells)]
    there = [name for name in UTILITY if name in valued]
    there += [n for n in valued if n.startswith("utility/") and n not in UTILITY and describe(n).better is not None]
    if utility is not None and utility not in section.metrics:
        known = ", ".join(there) or "none of utility"
        raise UserError(f"`report.utility` must be a metric of the records ({known}), but got {utility}.")
    chosen = dict.fromkeys([utility, *there] if utility is not None else there)
    columns = ["accuracy", "fool_rate", "strongest_observer", *list(chosen)[:most], "share_hidden"]
    return [name for name in columns if name in section.metrics]


def show(value: Any) -> str:
    """A value of an axis as text."""
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)
