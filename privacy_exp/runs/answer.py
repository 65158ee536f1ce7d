"""What a run found, in a few sentences; the same words on the terminal, the page, in `record.md` and in Python."""

import math
import re
from collections.abc import Mapping
from typing import Any

from privacy_exp.runs.names import display_name
from privacy_exp.types import Metric

FEW = 50
"""Photos below which a share is told as a count."""

FLAGS = {"below_gate": "below its gate", "no_gate": "without a gate", "steered": "it steered the painter"}
"""What stands in a record for a judgement on an observer, and what people read."""

NOBODY = "judge=[…] and attacker=[…] ask others"


def metric_of(plain: Any) -> Metric:
    """A figure of a record; what is no number is a missing value, with its reason."""
    if not isinstance(plain, Mapping):
        return Metric(None, None, None, 0, "not in this record")
    value, low, high = (_number(plain.get(name)) for name in ("value", "low", "high"))
    n, reason = plain.get("n"), plain.get("reason")
    n = n if isinstance(n, int) else 0
    if value is None:
        return Metric(None, None, None, n, str(reason or "the record gives no number"))
    return Metric(value, low, high, n, reason)


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def why(reason: str | None) -> str:
    """The reason of a figure as people read it.

    Example:
        >>> why("no_gate: nobody has two photos")
        'without a gate: nobody has two photos'
    """
    return re.sub("|".join(FLAGS), lambda found: FLAGS[found[0]], reason or "")


def decimals(metric: Metric) -> int:
    """Digits after the point that the interval supports: its half-width decides, and without one n does."""
    if metric.value is None:
        return 0
    share = abs(metric.value) <= 1.5
    if metric.low is None or metric.high is None or metric.high <= metric.low:
        return 2 if metric.n < 1000 else 3
    digits = -math.floor(math.log10((metric.high - metric.low) / 2))
    return max(2 if share else 0, min(3, digits))


def percent(metric: Metric) -> str:
    """A share as people say it: 62 % (48-74); one decimal only where the interval is narrower than a point."""
    assert metric.value is not None  # noqa: S101  callers have looked
    digits = max(0, decimals(metric) - 2) if metric.low is not None else 0
    text = f"{round(100 * metric.value, digits) + 0.0:.{digits}f} %"  # no -0
    if metric.low is None or metric.high is None:
        return text
    ends = [f"{100 * end:.{digits}f}" for end in (metric.low, metric.high)]
    return f"{text} ({_range(*ends)})"


def _range(low: str, high: str) -> str:
    return f"{low} to {high}" if "-" in low + high else f"{low}-{high}"


def share_of(metric: Metric, things: str) -> str:
    """A share of photos: a count where they are few, all or none as words."""
    assert metric.value is not None  # noqa: S101  callers have looked
    if metric.value in (0.0, 1.0) and metric.n > 0:
        which = f"none of {metric.n}" if metric.value == 0 else f"all {metric.n}"
        ends = "" if metric.low is None or metric.high is None else _bound(metric)
        return f"{which} {things}{ends}"
    if 0 < metric.n < FEW:
        ends = ""
        if metric.low is not None and metric.high is not None:
            ends = f" ({100 * metric.low:.0f}-{100 * metric.high:.0f} %)"
        return f"{metric.value * metric.n:.0f} of {metric.n} {things}{ends}"
    return f"{percent(metric)} of {metric.n} {things}"


def _bound(metric: Metric) -> str:
    low, high = 100 * (metric.low or 0.0), 100 * (metric.high or 0.0)
    if metric.value == 0:
        return f" (at most {high:.0f} %)" if high > 0 else ""
    return f" (at least {low:.0f} %)" if low < 100 else ""


def answer(record: Mapping[str, Any], people: int | None = None) -> str:
    """What a finished run found, in a few sentences.

    Args:
        record: `record.json` as plain values.
        people: on the photos, where the record does not say.

    Example:
        >>> rate = {"value": 0.62, "low": 0.48, "high": 0.74, "n": 225}
        >>> choices = {"masking": "saliency", "recognition": "facenet_scratch"}
        >>> record = {"choices": choices, "mask_ratio": 0.5, "n": 240, "metrics": {"fool_rate": rate}}
        >>> print(answer(record, people=30).partition(" There")[0])
        With 50 % of the frame hidden, Saliency protects 62 % (48-74) of 225 photos that FaceNet recognised before.
    """
    return " ".join(sentences(record, people))


def sentences(record: Mapping[str, Any], people: int | None = None) -> list[str]:
    """The same sentence by sentence: what was found first, then control, observers and photos."""
    choices, metrics = record["choices"], record["metrics"]
    people = record.get("details", {}).get("people", people)
    if choices.get("data") == "pairs":
        parts = [_pairs(choices, metrics)]
    else:
        parts = [" ".join(filter(None, [_gate(record), _protects(record)])), control_of(record)]
    return [part for part in [*parts, observer(metrics), photos_of(int(record["n"]), people)] if part]


def below_gate(metrics: Mapping[str, Any]) -> bool:
    """Whether the target recognised too few originals for its figures to count."""
    return str(metric_of(metrics.get("fool_rate")).reason or "").startswith("below_gate")


