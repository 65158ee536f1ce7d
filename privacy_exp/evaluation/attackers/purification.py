"""A7: washes the picture before the target looks at it."""

from collections.abc import Callable
from typing import final

import numpy as np
import torch
from jaxtyping import Bool

from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.attackers.closed_set import flagged, named
from privacy_exp.evaluation.attackers.filters import add_noise, median_filter, recompress
from privacy_exp.evaluation.attackers.pictures import check_photos
from privacy_exp.evaluation.measure import Findings, Measure, Scene, recovered_share
from privacy_exp.evaluation.statistics.intervals import interval_of_maximum, resampled_sums
from privacy_exp.inpainting.controls import gaussian_blur
from privacy_exp.types import Images, Metric, UserError

Array = np.ndarray

Wash = Callable[[list[str], Images], Images]
"""Image ids and pictures to pictures."""


@final
class Purification(Measure):
    """Undoes what is brittle in a protection: JPEG, blur, noise or a median filter; the best of them counts.

    The best is chosen on the very pictures that it is reported on: an upper figure, whose interval is that of the
    maximum. Each filter is an observer of its own in `strongest_observer`.

    Args:
        jpeg: quality in [1, 95].
        blur: standard deviation of a Gaussian, as a share of the frame's shorter side, in (0, 1].
        noise: standard deviation of Gaussian noise, pixels being in [0, 1].
        median: side of the median filter in pixels, odd, at least 3.
        batch_size: pictures at a time.
    """

    def __init__(
        self, jpeg: int = 50, blur: float = 0.015, noise: float = 0.05, median: int = 3, batch_size: int = 32
    ) -> None:
        if not 1 <= jpeg <= 95:
            raise UserError(f"`jpeg` is a quality in [1, 95], but got {jpeg}.")
        if not 0 < blur <= 1:
            raise UserError(f"`blur` is a share of the frame's shorter side in (0, 1], but got {blur}.")
        if noise <= 0:
            raise UserError(f"`noise` is a standard deviation above 0, but got {noise}.")
        if median < 3 or median % 2 == 0:
            raise UserError(f"`median` is an odd side of at least 3 pixels, but got {median}.")
        if batch_size < 1:
            raise UserError(f"`batch_size` must be at least 1, but got {batch_size}.")
        self.jpeg, self.blur, self.noise, self.median = jpeg, blur, noise, median
        self.batch_size = batch_size

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo."""
        check_photos(data)

    def washes(self, seed: int) -> dict[str, Wash]:
        """The four filters by name.

        Args:
            seed: of the noise, together with each image's id.
        """
        return {
            "jpeg": lambda ids, images: recompress(images, self.jpeg),
            "blur": lambda ids, images: gaussian_blur(images, self.blur * min(images.shape[-2:])),
            "noise": lambda ids, images: add_noise(ids, images, self.noise, seed),
            "median": lambda ids, images: median_filter(images, self.median),
        }

    def measure(self, scene: Scene, name: str) -> Findings:
        """Accuracy and recovered share of the best filter; the accuracy of each in the details."""
        right = {wash: self._right(scene, apply) for wash, apply in self.washes(scene.seed).items()}
        seen = {wash: named(scene, f"{name}/{wash}", hits) for wash, hits in right.items()}
        best = max(right, key=lambda wash: float(right[wash].mean()))
        accuracy = best_rate(list(right.values()), scene.table["label"].to_numpy())
        return Findings(
            metrics={
                f"{name}/accuracy": flagged(accuracy, seen[best]),
                f"{name}/recovered_share": recovered_share(*seen.values()),
            },
            outcomes=list(seen.values()),
            details={"best": best, "accuracy": {wash: float(hits.mean()) for wash, hits in right.items()}},
        )

    @torch.inference_mode()
    def _right(self, scene: Scene, wash: Wash) -> Bool[Array, " n"]:
        device = next(scene.recognizer.parameters()).device
        listing = scene.folder.list("results")
        ids = scene.table["image_id"].tolist()
        preds: list[int] = []
        for start in range(0, len(ids), self.batch_size):
            some = ids[start : start + self.batch_size]
            images = scene.folder.read([listing[i][0] for i in some])
            preds += scene.recognizer(wash(some, images).clamp(0, 1).to(device)).argmax(1).tolist()
        right: Bool[Array, " n"] = np.array(preds) == scene.table["label"].to_numpy()
        return right


def best_rate(hits: list[Bool[Array, " n"]], clusters: np.ndarray, draws: int = 2000, seed: int = 0) -> Metric:
    """The highest of several rates over the same pictures, with the interval of the maximum over resampled identities.

    Args:
        hits: of each way of looking, one a picture.
        clusters: identity of each picture.
        draws: resamples.
        seed: of the draws.
    """
    size = np.ones(len(clusters))
    *sums, sizes = resampled_sums(clusters, [*(h.astype(np.float64) for h in hits), size], draws, seed)
    low, high = interval_of_maximum(np.stack(sums) / sizes)
    value = max(float(h.mean()) for h in hits)
    return Metric(value, min(low, value), max(high, value), len(clusters))
