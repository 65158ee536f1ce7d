"""The comparison of two runs as a table and in plain words."""

from collections.abc import Sequence

from rich.table import Table

from privacy_exp.evaluation.statistics.comparison import Comparison
from privacy_exp.evaluation.statistics.equivalence import Equivalence
from privacy_exp.report.table import render
from privacy_exp.runs.run import Run

ALPHA = 0.05


def comparison_text(a: Sequence[Run], b: Sequence[Run], found: Sequence[Comparison]) -> str:
    """What was compared, every figure with its interval and tests, and what follows.

    Args:
        a: seeds of the first cell.
        b: of the second.
        found: from `evaluation.comparison.compare`.
    """
    tested = sum(one.p_holm is not None for one in found)
    table = Table(title=f"{found[0].difference.n} images of {found[0].difference.identities} people")
    table.add_column("figure")
    for column in ("a", "b", "a - b", "95 % interval", "p", f"Holm over {tested}", "McNemar"):
        table.add_column(column, justify="right")
    for one in found:
        d = one.difference
        interval = "–" if d.low is None or d.high is None else f"{d.low:+.3f} … {d.high:+.3f}"
        p = [_p(value) for value in (d.p, one.p_holm, one.mcnemar)]
        table.add_row(one.name, _number(d.a), _number(d.b), _number(d.value, "+.3f"), interval, *p)
    heads = [f"{name}  {_head(runs)}" for name, runs in (("a", a), ("b", b))]
    return "\n".join([*heads, *notes(a, b), render(table), *(sentence(one) for one in found), EXPLAINED])


EXPLAINED = (
    "p: sign-flip permutation, all photos of a person exchanged together. Holm corrects it for the number of figures "
    "tested.\nMcNemar takes photos as independent, which photos of one person are not: it does not decide."
)


def sentence(one: Comparison) -> str:
    """One figure in plain words: is there a difference, and if none can be claimed, which could have been seen."""
    d = one.difference
    if d.value is None or d.low is None or d.high is None:
        return f"{one.name}: not compared: {d.reason}."
    start = f"{one.name}: {d.a:.3f} in a, {d.b:.3f} in b"
    if one.p_holm is None:
        return f"{start}; not tested: {d.reason}."
    if one.p_holm < ALPHA:
        which = "higher" if d.value > 0 else "lower"
        return (
            f"{start}: a is {which} by {abs(d.value):.3f} (95 % interval {d.low:+.3f} to {d.high:+.3f}, "
            f"corrected p = {_p(one.p_holm)})."
        )
    if d.value == d.low == d.high == 0:
        return f"{start}: the same for every person."
    return (
        f"{start}: no difference can be claimed (corrected p = {_p(one.p_holm)}). Uncorrected, these images would show "
        f"a true difference of {d.detectable:.3f} four times in five."
    )


def equivalence_text(found: Sequence[Equivalence]) -> str:
    """Which figures are shown to be alike, in plain words.

    Args:
        found: from `evaluation.statistics.equivalence`.
    """
    lines = []
    for one in found:
        if one.p is None or one.low is None or one.high is None:
            lines.append(f"{one.name}: not tested for equivalence: {one.reason}.")
        else:
            said = "alike" if one.shown else "not shown to be alike"
            lines.append(
                f"{one.name}: {said} within {one.margin:g} (mean difference of {one.people} people, 90 % interval "
                f"{one.low:+.3f} to {one.high:+.3f}, two one-sided tests, p = {_p(one.p)})."
            )
    return "\n".join(["", "Equivalence", *lines])


def notes(a: Sequence[Run], b: Sequence[Run]) -> list[str]:
    """What a reader must know before the figures."""
    lines = []
    areas = [sum(run.table["share_hidden"].mean() for run in runs) / len(runs) for runs in (a, b)]
    if abs(areas[0] - areas[1]) > 0.005:
        lines.append(f"note: not at equal area: a hides {areas[0]:.1%} of the frame, b {areas[1]:.1%}.")
    if len(a) < 3 or len(b) < 3:
        seeds = f"{len(a)} {'seed' if len(a) == 1 else 'seeds'} of a and {len(b)} of b"
        lines.append(f"note: {seeds}; a claim about a method takes 3 or more of each.")
    flagged = [run for run in (*a, *b) if run.record["metrics"]["fool_rate"].get("reason") == "below_gate"]
    if flagged:
        lines.append(f"note: the recogniser is below its gate in {len(flagged)} of {len(a) + len(b)} runs.")
    return lines


def _head(runs: Sequence[Run]) -> str:
    seeds = ", ".join(str(run.record["seed"]) for run in runs)
    return f"{runs[0].title} · seed {seeds} · {', '.join(str(run.path) for run in runs)}"


def _number(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else format(value, form)


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
