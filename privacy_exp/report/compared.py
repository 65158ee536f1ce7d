"""Two cells compared: which runs may be, and what the comparison says in plain words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from privacy_exp.cache.files import write_text
from privacy_exp.evaluation.evaluate import RECOGNISED
from privacy_exp.evaluation.statistics.comparison import Comparison
from privacy_exp.evaluation.statistics.comparison import compare as compare_tables
from privacy_exp.evaluation.statistics.equivalence import Equivalence, equivalences
from privacy_exp.report.comparison import comparison_text, equivalence_text
from privacy_exp.runs.run import Run, load_run
from privacy_exp.types import UserError

ONE_CELL = ("recognition", "masking", "inpainting", "image_format")
"""Parts of the configuration in which runs that are pooled must agree; their seeds differ."""

Given = str | Path | Run | Sequence[str | Path | Run]
"""A run, its folder, or several of them."""


@dataclass(frozen=True)
class Compared:
    """Two runs over the same images, person by person.

    Attributes:
        figures: what was compared, `strongest_observer` first.
        text: the same as a table and in plain words.
        runs: the folders behind "a" and "b".
        equivalences: of the figures, where they were asked for.
    """

    figures: list[Comparison]
    text: str
    runs: Mapping[str, Sequence[Run]]
    equivalences: list[Equivalence] = field(default_factory=list)

    def __str__(self) -> str:
        return self.text

    def __getitem__(self, name: str) -> Comparison:
        """The comparison of one figure, such as "fool_rate"."""
        for one in self.figures:
            if one.name == name:
                return one
        raise KeyError(name)


def compare(a: Given, b: Given, flips: int = 10_000, equivalence: bool = False) -> Compared:
    """The paired comparison of two runs over the same images: difference, interval, p over people.

    Args:
        a: a run or its folder, or those of several seeds of one cell, which are pooled.
        b: the same of the other cell.
        flips: exchanges of the sign-flip test.
        equivalence: also test whether the figures are alike, within margins that were written down beforehand.

    Raises:
        FileNotFoundError: a folder that is no finished run.
        UserError: runs that cannot be compared or pooled; the message says why.
    """
    if flips < 1000:
        raise UserError(f"`flips` must be at least 1000, or no p value under 0.05 is stable, but got {flips}.")
    runs = {"a": _runs("a", a), "b": _runs("b", b)}
    check_same_data([*runs["a"], *runs["b"]])
    found = compare_tables(
        [run.table for run in runs["a"]],
        [run.table for run in runs["b"]],
        common_observers([*runs["a"], *runs["b"]]),
        flips,
    )
    text = comparison_text(runs["a"], runs["b"], found)
    if not equivalence:
        return Compared(found, text, runs)
    of_a, of_b = ([run.table.sort_values("image_id", ignore_index=True) for run in runs[name]] for name in ("a", "b"))
    alike = equivalences(of_a, of_b, [one.name for one in found if one.name != "strongest_observer"])
    return Compared(found, "\n".join([text, equivalence_text(alike)]), runs, alike)


def compare_runs(
    a: Given, b: Given, flips: int = 10_000, out: str | None = None, equivalence: bool = False
) -> list[Comparison]:
    """Prints the paired comparison of two runs, and writes it; see `compare`.

    Args:
        a: see `compare`.
        b: see `compare`.
        flips: see `compare`.
        out: a .json file that takes the figures too.
        equivalence: see `compare`.

    Returns:
        What was compared, `strongest_observer` first.
    """
    compared = compare(a, b, flips, equivalence)
    print(compared)
    if out is not None:
        plain = _plain(compared.runs, compared.figures)
        if compared.equivalences:
            plain["equivalence"] = {one.name: asdict(one) | {"shown": one.shown} for one in compared.equivalences}
        write_text(Path(out), json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        print(f"file     {out}")
    return compared.figures


def _runs(name: str, given: Given) -> list[Run]:
    """The runs of one cell.

    Raises:
        UserError: none, a run given twice, or runs that differ in more than their seed.
    """
    folders = [given] if isinstance(given, str | Path | Run) else list(given)
    if not folders:
        raise UserError(f"`{name}` must name a run folder, or several as {name}=[DIR,DIR], but is empty.")
    runs = [folder if isinstance(folder, Run) else load_run(folder) for folder in folders]
    first = runs[0].record
    for run in runs[1:]:
        differing = [part for part in ONE_CELL if run.record["config"].get(part) != first["config"].get(part)]
        if differing or run.record["mask_ratio"] != first["mask_ratio"]:
            raise UserError(
                f"`{name}` must be seeds of one cell to be pooled, but {run.path} differs from {runs[0].path} in "
                f"{', '.join(differing) or 'mask_ratio'}."
            )
    seeds = [run.record["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"`{name}` must be runs of different seeds, but their seeds are {seeds}.")
    return runs


def check_same_data(runs: Sequence[Run]) -> None:
    """Checks that all runs saw the same photos, split alike; photos with the same names need not be the same.

    Raises:
        UserError: names two runs that did not.
    """
    first = runs[0]
    for run in runs[1:]:
        digests = [one.record["details"].get("data_digest") for one in (first, run)]
        if None not in digests and digests[0] != digests[1]:
            raise UserError(
                f"{first.path} and {run.path} are runs over different data: photos, labels or the split differ. Give "
                "both the same `data` keys, or repeat a split with data.manifest=RUN/manifest.csv."
            )


def common_observers(runs: Sequence[Run]) -> Mapping[str, float] | str:
    """Name to chance of the observers behind `strongest_observer`, or why the runs cannot be compared by it."""
    lists = {tuple(sorted(run.record["metrics"]["strongest_observer"].get("observers", []))) for run in runs}
    if len(lists) > 1:
        named = " against ".join(", ".join(names) or "nobody" for names in sorted(lists))
        return f"other observers took part: {named}; such runs are not ranked"
    names = lists.pop()
    if not names:
        return "no observer passed its gate"
    hidden = [name for name in names if any(RECOGNISED + name not in run.table for run in runs)]
    if hidden:
        return f"images.parquet does not say photo by photo what {', '.join(hidden)} recognised, so there are no pairs"
    known = runs[0].record["details"]["observers"]
    return {name: float(known[name]["chance"]) for name in names}


def _plain(runs: Mapping[str, Sequence[Run]], found: Sequence[Comparison]) -> dict[str, object]:
    return {
        **{name: [str(run.path) for run in own] for name, own in runs.items()},
        "figures": {one.name: asdict(one.difference) | {"p_holm": one.p_holm, "mcnemar": one.mcnemar} for one in found},
    }
