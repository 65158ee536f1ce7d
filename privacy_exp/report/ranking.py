"""Which differences are differences: paired tests between methods, and the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from privacy_exp.cache.keys import content_key
from privacy_exp.evaluation.statistics.intervals import holm
from privacy_exp.evaluation.statistics.paired import Difference, fool_rate_difference
from privacy_exp.report.collect import Row
from privacy_exp.report.comparison import ALPHA
from privacy_exp.report.metrics import describe
from privacy_exp.report.sections import Section


@dataclass(frozen=True)
class Lead:
    """The leader of a class against one of the others, as `compare` tells two runs apart.

    Attributes:
        leader: index of the cell with the highest fool rate.
        other: index of a cell of the same class.
        difference: of their fool rates: interval and sign-flip test by identity.
        p_holm: its p value, corrected for every pair of every class of the section; None where nothing was tested.
        p_mcnemar: exact McNemar, printed beside: it takes photos for the sample.
    """

    leader: int
    other: int
    difference: Difference
    p_holm: float | None
    p_mcnemar: float | None


def classes(section: Section) -> list[list[int]]:
    """Cells that are alike in everything but the masking method, which must hide the asked share; below gate left out.

    Where there is one method, they are alike in everything but how they repaint.
    """
    free = "masking" if len({cell.method for cell in section.cells}) > 1 else "inpainting"
    groups: dict[str, list[int]] = {}
    for index, cell in enumerate(section.cells):
        rate = cell.metric("fool_rate")
        if cell.mask_ratio is None or rate.value is None or rate.reason is not None or cell.images is None:
            continue
        row = {k: v for k, v in section.row(index).items() if not k.startswith(free)}
        groups.setdefault(content_key(row), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def compare(section: Section) -> list[Lead]:
    """Tests each class's leader against the rest of its class.

    The leader is chosen by looking, so the correction counts every pair of every class: the pairs that are not
    computed enter as p = 1, which can only make the corrected values larger.
    """
    groups = classes(section)
    drafts = []
    for group in groups:
        leader = max(group, key=lambda index: section.cells[index].metric("fool_rate").value or 0.0)
        drafts += [_test(section.cells, leader, other) for other in group if other != leader]
    tested = [draft.difference.p for draft in drafts if draft.difference.p is not None]
    pairs = sum(len(list(combinations(group, 2))) for group in groups) - (len(drafts) - len(tested))
    corrected = iter(holm([*tested, *[1.0] * (pairs - len(tested))]))
    return [d if d.difference.p is None else replace(d, p_holm=next(corrected)) for d in drafts]


def best(comparisons: Sequence[Lead]) -> set[int]:
    """Leaders that are ahead of every other cell of their class by the corrected test."""
    leaders = {comparison.leader for comparison in comparisons}
    return leaders - {c.leader for c in comparisons if not is_ahead(c)}


def is_ahead(comparison: Lead) -> bool:
    """Whether the leader's fool rate is higher by the corrected test."""
    p, value = comparison.p_holm, comparison.difference.value
    return p is not None and value is not None and p < ALPHA and value > 0


def _test(cells: Sequence[Row], leader: int, other: int) -> Lead:
    tables = [cells[index].images for index in (leader, other)]
    shared = set.intersection(*(set(table["image_id"]) for table in tables if table is not None))
    known = [table[table["image_id"].isin(shared)] for table in tables if table is not None]
    difference, mcnemar = fool_rate_difference(known[0], known[1])
    return Lead(leader, other, difference, None, mcnemar)


def pareto_front(section: Section, privacy: str, utility: str) -> list[list[int]]:
    """Cells that no comparable cell beats in privacy and utility at once, one front per group of comparable cells.

    Comparable are cells with the same recogniser and the same list of observers; cells below gate are left out.

    Args:
        section: whose cells.
        privacy: metric; its better end is the one that protects more.
        utility: metric.

    Returns:
        Indices sorted by the privacy metric.
    """
    sign = {name: 1 if describe(name).better == "higher" else -1 for name in (privacy, utility)}
    groups: dict[str, list[tuple[float, float, int]]] = {}
    for index, cell in enumerate(section.cells):
        x, y = cell.metric(privacy).value, cell.metric(utility).value
        if x is not None and y is not None and cell.metric(privacy).reason is None:
            groups.setdefault(peers(cell), []).append((sign[privacy] * x, sign[utility] * y, index))
    fronts = []
    for points in groups.values():
        front: list[int] = []
        highest = float("-inf")
        for _, y, index in sorted(points, reverse=True):
            if y > highest:
                front.append(index)
                highest = y
        fronts.append(front)
    return fronts


def peers(cell: Row) -> str:
    """Equal for cells that may be ranked against each other: the same recogniser and the same observers."""
    recognition = cell.get("recognition")
    return content_key({"recognition": recognition, "observers": list(cell.observers)})
