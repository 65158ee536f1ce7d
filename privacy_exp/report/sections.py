"""Which cells may stand in one table, those of the same data, and by what its rows differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from privacy_exp.cache.keys import content_key, has_effect
from privacy_exp.report.collect import Row
from privacy_exp.report.metrics import UTILITY, describe, in_order
from privacy_exp.runs.names import display_name, name_order, value_name
from privacy_exp.types import Metric, UserError

WITHOUT_SIGHT = {"manifest", "on_bad_image"}
"""Keys of the data whose effect the data's digest already tells."""

STEMS = ("masking", "recognition", "inpainting", "judge", "attacker")
"""Axes whose values are parts, which have names."""

LISTS = ("judge", "attacker")
"""Axes whose values are several parts each."""

SMALL = 0.25
"""Of the width of an interval: what moves a figure by less is not worth a panel of its own."""

GROUPS = ("recognition", "masking", "inpainting", "image_format", "trainer", "evaluation", "judge", "attacker")
"""Parts of the configuration in which cells of one table may differ."""


@dataclass(frozen=True)
class Axis:
    """Something by which rows differ.

    Attributes:
        name: key, such as `inpainting.guidance_scale`.
        label: heading.
        values: one a cell, plain; None where a cell's part has no such key, and where it is null the word for that.
        given: whether its values are names that somebody gave, and not stems of parts.
    """

    name: str
    label: str
    values: list[Any]
    given: bool = False

    @cached_property
    def levels(self) -> list[Any]:
        """Its different values in order, None last."""
        found = {content_key({"value": v}): v for v in self.values}.values()
        if self.name in STEMS:
            return sorted(found, key=name_order)
        return sorted(found, key=_order)

    def word(self, value: Any) -> str:
        """A value as people read it: names of parts, areas in percent."""
        if value is None:
            return "–"
        if self.given:
            return str(value)
        if self.name in STEMS:
            return display_name(json.loads(value) if self.name in LISTS else value)
        if isinstance(value, bool):
            return value_name(value)
        if self.name == "mask_ratio":
            return f"{100 * value:.3g} %"
        return show(value)


def _order(level: Any) -> tuple[int, float, str]:
    """What is off stands before numbers, these before words, and what a cell does not have stands last."""
    if level is None:
        return 3, 0.0, ""
    if isinstance(level, int | float):
        return 1, float(level), ""
    return (0 if level in (value_name(None), value_name(False)) else 2), 0.0, str(level)


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

    @property
    def pairs(self) -> bool:
        """Whether its cells are pairs of pictures that other tools made."""
        return all(cell.record["choices"].get("data") == "pairs" for cell in self.cells)

    @cached_property
    def varying(self) -> list[Axis]:
        """The axes that tell rows apart: the method, and whatever has several values."""
        return [axis for axis in self.axes if axis.name == "masking" or len(axis.levels) > 1]

    @cached_property
    def inert(self) -> dict[str, str]:
        """Axes along which the fool rate does not move to speak of, and the sentence that says so."""
        return {axis.name: text for axis in self.axes[2:] if (text := self._inert(axis)) is not None}

    def _inert(self, axis: Axis) -> str | None:
        groups: dict[str, list[Metric]] = {}
        for index, cell in enumerate(self.cells):
            rest = {name: value for name, value in self.row(index).items() if name != axis.name}
            if (rate := cell.metric("fool_rate")).value is not None:
                groups.setdefault(content_key(rest), []).append(rate)
        rows = [[m for m in group if m.value is not None] for group in groups.values() if len(group) > 1]
        if not rows or len(axis.levels) < 2:
            return None
        spreads = [max(m.value for m in row) - min(m.value for m in row) for row in rows]  # type: ignore[type-var, operator]
        widths = [min((m.high or 0.0) - (m.low or 0.0) for m in row) for row in rows]
        if any(spread > SMALL * width for spread, width in zip(spreads, widths, strict=True)):
            return None
        levels = [axis.word(level) for level in axis.levels if level is not None]
        kept = self.middle_level(axis)
        moved = (
            "not at all"
            if max(spreads) == 0
            else f"by at most {100 * max(spreads):.0f} points, far inside its interval"
        )
        return f"{axis.label.capitalize()} ({', '.join(levels)}) moves the fool rate {moved}; shown is {kept}."

    def middle_level(self, axis: Axis) -> str:
        """The level of an axis that stands for it, in words."""
        levels = [level for level in axis.levels if level is not None]
        return axis.word(levels[len(levels) // 2])

    def axis(self, name: str) -> Axis | None:
        """An axis by name."""
        return next((axis for axis in self.axes if axis.name == name), None)

    def row(self, index: int) -> dict[str, Any]:
        """What one cell's row says about how it was made: axis name to value."""
        return {axis.name: axis.values[index] for axis in self.axes}

    def name(self, index: int) -> str:
        """What one cell's method is called; a tool keeps the name of its folder."""
        method = self.cells[index].method
        return method if self.pairs else display_name(method)

    def label(self, index: int) -> str:
        """One cell in words: its method and whatever varies in this section."""
        parts = [self.name(index)]
        for axis in self.varying[1:]:
            value = axis.values[index]
            if value is not None:
                own = axis.name in STEMS or axis.name == "mask_ratio"
                parts.append(axis.word(value) if own else f"{axis.label} {axis.word(value)}")
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
        group = sorted(group, key=lambda cell: (name_order(cell.method), cell.mask_ratio or 0.0))
        metrics = in_order(name for cell in group for name in cell.metrics)
        made.append(Section(display_name(name) + suffix, group, axes(group), metrics))
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
    pairs = all(cell.record["choices"].get("data") == "pairs" for cell in cells)
    found = [
        Axis("masking", "tool" if pairs else "method", [cell.method for cell in cells], given=pairs),
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
            found = [value_name(None, key) if key in v and v[key] is None else v.get(key) for v in flat]
            varying.append(Axis(key, key.rpartition(".")[2].replace("_", " "), found))
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
    if "utility/ssim_inside" in there:  # PSNR says the same in decibels, and outside nothing changes but the format
        there = [name for name in there if "psnr" not in name and not name.endswith("_outside")]
    chosen = dict.fromkeys([utility, *there] if utility is not None else there)
    if section.pairs:
        asked = [n for n in valued if n.startswith("judge/") and n.rpartition("/")[2] in ("tar_cross_1e-2", "rank_1")]
        quality = [n for n in ("utility/ssim_inside", "utility/ssim", "utility/landmark_error") if n in valued]
        names = dict.fromkeys([*asked, "strongest_observer", *([utility] if utility else []), *quality])
        return [name for name in names if name in section.metrics]
    columns = ["accuracy", "fool_rate", "strongest_observer", *list(chosen)[:most]]
    areas = [(cell.metric("share_hidden").value, cell.mask_ratio) for cell in section.cells]
    if any(share is not None and (asked is None or abs(share - asked) > 0.005) for share, asked in areas):
        columns.append("share_hidden")
    return [name for name in columns if name in section.metrics]


def show(value: Any) -> str:
    """A value of an axis as text."""
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)
