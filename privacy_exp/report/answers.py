"""What a section found, in words: which method protects best, by how much, and whether that is sure."""

from collections.abc import Sequence
from dataclasses import dataclass

from privacy_exp.report.faces import middle
from privacy_exp.report.ranking import Lead, classes, is_ahead, peers
from privacy_exp.report.sections import Section
from privacy_exp.runs.answer import FEW, control_of, hidden, observer, percent, photos_of, sentences, share_of
from privacy_exp.runs.names import display_name
from privacy_exp.types import Metric

MOST_NAMED = 4
"""Methods that one sentence names."""


@dataclass(frozen=True)
class Answer:
    """A section in words.

    Attributes:
        lead: the answer itself.
        sure: whether its difference is one; empty where nothing is compared.
        more: further sentences, one idea each.
        cells: those that the lead speaks of, the best first.
    """

    lead: str
    sure: str
    more: list[str]
    cells: list[int]


def answer_of(section: Section, comparisons: Sequence[Lead]) -> Answer:
    """The answer that stands first on a page.

    Args:
        section: its cells.
        comparisons: from `ranking.compare`.
    """
    if section.pairs:
        return _tools(section)
    if len(section.cells) == 1:
        first, *rest = sentences(section.cells[0].record, _people(section, 0))
        return Answer(first, "", rest, [0])
    groups = [sorted(group, key=lambda index: -_rate(section, index)) for group in classes(section)]
    middles = middle(section)
    group = max(groups, key=lambda one: len({*one} & {*middles}), default=middles)
    best = section.cells[group[0]]
    gate = _below_gate(section)
    others = [one for one in groups if _alike(section, one[0], group[0])] if groups else []
    more = [*[_area(section, one, comparisons) for one in others], control_of(best.record)]
    if len({peers(cell) for cell in section.cells}) == 1:
        more.append(observer(best.record["metrics"]))
    else:
        more.append(
            "The runs met different recognisers or observers, and are not ranked by what those still recognise."
        )
    more.append(photos_of(int(best.record["n"]), _people(section, group[0])))
    if not groups:
        return Answer(sentences(best.record)[0], "", [text for text in more if text], group)
    lead = " ".join(filter(None, [gate, _ranked(section, group)]))
    return Answer(lead, _sure(section, group, comparisons), [text for text in more if text], group)


def _rate(section: Section, index: int) -> float:
    return section.cells[index].metric("fool_rate").value or 0.0


def _people(section: Section, index: int) -> int | None:
    images = section.cells[index].images
    return None if images is None else int(images["label"].nunique())


def _below_gate(section: Section) -> str:
    flagged = [c for c in section.cells if (c.metric("fool_rate").reason or "").startswith("below_gate")]
    if not flagged:
        return ""
    where = f"In {len(flagged)} of {len(section.cells)} runs the recogniser is below its gate"
    return f"{where}: it names too few originals, so they are left out here."


def _alike(section: Section, index: int, other: int) -> bool:
    """Whether two cells differ in the area, and in nothing else but what is compared."""
    one, two = section.row(index), section.row(other)
    free = ("masking", "inpainting", "mask_ratio")
    return one["mask_ratio"] != two["mask_ratio"] and all(
        one[name] == two[name] for name in one if not name.startswith(free) or name == "inpainting.guidance_scale"
    )


def _called(section: Section, group: Sequence[int]) -> list[str]:
    """What is compared: the methods, or with one method what repaints."""
    if len({section.cells[index].method for index in group}) > 1:
        return [section.name(index) for index in group]
    return [display_name(section.cells[index].record["choices"].get("inpainting")) for index in group]


def _brief(rate: Metric) -> str:
    assert rate.value is not None  # noqa: S101  classes hold cells with a rate
    return f"{rate.value * rate.n:.0f}" if 0 < rate.n < FEW else percent(rate)


def _told(section: Section, group: Sequence[int], skip: int = 0) -> str:
    """Each method of a class with its rate, the first ones left out; where there are many, those in between too."""
    names = _called(section, group)
    told = [f"{name} {_brief(section.cells[i].metric('fool_rate'))}" for name, i in zip(names, group, strict=True)]
    told = told[skip:]
    if len(told) > MOST_NAMED:
        between = len(told) - MOST_NAMED
        told = [*told[: MOST_NAMED - 1], f"{between} more in between", told[-1]]
    return _list(told)


