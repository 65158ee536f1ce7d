"""A table for a paper: methods down, hidden shares across, the best in bold, what never changes in the caption."""

from collections.abc import Sequence
from dataclasses import dataclass

from privacy_exp.report.metrics import describe
from privacy_exp.report.sections import Axis, Section
from privacy_exp.runs.answer import decimals
from privacy_exp.runs.names import display_name
from privacy_exp.types import Metric, UserError

SHORT = {
    "tar": ("tar_cross_1e-2", "tar_1e-2"),
    "ssim": ("ssim_inside", "ssim"),
    "recovered": ("recovered_share",),
    **{name: (name,) for name in ("rank_1", "lpips", "landmark_error", "detection_rate", "attribute_agreement")},
}
"""What a column may be called in short, to the last parts of names in the record."""

SHARES = ("rate", "tar_", "rank_", "share", "accuracy", "observer", "agreement", "same_photo", "intrusion")
"""Parts of names of figures that percent may be made of."""

SIGNS = {
    **{sign: f"\\{sign}" for sign in "%_&#${}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"\texttimes{}",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
"""What LaTeX would take for a command or cannot print, and what prints it: names may come from anybody."""

COLUMN, PAGE = 240, 490
"""Points that a table may be wide in a column, and over both; a little less than there is."""

DIGIT, NAME, GAP = 3.7, 4.6, 6.0
"""Points: of a character in a cell, of one of a name, and between two columns; generous, as fonts differ."""


Key = tuple[str, ...]
"""What names a row: its method, and whatever else tells rows apart."""


def escaped(text: str) -> str:
    """A text as LaTeX prints it.

    Example:
        >>> len(escaped("a_b")), escaped("–")
        (4, '--')
    """
    return "".join(SIGNS.get(sign, sign) for sign in text)


@dataclass(frozen=True)
class Pivot:
    """What stands in `table.tex`.

    Attributes:
        columns: figures, by their names in the record or in short.
        percent: whether shares stand in percent.
    """

    columns: Sequence[str] = ("fool_rate",)
    percent: bool | int | str = True

    def __post_init__(self) -> None:
        if not isinstance(self.percent, bool):
            raise UserError(f"`report.percent` must be true or false, but got {self.percent!r}.")
        if isinstance(self.columns, str) or not self.columns or not all(isinstance(c, str) for c in self.columns):
            raise UserError(f"`report.columns` must be a list such as [fool_rate,tar,ssim], but got {self.columns!r}.")

    def metrics(self, section: Section) -> list[str]:
        """The record's names of the columns.

        Raises:
            UserError: no record of the section has one of them.
        """
        asked = list(self.columns)
        if section.pairs and asked == ["fool_rate"]:
            asked = [short for short in ("tar", "rank_1", "ssim", "landmark_error") if _find(section, short)]
        found = [(short, _find(section, short)) for short in asked]
        for short, name in found:
            if name is None:
                known = ", ".join(n for n in section.metrics if not n.startswith("by/"))
                raise UserError(f"`report.columns` takes figures of the records ({known}), but got {short!r}.")
        return [name for _, name in found if name is not None]

    def table(self, section: Section, best: set[int], number: int = 0) -> str:
        """A booktabs table with caption and label.

        Args:
            section: whose cells.
            best: rows that are ahead of their class, as the page marks them.
            number: of the section; later ones have it in their label.
        """
        names = self.metrics(section)
        rows, across, cells = _pivot(section)
        for intervals in (True, False):
            lines = [
                self._row(section, key, [cells.get((key, a)) for a in across], names, best, intervals) for key in rows
            ]
            width = _width([*lines, [*rows[0], *[_head(name) for _ in across for name in names]]], len(rows[0]))
            if width <= PAGE:
                break
        environment = "table" if width <= COLUMN else "table*"
        heads = [axis.label.capitalize() for axis in _down(section)]
        text = [
            f"% needs \\usepackage{{booktabs}}; {'one column' if environment == 'table' else 'both columns'}",
            f"\\begin{{{environment}}}",
            "\\centering\\footnotesize\\setlength{\\tabcolsep}{3pt}\\setlength{\\belowcaptionskip}{4pt}",
            f"\\caption{{{escaped(self._caption(section, names, intervals, bool(best)))}}}",
            f"\\label{{tab:privacy{'' if number == 0 else f'-{number + 1}'}}}",
            f"\\begin{{tabular}}{{@{{}}{'l' * len(heads)}{'r' * (len(across) * len(names))}@{{}}}}",
            "\\toprule",
            *self._head(section, heads, across, names),
            "\\midrule",
            *(" & ".join(line) + r" \\" for line in lines),
            "\\bottomrule",
            "\\end{tabular}",
            f"\\end{{{environment}}}",
        ]
        return "\n".join(text) + "\n"

    def _head(
        self, section: Section, heads: Sequence[str], across: Sequence[float | None], names: Sequence[str]
    ) -> list[str]:
        labels = [_head(name) for name in names]
        areas = [escaped(section.axes[1].word(area)) for area in across]
        start = [escaped(head) for head in heads]
        if len(across) < 2:
            return [" & ".join([*start, *map(escaped, labels)]) + r" \\"]
        if len(names) == 1:
            return [" & ".join([*start, *areas]) + r" \\"]
        first = [f"\\multicolumn{{{len(names)}}}{{c}}{{{area}}}" for area in areas]
        rules = [
            f"\\cmidrule(lr){{{len(start) + 1 + i * len(names)}-{len(start) + (i + 1) * len(names)}}}"
            for i in range(len(areas))
        ]
        second = [escaped(label) for _ in areas for label in labels]
        return [
            " & ".join([*[""] * len(start), *first]) + r" \\",
            "".join(rules),
            " & ".join([*start, *second]) + r" \\",
        ]

    def _row(
        self,
        section: Section,
        key: Sequence[str],
        cells: Sequence[int | None],
        names: Sequence[str],
        best: set[int],
        intervals: bool,
    ) -> list[str]:
        line = [escaped(word) for word in key]
        for index in cells:
            for name in names:
                metric = Metric(None, None, None, 0) if index is None else section.cells[index].metric(name)
                line.append(self._cell(metric, name, index in best and name == "fool_rate", intervals))
        return line

    def _cell(self, metric: Metric, name: str, best: bool, intervals: bool) -> str:
        if metric.value is None:
            return "--"
        hundred = self.percent and any(part in name for part in SHARES)
        digits = max(0, decimals(metric) - 2) if hundred else decimals(metric)
        value, *ends = (
            f"{(100 if hundred else 1) * x:.{digits}f}"
            for x in (metric.value, metric.low, metric.high)
            if x is not None
        )
        flag = r"\textsuperscript{\dag}" if (metric.reason or "").startswith("below_gate") else ""
        text = f"\\textbf{{{value}}}{flag}" if best else f"{value}{flag}"
        return f"{text} {{\\scriptsize {'--'.join(ends)}}}" if intervals and len(ends) == 2 else text

    def _caption(self, section: Section, names: Sequence[str], intervals: bool, best: bool) -> str:
        first = section.cells[0]
        choices = first.record["choices"]
        meanings = [f"{describe(name).label} ({describe(name).meaning})" for name in names]
        unit = ", shares in percent" if self.percent else ""
        what = meanings[0][:1].upper() + meanings[0][1:] if len(names) == 1 else "; ".join(meanings)
        across = " by hidden share of the frame" if len(section.axes[1].levels) > 1 else ""
        parts = [f"{what}{across}{unit}."]
        images = first.images
        people = first.record.get("details", {}).get("people") or (
            None if images is None else images["label"].nunique()
        )
        photos = f"{first.record['n']} photos" + (f" of {people} people" if people else "")
        setting = [f"{section.title}, {photos}"]
        for group, word in (("recognition", "recogniser"), ("inpainting", "repainted by")):
            if choices.get(group) and len({str(c.record["choices"].get(group)) for c in section.cells}) == 1:
                setting.append(f"{word} {display_name(choices[group])}")
        accuracy = {c.metric("accuracy") for c in section.cells}
        if len(accuracy) == 1 and (clean := accuracy.pop()).value is not None:
            setting.append(f"clean accuracy {100 * clean.value:.0f} %")
        seeds = sorted({str(c.record.get("seed")) for c in section.cells})
        setting.append(f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}")
        if len(section.axes[1].levels) == 1 and section.axes[1].levels[0] is not None:
            setting.append(f"{section.axes[1].word(section.axes[1].levels[0])} of the frame hidden")
        told = "; ".join(setting)
        parts.append(f"{told[:1].upper()}{told[1:]}.")
        parts += list(section.inert.values())
        if intervals:
            parts.append("Small: 95 % intervals, people being the sample.")
        if best:
            parts.append("Bold: higher than every other method in a cell that is otherwise the same, by a sign-flip")
            parts.append("permutation test over people (Holm-corrected p < 0.05).")
        elif not section.pairs:
            parts.append("None is ahead of all others by a sign-flip permutation test over people.")
        if any((c.metric("fool_rate").reason or "").startswith("below_gate") for c in section.cells):
            parts.append("Daggers: the recogniser is below its gate.")
        return " ".join(parts)


def _head(name: str) -> str:
    """A heading that is no wider than it must be."""
    return "observer" if name == "strongest_observer" else describe(name).label.removesuffix(" inside")


def _find(section: Section, short: str) -> str | None:
    if short in section.metrics:
        return short
    ends = SHORT.get(short, ())
    return next(
        (n for end in ends for n in section.metrics if n.rpartition("/")[2] == end and not n.startswith("by/")), None
    )


def _down(section: Section) -> list[Axis]:
    """Axes that name a row: all that vary but the area, which stands across, and those along which nothing moves."""
    return [axis for axis in section.varying if axis.name != "mask_ratio" and axis.name not in section.inert]


def _pivot(section: Section) -> tuple[list[Key], list[float | None], dict[tuple[Key, float | None], int]]:
    """Rows in words, areas, and the cell of each pair; of an inert axis the middle level alone."""
    inert = [(axis, section.middle_level(axis)) for axis in section.axes if axis.name in section.inert]
    down, cells = _down(section), dict[tuple[Key, float | None], int]()
    for index, cell in enumerate(section.cells):
        if all(axis.values[index] is None or axis.word(axis.values[index]) == kept for axis, kept in inert):
            key: Key = (section.name(index), *(axis.word(axis.values[index]) for axis in down[1:]))
            cells[key, cell.mask_ratio] = index
    rows = list(dict.fromkeys(key for key, _ in cells))
    areas = sorted({area for _, area in cells}, key=lambda area: (area is None, area or 0.0))
    return rows, areas, cells


def _width(lines: Sequence[Sequence[str]], names: int) -> float:
    """Points that a table takes, by its longest cells."""
    if not lines:
        return 0.0
    longest = [max(len(_visible(line[i])) for line in lines) for i in range(len(lines[0]))]
    return sum(GAP + (NAME if i < names else DIGIT) * max(4, n) for i, n in enumerate(longest))


def _visible(cell: str) -> str:
    for command in ("\\textbf{", "{\\scriptsize ", "\\textsuperscript{\\dag}", "}", "\\"):
        cell = cell.replace(command, "")
    return cell.replace("--", "-")
