"""Which differences are differences: paired tests between methods, and the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from privacy_exp.cache.keys import content_key
from privacy_exp.evaluation.statistics.intervals import exact_mcnemar, holm
from privacy_exp.evaluation.statistics.paired import Difference, paired_difference
from privacy_exp.report.collect import Cell
from privacy_exp.report.comparison import ALPHA
from privacy_exp.report.metrics import describe
from privacy_exp.report.sections import Section, data_key
from privacy_exp.types import UserError


@dataclass(frozen=True)
class Comparison:
    """The leader of a class against one of the others, on the photos that were recognised before in both.

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


def compare(section: Section) -> list[Comparison]:
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


def best(comparisons: Sequence[Comparison]) -> set[int]:
    """Leaders that are ahead of every other cell of their class by the corrected test."""
    leaders = {comparison.leader for comparison in comparisons}
    return leaders - {c.leader for c in comparisons if not is_ahead(c)}


def is_ahead(comparison: Comparison) -> bool:
    """Whether the leader's fool rate is higher by the corrected test."""
    p, value = comparison.p_holm, comparison.difference.value
    return p is not None and value is not None and p < ALPHA and value > 0


def _test(cells: Sequence[Cell], leader: int, other: int) -> Comparison:
    ours, theirs, people = paired_outcomes(cells[leader], cells[other])
    columns = [np.stack([outcomes, np.ones(len(outcomes))]).astype(np.float64) for outcomes in (ours, theirs)]
    difference = paired_difference(columns[0], columns[1], people)
    return Comparison(leader, other, difference, None, exact_mcnemar(ours, theirs) if len(ours) else None)


def paired_outcomes(
    one: Cell, two: Cell
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Whether the recogniser was fooled, in each of two cells, on the photos that it named rightly before in both.

    Returns:
        Fooled in the first, fooled in the second, identity.

    Raises:
        UserError: a cell has no table of images, or the two are of different data.
    """
    if one.images is None or two.images is None or data_key(one) != data_key(two):
        raise UserError(f"{one.name} and {two.name} cannot be paired: one has no images.parquet, or other data.")
    place = pd.Index(two.images["image_id"]).get_indexer(one.images["image_id"])  # -1 where the second lacks it
    first, second = (
        [images[name].to_numpy(np.int64)[rows] for name in ("label", "pred", "pred_anonymized")]
        for images, rows in ((one.images, place >= 0), (two.images, place[place >= 0]))
    )
    label = first[0]
    both = (second[0] == label) & (first[1] == label) & (second[1] == label)
    return (first[2] != label)[both], (second[2] != label)[both], label[both]


def pareto_front(section: Section, privacy: str, utility: str) -> list[list[int]]:
    """Cells that no comparable cell beats in privacy and utility at once, a front a group of comparable cells.

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


def peers(cell: Cell) -> str:
    """Equal for cells that may be ranked against each other: the same recogniser and the same observers."""
    recognition = cell.get("recognition")
    return content_key({"recognition": recognition, "observers": list(cell.observers)})
