"""The three questions of the data-protection working party, answered by what a run measured."""

from collections.abc import Mapping
from typing import Any

from privacy_exp.runs.answer import metric_of, percent, why
from privacy_exp.runs.names import display_name
from privacy_exp.types import Metric

NOT_THIS = (
    "This is no legal assessment. The figures hold for the named observers, these photos and these people; others may "
    "do better. Whether pictures are anonymous in the sense of a law depends on more than figures."
)
"""Stands above the answers, wherever they stand."""


def three_questions(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Singling out, linkability and inference, each in a sentence with its observer, n and 95 % interval.

    Args:
        metrics: of `record.json`, as plain values.

    Reference: Article 29 Working Party, Opinion 05/2014 on Anonymisation Techniques, 2014.

    Example:
        >>> rate = {"value": 0.25, "low": 0.2, "high": 0.3, "n": 400}
        >>> three_questions({"utility/attribute_agreement": rate})["inference"][:58]
        'An attribute classifier says the same of the result as of '
    """
    return {
        "not_this": NOT_THIS,
        "singling_out": _singling_out(metrics),
        "linkability": _linkability(metrics),
        "inference": _inference(metrics),
    }


def _strongest(metrics: Mapping[str, Any], begins: str, ends: str, slashes: int) -> tuple[str, Metric] | None:
    """The figure of this kind with the highest value, of observers that passed their gates where there are any."""
    found = [
        (name, metric_of(plain))
        for name, plain in metrics.items()
        if name.startswith(begins) and name.endswith(ends) and name.count("/") == slashes
    ]
    known = [(name, metric) for name, metric in found if metric.value is not None]
    passed = [(name, metric) for name, metric in known if metric.reason is None]
    return max(passed or known, key=lambda one: one[1].value or 0.0, default=None)


def _told(metric: Metric, things: str) -> str:
    flag = "" if metric.reason is None else f" ({why(metric.reason)})"
    return f"{percent(metric)} of {metric.n} {things}{flag}"


def _singling_out(metrics: Mapping[str, Any]) -> str:
    best = _strongest(metrics, "judge/", "/rank_1", 2)
    if best is None:
        return "Not asked: no judge looked the results up among originals (judge=[onnx])."
    judge = best[0].split("/")[1]
    found = _told(best[1], "photos")
    text = f"The strongest judge, {display_name(judge)}, finds the person first among the originals for {found}"
    intrusion = metric_of(metrics.get(f"judge/{judge}/intrusion"))
    if intrusion.value is not None:
        text += f"; beyond what it does on originals, it takes {_told(intrusion, 'photos')} for somebody else"
    return text + "."


def _linkability(metrics: Mapping[str, Any]) -> str:
    said = []
    learnt = _strongest(metrics, "attacker/linkage/", "/rank_1", 3)
    if learnt is not None:
        eyes = display_name(learnt[0].split("/")[2])
        said.append(
            f"An attacker who learns the link from other people, through {eyes}, finds another original of the person "
            f"first for {_told(learnt[1], 'photos')}"
        )
    together = _strongest(metrics, "attacker/several_photos/", "/rank_1", 3)
    if together is not None:
        count = together[0].split("/")[2].removeprefix("n_")
        said.append(f"{count} photos of a person together are linked to the person for {_told(together[1], 'probes')}")
    if not said:
        return "Not asked: nobody learnt to link results to other photos (attacker=[linkage,several_photos])."
    return "; ".join(said) + "."


def _inference(metrics: Mapping[str, Any]) -> str:
    agreement = metric_of(metrics.get("utility/attribute_agreement"))
    if agreement.value is None:
        return "Not asked: no attribute was read from the results (utility=[attributes])."
    return (
        "An attribute classifier says the same of the result as of the original for "
        f"{_told(agreement, 'photos')}: so much of what it sees can still be inferred."
    )
