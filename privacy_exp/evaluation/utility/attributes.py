"""Whether a classifier still sees the same attributes (smile, glasses, hair, ...) on the result."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from privacy_exp.cache.sources import sources
from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.by_attribute import ATTRIBUTE
from privacy_exp.evaluation.measure import Findings, Measure, Scene
from privacy_exp.evaluation.statistics.intervals import Array, clustered_rate
from privacy_exp.evaluation.utility.pictures import mean_of_present, pictures
from privacy_exp.inpainting.training.classifier import SmallClassifier, as_targets, train_classifier
from privacy_exp.types import Images, Metric, UserError


class Attributes(Measure):
    """Agreement of an attribute classifier on original and result.

    A small network of its own, trained on the clean training photos and kept in the store; not the recogniser's
    features, which the anonymisation is aimed at.

    - `utility/attribute/<Name>`: share of photos of which it says the same before and after. Flagged "below_gate" where
      its balanced accuracy on the originals is under `gate`: it would mostly agree with itself for no reason;
    - `utility/attribute_agreement`: mean over the attributes that pass; `utility/attribute_accuracy`: its plain
      accuracy on the originals over the same attributes.

    Args:
        epochs: passes over the training photos.
        image_size: side of the square that the classifier sees, in pixels; a multiple of 16.
        gate: lowest balanced accuracy on the original test photos with which an attribute counts.
        fewest_photos: an attribute is left out unless so many training photos have it, and so many have not.
        max_photos: training photos at most, spread evenly.
        seed: of the classifier.
        batch_size: photos at a time.
    """

    def __init__(
        self,
        epochs: int = 30,
        image_size: int = 64,
        gate: float = 0.7,
        fewest_photos: int = 10,
        max_photos: int = 10_000,
        seed: int = 0,
        batch_size: int = 32,
    ) -> None:
        if image_size < 16 or image_size % 16:
            raise UserError(f"`image_size` must be a positive multiple of 16 pixels, but got {image_size}.")
        if epochs < 1:
            raise UserError(f"`epochs` must be at least 1, but got {epochs}.")
        if not 0.5 <= gate <= 1:
            raise UserError(f"`gate` must lie in [0.5, 1], 0.5 being a guess, but got {gate}.")
        self.epochs = epochs
        self.image_size = image_size
        self.gate = gate
        self.fewest_photos = fewest_photos
        self.max_photos = max_photos
        self.seed = seed
        self.batch_size = batch_size

    def measure(self, scene: Scene, name: str) -> Findings:
        """Trains or fetches the classifier and asks it about every original and result; see `Measure`."""
        group = name.partition("/")[0]
        n = len(scene.table)
        if scene.data is None:
            return _nothing(group, n, "a folder made elsewhere has no training photos")
        names = self.learnable(scene.data)
        names = [one for one in names if ATTRIBUTE + one in scene.table]
        if not names:
            return _nothing(group, n, "the data has no attribute with enough training photos of both values")
        classifier = self.classifier(scene, names)
        said = [
            self._ask(classifier, batch.originals, batch.results) for batch in pictures(scene.folder, self.batch_size)
        ]
        before, after = (np.concatenate([part[i] for part in said]) for i in (0, 1))
        truth = scene.table[[ATTRIBUTE + one for one in names]].to_numpy(bool)
        return self._findings(group, names, before, after, truth, scene.table["identity"].to_numpy(str))

    def learnable(self, data: FaceData) -> list[str]:
        """Attributes with enough training photos of both values."""
        rows = [photo.attributes for photo in data.photos["train"] if photo.attributes is not None]
        if not rows or len(rows) < len(data.photos["train"]):
            return []
        counts = {name: sum(bool(row[name]) for row in rows) for name in sorted(rows[0])}
        return [name for name, k in counts.items() if min(k, len(rows) - k) >= self.fewest_photos]

    def classifier(self, scene: Scene, names: Sequence[str]) -> SmallClassifier:
        """The classifier of these attributes, from the store where it is."""
        data = scene.data
        assert data is not None  # noqa: S101  `measure` has looked
        settings = {key: getattr(self, key) for key in ("epochs", "image_size", "max_photos", "seed")}
        fields: dict[str, Any] = {
            "data": data.digest(),
            "names": list(names),
            "code": sources(train_classifier.__module__),
            **settings,
        }

        def compute(folder: Path) -> None:
            photos = data.photos["train"]
            photos = photos[:: -(-len(photos) // self.max_photos)]
            parts = [
                self._square(data.faces(photos[i : i + self.batch_size]).images)
                for i in range(0, len(photos), self.batch_size)
            ]
            targets = as_targets([dict(photo.attributes or {}) for photo in photos], names)
            fitted = train_classifier(torch.cat(parts), targets, len(names), self.epochs, self.seed)
            save_file(fitted.state_dict(), folder / "classifier.safetensors")

        folder, _ = scene.store.fetch("attribute_classifier", fields, compute)
        classifier = SmallClassifier(len(names), self.image_size)
        classifier.load_state_dict(load_file(folder / "classifier.safetensors"))
        return classifier.eval()

    @torch.inference_mode()
    def _ask(self, classifier: SmallClassifier, *images: Images) -> list[Bool[Array, "n k"]]:
        return [(classifier(self._square(batch)) > 0).numpy() for batch in images]

    def _square(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        size = (self.image_size, self.image_size)
        return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)

    def _findings(
        self,
        group: str,
        names: Sequence[str],
        before: Bool[Array, "n k"],
        after: Bool[Array, "n k"],
        truth: Bool[Array, "n k"],
        people: Array,
    ) -> Findings:
        accuracy = {one: balanced_accuracy(before[:, i], truth[:, i]) for i, one in enumerate(names)}
        metrics = {}
        for i, one in enumerate(names):
            metric = clustered_rate(before[:, i] == after[:, i], people)
            known = accuracy[one]
            reason = "only one value among the test photos" if known is None else None
            reason = "below_gate" if known is not None and known < self.gate else reason
            metrics[f"{group}/attribute/{one}"] = Metric(metric.value, metric.low, metric.high, metric.n, reason)
        passed = np.array([(accuracy[one] or 0) >= self.gate for one in names])
        details = {"balanced_accuracy": accuracy, "counted": [one for one, ok in zip(names, passed, strict=True) if ok]}
        if not passed.any():
            found = _nothing(group, len(people), f"no attribute is told with a balanced accuracy of {self.gate:g}")
            return Findings(found.metrics | metrics, details=details)
        agreement = (before == after)[:, passed].mean(1)
        right = (before == truth)[:, passed].mean(1)
        metrics[f"{group}/attribute_agreement"] = mean_of_present(agreement, people, "no images")
        metrics[f"{group}/attribute_accuracy"] = mean_of_present(right, people, "no images")
        return Findings(metrics, {f"{group}/attribute_agreement": agreement}, details=details)


def balanced_accuracy(said: Bool[Array, " n"], truth: Bool[Array, " n"]) -> float | None:
    """Mean of the rates at which each value is told; None where only one value occurs."""
    if truth.all() or not truth.any():
        return None
    return float((np.mean(said[truth]) + np.mean(~said[~truth])) / 2)


def _nothing(group: str, n: int, reason: str) -> Findings:
    names = ("attribute_agreement", "attribute_accuracy")
    return Findings({f"{group}/{one}": Metric(None, None, None, n, reason) for one in names})