def _list(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _ranked(section: Section, group: Sequence[int]) -> str:
    best = section.cells[group[0]]
    recogniser = display_name(best.record["choices"].get("recognition"))
    share = share_of(best.metric("fool_rate"), "photos")
    text = f"{hidden(best.record)}, {_called(section, group)[0]} protects {share} that {recogniser} recognised before"
    return f"{text}; {_told(section, group, skip=1)}."


def _area(section: Section, group: Sequence[int], comparisons: Sequence[Lead]) -> str:
    own = [c for c in comparisons if c.leader == group[0] and c.other in group]
    leads = [100 * c.difference.value for c in own if c.difference.value is not None]
    by = f"; ahead by {min(leads):.0f} points" + (" or more" if len(leads) > 1 else "") if leads else ""
    sure = ", a difference by the test" if own and all(map(is_ahead, own)) else ", but no difference from all is shown"
    by += sure if by else ""
    start = hidden(section.cells[group[0]].record).removeprefix("With ").removesuffix(" hidden")
    n = section.cells[group[0]].metric("fool_rate").n
    of = f" of {n}" if n < FEW else ""
    return f"At {start}: {_told(section, group)}{of}{by}."


def _sure(section: Section, group: Sequence[int], comparisons: Sequence[Lead]) -> str:
    own = [c for c in comparisons if c.leader == group[0] and c.other in group]
    names = dict(zip(group, _called(section, group), strict=True))
    ahead = [c for c in own if is_ahead(c)]
    parts = []
    if ahead:
        by = _list([f"{names[c.other]} by {_points(c)}" for c in ahead[:MOST_NAMED]])
        parts.append(f"It is ahead of {by}: a difference after correction for all pairs.")
    open_ones = [c for c in own if c not in ahead]
    tested = [c for c in open_ones if c.p_holm is not None and c.difference.detectable]
    if tested:
        seen = max(c.difference.detectable or 0.0 for c in tested)
        whom = _list([names[c.other] for c in tested[:MOST_NAMED]]) if len(tested) <= MOST_NAMED else "the others"
        smallest = f"the smallest that would have been seen is {100 * seen:.0f} points"
        parts.append(f"No difference from {whom} is shown ({smallest}).")
    elif open_ones:
        reason = next((c.difference.reason for c in open_ones if c.difference.reason), None)
        parts.append(f"Whether that is a difference is not known: {reason}." if reason else "No difference is shown.")
    return " ".join(parts)


def _points(lead: Lead) -> str:
    d = lead.difference
    assert d.value is not None  # noqa: S101  it is ahead
    ends = "" if d.low is None or d.high is None else f" ({100 * d.low:.0f} to {100 * d.high:.0f})"
    return f"{100 * d.value:.0f} points{ends}"


def _tools(section: Section) -> Answer:
    """Pairs of pictures that other tools made: the tool whose people judges find least comes first."""
    asked = [n for n in section.metrics if n.startswith("judge/") and n.endswith(("/tar_cross_1e-2", "/rank_1"))]
    name = next((n for n in asked if any(cell.metric(n).value is not None for cell in section.cells)), None)

    def found(index: int) -> Metric:
        return section.cells[index].metric(name or "")

    order = sorted(range(len(section.cells)), key=lambda i: 2.0 if found(i).value is None else found(i).value or 0.0)
    told = [sentences(section.cells[index].record) for index in order]
    rest = [text for one in told[1:] for text in one[:1]] + told[0][1:]
    sure = ""
    first, second = (found(index) for index in order[:2]) if len(order) > 1 else (None, None)
    if first and second and first.high is not None and second.low is not None:
        start = f"Of {len(order)} tools that is the lowest"
        sure = f"{start}, and its interval lies below that of the next."
        if first.high >= second.low:
            sure = f"{start}, but its interval meets that of the next: no order is shown."
    return Answer(told[0][0], sure, rest, order)