def _gate(record: Mapping[str, Any]) -> str:
    if not below_gate(record["metrics"]):
        return ""
    accuracy = metric_of(record["metrics"].get("accuracy"))
    named = "too few" if accuracy.value is None else f"only {share_of(accuracy, 'originals')}"
    evaluation = record.get("config", {}).get("evaluation", {})
    gate = _number(evaluation.get("gate")) if isinstance(evaluation, Mapping) else None
    needed = "" if gate is None else f", of which {100 * gate:.0f} % are needed"
    return f"Below the gate: the recogniser names {named}{needed}; what was never recognised cannot be hidden."


def hidden(record: Mapping[str, Any]) -> str:
    """How much was hidden, as the beginning of a sentence."""
    ratio = _number(record.get("mask_ratio"))
    if ratio is None:
        return "With the area that it chose itself"
    return f"With {100 * ratio:.3g} % of the frame hidden"


def _protects(record: Mapping[str, Any]) -> str:
    choices, rate = record["choices"], metric_of(record["metrics"].get("fool_rate"))
    who = display_name(choices.get("masking"))
    recogniser = display_name(choices.get("recognition", "the recogniser"))
    if rate.value is None:
        return f"There is no fool rate for {who}: {why(rate.reason)}."
    return f"{hidden(record)}, {who} protects {share_of(rate, 'photos')} that {recogniser} recognised before."


def control_of(record: Mapping[str, Any]) -> str:
    """How much of it repainting alone does."""
    metrics = record["metrics"]
    control, rate = metric_of(metrics.get("control_fool_rate")), metric_of(metrics.get("fool_rate"))
    if control.value is None:
        missing = rate.value is not None
        return "There is no control, so how much of it repainting alone does is unknown." if missing else ""
    if control.value == 0:
        return ""
    if control.n < FEW:
        return f"The autoencoder alone, with nothing repainted, accounts for {control.value * control.n:.0f} of them."
    return f"The autoencoder alone, with nothing repainted, accounts for {percent(control)}."


def observer(metrics: Mapping[str, Any]) -> str:
    """What the strongest observer still recognises, and whether anybody but the target tried."""
    kept, plain = metric_of(metrics.get("strongest_observer")), metrics.get("strongest_observer")
    names = list(plain.get("observers", [])) if isinstance(plain, Mapping) else []
    if kept.value is None:
        return f"What the strongest observer still recognises is not known: {why(kept.reason)}."
    text = _remainder(kept.value, kept)
    if names == ["target"]:
        return f"No other observer tried ({NOBODY}): the target still has {text} of its ability beyond chance."
    named = f" ({display_name(names[0].removeprefix('judge/').removeprefix('attacker/'))})" if names else ""
    tried = f"the strongest of {len(names)} observers that tried" if len(names) > 1 else "the observer that tried"
    text = f"{tried}{named} still has {text} of its ability to recognise people beyond chance."
    return text[:1].upper() + text[1:]


def _remainder(value: float, kept: Metric) -> str:
    """What remains of an ability, in words: an estimate beyond none or all of it is chance, so it is told as such."""
    low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in (kept.low, kept.high))
    whole = Metric(min(max(value, 0.0), 1.0), low, high, kept.n)
    if 0 < value < 1:
        return percent(whole)
    return ("all" if whole.value else "none") + ("" if low is None or high is None else _bound(whole))


PAIRS = (
    ("tar_cross_1e-2", "accepts {} of pairs as the same person at a false accept rate of 1 %"),
    ("rank_1", "finds the person first in a gallery in {} of cases"),
)


def _pairs(choices: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    judges = dict.fromkeys(name.split("/")[1] for name in metrics if name.startswith("judge/") and name.count("/") > 1)
    told = []
    for judge in judges:
        found = [(metric_of(metrics.get(f"judge/{judge}/{name}")), words) for name, words in PAIRS]
        clauses = [words.format(percent(one)) for one, words in found if one.value is not None]
        flag = next((f" ({why(one.reason)})" for one, _ in found if one.value is not None and one.reason), "")
        reason = next((why(one.reason) for one, _ in found if one.value is None), None)
        who = display_name(judge)
        told.append(f"{who}{flag} {' and '.join(clauses)}" if clauses else f"{who} cannot say: {reason}")
    quality = []
    for name, words in (("ssim_inside", "structural similarity {}"), ("landmark_error", "landmarks off by {}")):
        value = metric_of(metrics.get(f"utility/{name}"))
        if value.value is not None:
            quality.append(words.format(f"{value.value:.{decimals(value)}f}"))
    text = f"After {choices.get('masking')}, " + ("; ".join(told) or "no judge looked") + "."
    return text + (f" Quality: {', '.join(quality)}." if quality else "")


def photos_of(n: int, people: int | None) -> str:
    """Who the figures are about."""
    photos = f"{n} photo{'' if n == 1 else 's'}"
    if people is None:
        return f"{photos}."
    if people == 1:
        return f"{photos} of one person: nothing is said about anybody else."
    return f"{photos} of {people} people."
