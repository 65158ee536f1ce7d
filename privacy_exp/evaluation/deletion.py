"""Deletion curves: how recognition falls while pixels go in the order of a method."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from privacy_exp.evaluation.statistics.intervals import bootstrap_mean, clustered_rate, holm, sign_flip_test
from privacy_exp.masking.base import Masker
from privacy_exp.masking.explaining import evaluating
from privacy_exp.masking.filling import mean_filled
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces, Metric, Scores, UserError

Array = np.ndarray
FEWEST_PEOPLE = 20
"""Below it a paired test over people says nothing."""


@dataclass(frozen=True)
class Deletion:
    """What one method did to each image; averaged over seeds where the method draws.

    Attributes:
        labels: who is on it.
        known: whether the recogniser names the person on the original.
        prob: probability of the true identity at each share.
        right: how often (0 … 1) the first guess is still right at each share.
    """

    labels: Int[Array, " n"]
    known: Bool[Array, " n"]
    prob: Float[Array, "n shares"]
    right: Float[Array, "n shares"]


@torch.no_grad()
def delete(
    batches: Iterable[Faces],
    recognizer: Recognizer,
    masker: Masker,
    shares: Sequence[float],
    seeds: Sequence[int],
    scores: Callable[[int], Callable[[Faces], Scores]],
) -> Deletion:
    """Hides growing shares of the method's region, fills them with the mean of the rest and asks the recogniser.

    Args:
        batches: labelled photos.
        recognizer: asked about each.
        masker: the method; shares are relative to its region, so that every face loses the same part of it.
        shares: in [0, 1].
        seeds: of methods that draw; others use the first.
        scores: from a seed to what gives a batch's scores.
    """
    used = list(seeds) if masker.draws else list(seeds)[:1]
    sources = {seed: scores(seed) for seed in used}
    rows: list[tuple[Array, ...]] = []
    with evaluating(recognizer):
        for faces in batches:
            if faces.labels is None:
                raise UserError("deletion curves need photos of known people; use `data.labelled=true`.")
            known = (recognizer(faces.images).argmax(1) == faces.labels).cpu().numpy()
            found = [_ask(faces, recognizer, masker, shares, seed, source(faces)) for seed, source in sources.items()]
            prob, right = (np.mean([part[i] for part in found], axis=0) for i in (0, 1))
            rows.append((faces.labels.cpu().numpy(), known, prob, right))
    return Deletion(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _ask(
    faces: Faces, recognizer: Recognizer, masker: Masker, shares: Sequence[float], seed: int, scores: Scores
) -> tuple[Float[Array, "n shares"], Float[Array, "n shares"]]:
    """Probability of the true identity and whether it is the first guess, at each share."""
    rooms = masker.capacity(faces, recognizer)
    assert faces.labels is not None  # noqa: S101  `delete` has checked
    prob, right = [], []
    for share in shares:
        masks = masker.to_masks(faces, scores, [share * room for room in rooms], seed, recognizer)
        logits = recognizer(mean_filled(faces.images, masks)).float()
        prob.append(logits.softmax(1).gather(1, faces.labels[:, None])[:, 0].cpu().double())
        right.append((logits.argmax(1) == faces.labels).cpu().double())
    return torch.stack(prob, 1).numpy(), torch.stack(right, 1).numpy()


def area(prob: Float[Array, "n shares"], shares: Sequence[float]) -> Float[Array, " n"]:
    """Area under each image's curve (trapezoids) over the width of the shares: a mean probability, lower = better."""
    width = shares[-1] - shares[0]
    return np.asarray(np.trapezoid(prob, shares, axis=1) / width)


def curves(found: Mapping[str, Deletion], shares: Sequence[float], against: str) -> list[dict[str, Any]]:
    """Every method's curve, area and test, as plain values.

    `p_vs_random` is two-sided, by flipping the signs of whole people's differences in area to `against`, corrected by
    Holm over the methods; null with its reason where it can't be had.

    Args:
        found: by method.
        shares: of the region, rising.
        against: the method that all others are compared with.
    """
    areas = {name: area(d.prob, shares) for name, d in found.items()}
    labels = found[against].labels
    few = len(np.unique(labels)) < FEWEST_PEOPLE
    reason = f"fewer than {FEWEST_PEOPLE} people" if few else None
    others = [name for name in found if name != against]
    raw = [None if few else sign_flip_test(areas[name], areas[against], labels) for name in others]
    tested = [p for p in raw if p is not None]
    corrected = iter(holm(tested))
    p_values = {name: None if p is None else next(corrected) for name, p in zip(others, raw, strict=True)}
    rows = []
    for name, deletion in found.items():
        columns = [bootstrap_mean(deletion.prob[:, i], deletion.labels) for i in range(len(shares))]
        rows.append(
            {
                "method": name,
                "shares": list(shares),
                "prob": [m.value for m in columns],
                "prob_low": [m.low for m in columns],
                "prob_high": [m.high for m in columns],
                "fool_rate": [_fooled(deletion, i).value for i in range(len(shares))],
                "auc": _plain(bootstrap_mean(areas[name], deletion.labels)),
                "p_vs_random": p_values.get(name),
                "p_reason": "it is what the others are compared with" if name == against else reason,
                "auc_minus_random": float(np.mean(areas[name] - areas[against])),
            }
        )
    return rows


def _fooled(deletion: Deletion, i: int) -> Metric:
    """Share of the known images whose first guess is wrong."""
    wrong = 1 - deletion.right[deletion.known, i]
    if not len(wrong):
        return clustered_rate(wrong > 0, deletion.labels[deletion.known], "nothing was recognised on the originals")
    return bootstrap_mean(wrong, deletion.labels[deletion.known])


def _plain(metric: Metric) -> dict[str, Any]:
    return {"value": metric.value, "low": metric.low, "high": metric.high, "n": metric.n}
