"""What a record's metrics are called in tables and charts, and which way is better."""

from collections.abc import Iterable
from dataclasses import dataclass

from privacy_exp.types import Metric

LABELS = {
    "strongest_observer": ("strongest observer", "recognition that the strongest observer keeps (1 all, 0 chance)"),
    "accuracy": ("clean accuracy", "clean accuracy of the recogniser"),
    "accuracy_anonymized": ("accuracy after", "its accuracy on the results"),
    "fool_rate": ("fool rate", "recognised before, not after"),
    "fool_rate_at_5": ("fool rate at 5", "recognised before, not among its first five after"),
    "control_fool_rate": ("control fool rate", "lost to the autoencoder alone, same mask"),
    "fool_rate_net": ("net fool rate", "fooled among those that the autoencoder alone leaves"),
    "share_hidden": ("share hidden", "hidden pixels / all pixels of the frame"),
    "share_changed": ("share changed", "pixels that differ / all pixels of the frame"),
}
"""Name in the record to short label and plain words, in the order of the tables."""

LOWER_IS_BETTER = (
    *("error", "loss", "lpips", "kid", "fid", "distance", "frechet"),
    *(
        "strongest_observer",
        "accuracy",
        "tar_",
        "same_photo",
        "rank",
        "recovered",
        "intrusion",
        "black_share",
        "flat_share",
    ),
)
"""Parts of names: losses of utility, and what an observer still recognises."""

HIGHER_IS_BETTER = ("fool_rate", "ssim", "psnr", "agreement", "detection", "detected")
"""Parts of names: protection and utility. They are looked for before the losses."""

NEITHER = (
    "share_hidden",
    "share_changed",
    "control_fool_rate",
    "clean_",
    "ceiling",
    "shuffled_labels",
    "original",
    "attribute_accuracy",
)
"""Parts of names that stand for context: neither more nor less of it is better. They are looked for first."""

UTILITY = tuple(
    f"utility/{name}"
    for name in ("attribute_agreement", "landmark_error", "detection_rate", "lpips", "ssim_inside", "kid", "fid")
)
"""What stands for utility where nothing is named, the first that has a value: what photos are kept for comes before
pixels. Outside the hidden part nothing changes but the file format."""

GROUPS = {
    "utility": "what else the results keep",
    "judge": "a held-out recogniser",
    "attacker": "an observer that adapts",
    "by": "the same for some people only",
    "minimal": "the area that was needed",
}
"""First part of a name to what its metrics are about."""


@dataclass(frozen=True)
class Described:
    """A metric in words.

    Attributes:
        name: in the record.
        label: a short heading.
        meaning: one clause.
        better: "higher", "lower", or None where neither is.
    """

    name: str
    label: str
    meaning: str
    better: str | None


def describe(name: str) -> Described:
    """Label, meaning and direction of a metric; unknown names are shown as they are.

    Args:
        name: as in the record, such as `fool_rate`, `judge/facenet/tar_cross_1e-2` or `utility/ssim_outside`.
    """
    if name in LABELS:
        return Described(name, *LABELS[name], better(name))
    group, _, rest = name.partition("/")
    words = rest.replace("_", " ").replace("/", " · ")
    label = words if group in ("utility", "by") else f"{group} {words}"
    return Described(name, label, GROUPS.get(group, ""), better(name))


def better(name: str) -> str | None:
    """Which way a metric is better for the people on the photos, or for the photos' use."""
    last = name.rpartition("/")[2]
    if name == "accuracy" or (last == "accuracy" and name.startswith("by/")) or _has(last, NEITHER):
        return None
    if _has(last, HIGHER_IS_BETTER):
        return "higher"
    return "lower" if _has(last, LOWER_IS_BETTER) else None


def _has(name: str, parts: Iterable[str]) -> bool:
    return any(part in name for part in parts)


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once: those that have a label first, in that order, then the others as they came; by attribute last."""
    present = dict.fromkeys(names)
    known = [name for name in LABELS if name in present]
    others = [name for name in present if name not in LABELS]
    return known + sorted(others, key=lambda name: name.startswith("by/"))


def as_text(metric: Metric) -> str:
    """Value and 95 % interval as in every table of a report: 0.792 [0.701, 0.861], with ! where it is flagged."""
    if metric.value is None:
        return "–"
    flag = " !" if metric.reason else ""
    if metric.low is None or metric.high is None or f"{metric.low:.3f}" == f"{metric.high:.3f}":
        return f"{metric.value:.3f}{flag}"
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]{flag}"
