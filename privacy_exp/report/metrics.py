"""What a record's metrics are called in tables and charts, and which way is better."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from privacy_exp.runs.answer import decimals
from privacy_exp.runs.names import display_name
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

WORDS = {
    "tar_cross_1e-2": ("TAR at FAR 1 %", "two photos of a person still accepted as one, at a false accept rate of 1 %"),
    "tar_cross_1e-3": ("TAR at FAR 0.1 %", "the same at a false accept rate of 0.1 %"),
    "tar_1e-2": ("TAR at FAR 1 %", "still accepted as the same person at a false accept rate of 1 %"),
    "clean_tar_1e-2": ("clean TAR at FAR 1 %", "the same on originals: what the observer can do at all"),
    "clean_tar_1e-3": ("clean TAR at FAR 0.1 %", "the same on originals at a false accept rate of 0.1 %"),
    "same_photo_1e-2": ("same photo, FAR 1 %", "results still accepted as their own original"),
    "same_photo_1e-3": ("same photo, FAR 0.1 %", "results still accepted as their own original"),
    "rank_1": ("rank 1", "people found first in a gallery of originals"),
    "rank_5": ("rank 5", "people found among the first five of a gallery"),
    "rank_10": ("rank 10", "people found among the first ten of a gallery"),
    "intrusion": ("intrusion", "results taken for somebody else, beyond what originals are"),
    "recovered_share": ("recovered share", "of its clean ability that an adaptive attacker regains"),
    "attribute_agreement": ("attributes kept", "attributes that a classifier names as before"),
    "landmark_error": ("landmark error", "by how much five points move, in eye distances"),
    "detection_rate": ("faces found", "results in which a face is found"),
    "detection_rate_original": ("faces found before", "originals in which a face is found"),
    "lpips": ("LPIPS", "perceptual distance to the original"),
    "kid": ("KID", "distance between the distributions of results and originals"),
    "fid": ("FID", "distance between the distributions of results and originals"),
    "ssim": ("SSIM", "structural similarity to the original (1 the same)"),
    "ssim_inside": ("SSIM inside", "structural similarity in the hidden part (1 the same)"),
    "ssim_outside": ("SSIM outside", "structural similarity in the part that was kept"),
    "psnr_inside": ("PSNR inside", "signal to noise in the hidden part, in decibels"),
    "psnr_outside": ("PSNR outside", "signal to noise in the part that was kept, in decibels"),
    "agreement": ("agreement", "photos of which an outside classifier says the same before and after"),
    "error": ("error", "mean change of an outside model's number, in its unit"),
    "black_share": ("black results", "results that are black: the painter failed"),
    "flat_share": ("flat results", "results of one colour: the painter failed"),
}
"""Last part of the name of a judge's, an attacker's or a utility figure to label and plain words."""

TELLING = (
    *("fool_rate", "control_fool_rate", "fool_rate_net", "strongest_observer", "accuracy"),
    *("tar_cross_1e-2", "tar_1e-2", "rank_1", "recovered_share"),
    *("attribute_agreement", "landmark_error", "detection_rate", "lpips", "ssim_inside", "ssim_outside"),
)
"""Last parts of names in the order of what they tell; where there is room for a few, these come first."""

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
    owner, _, last = rest.rpartition("/")
    if last in WORDS and group in ("utility", "judge", "attacker"):
        label, meaning = WORDS[last]
        who = " ".join(display_name(part) for part in owner.split("/") if part) if group != "utility" else ""
        return Described(name, f"{label}, {who}" if who else label, meaning, better(name))
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


def telling(metrics: Mapping[str, Metric], most: int) -> list[str]:
    """The figures that say most, at most so many: none by attribute, and none that says only that nothing broke."""

    def place(name: str) -> int:
        last = name.rpartition("/")[2]
        return TELLING.index(last) if last in TELLING else len(TELLING)

    def idle(name: str) -> bool:
        metric = metrics[name]
        broken = name.endswith(("/black_share", "/flat_share")) and metric.value == 0
        return broken or (metric.value is None and "infinite" in (metric.reason or ""))

    shown = [name for name in in_order(metrics) if not name.startswith("by/") and not idle(name)]
    return sorted(shown, key=place)[:most]


def as_text(metric: Metric, digits: int | None = None) -> str:
    """Value and 95 % interval as in every table of a report: 0.79 [0.70, 0.86], with ! where it is flagged.

    Args:
        metric: of a record.
        digits: after the point; None takes as many as the interval supports.
    """
    if metric.value is None:
        return "–"
    digits = decimals(metric) if digits is None else digits
    flag = " !" if metric.reason else ""
    if metric.low is None or metric.high is None or f"{metric.low:.{digits}f}" == f"{metric.high:.{digits}f}":
        return f"{metric.value:.{digits}f}{flag}"
    return f"{metric.value:.{digits}f} [{metric.low:.{digits}f}, {metric.high:.{digits}f}]{flag}"
