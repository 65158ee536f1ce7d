"""The original study's Grad-CAM."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from privacy_exp.masking.activation import feature_maps
from privacy_exp.masking.explaining import evaluating, explaining
from privacy_exp.masking.original_frame import OriginalMethod
from privacy_exp.masking.target import target_labels
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.onnx import IMAGENET_MEAN, IMAGENET_STD, OnnxRecognizer
from privacy_exp.types import Faces, Images, Scores, UserError


@dataclass(eq=False, kw_only=True)
class OriginalGradCAM(OriginalMethod):
    """Grad-CAM of the similarity to one reference photo, cut at a fixed level: the hidden area floats.

    The photo goes into the trunk as the study fed it, squashed to `size` and through ImageNet's statistics instead of
    the network's own. The reference, the identity's first training photo, does so too, but on a scale of 0-255.

    Args:
        target_layer: module of the trunk whose map is weighted.
        threshold: pixels are hidden where floor(255 · map) exceeds it.
        reference_scale: what the reference photo's pixels in [0, 1] are multiplied by before normalisation.
        crop: see `OriginalMethod`.
        size: see `OriginalMethod`.
        stretch: see `OriginalMethod`.

    Example:
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(2).eval()
        >>> faces = Faces(["a", "b"], torch.rand(2, 3, 64, 64), torch.tensor([0, 1]))
        >>> method = OriginalGradCAM(target_layer="layer3", size=64)
        >>> method.fit([faces], net)
        >>> method.mask(faces, net).shape
        torch.Size([2, 1, 64, 64])
    """

    draws = False

    target_layer: str = "block8.branch1"
    threshold: int = 120
    reference_scale: float = 255.0
    crop: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold <= 255:
            raise UserError(f"`threshold` must lie in [0, 255], but got {self.threshold}.")
        self._references: dict[int, Tensor] = {}

    @torch.no_grad()
    def fit(self, train: Iterable[Faces], recognizer: nn.Module | None) -> None:
        """Keeps the features of each identity's first training photo.

        Raises:
            UserError: no recogniser, or one without a trunk of its own.
        """
        net = _with_trunk(recognizer)
        self._references = {}
        with evaluating(net):
            for faces in train:
                labels = [] if faces.labels is None else faces.labels.tolist()
                new = [i for i, label in enumerate(labels) if label not in (*self._references, *labels[:i])]
                if new:
                    images = faces.images[new].to(next(net.parameters()).device)
                    found = net.trunk(self._prepare(images, self.reference_scale))
                    self._references |= {labels[i]: row for i, row in zip(new, found, strict=True)}
                if len(self._references) == net.num_classes:
                    break

    def scoring_keys(self) -> dict[str, Any]:
        """See `BaseMasker`; the references decide too."""
        total = hashlib.sha256()
        for label, row in sorted(self._references.items()):
            total.update(f"{label}".encode() + row.detach().cpu().numpy().tobytes())
        return {**super().scoring_keys(), "references": total.hexdigest()}

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """1 where the map is above the threshold."""
        del generators  # nothing is drawn
        net = _with_trunk(recognizer)
        labels = target_labels(faces, net).tolist()
        unknown = sorted({label for label in labels if label not in self._references})
        if unknown:
            raise UserError(
                f"original_grad_cam compares with a reference photo, but there is none of identity {unknown[0]} among "
                "the training photos; it needs labelled training data: run it with `python -m privacy_exp.train`."
            )
        targets = [_SimilarityTo(self._references[label]) for label in labels]
        with explaining(net, faces.images) as images, torch.enable_grad():
            layer = net.trunk.get_submodule(self.target_layer)
            maps = feature_maps(net.trunk, layer, self._prepare(images, 1.0), targets)
        return ((255 * maps).floor() > self.threshold).float()[:, None].to(faces.images.device)

    def _prepare(self, images: Images, scale: float) -> Float[Tensor, "n 3 s s"]:
        """Squashed (or cropped and enlarged), then through ImageNet's statistics."""
        square = F.interpolate(
            self.cropped(Faces([""] * len(images), images)), (self.size, self.size), mode="bilinear", antialias=True
        )
        mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return ((square * scale - mean) / std).contiguous(memory_format=torch.channels_last)


class _SimilarityTo:
    """Cosine similarity of features to the reference's."""

    def __init__(self, reference: Float[Tensor, " d"]) -> None:
        self.reference = reference

    def __call__(self, features: Float[Tensor, " d"]) -> Float[Tensor, ""]:
        return F.cosine_similarity(features, self.reference, dim=0)


def _with_trunk(recognizer: nn.Module | None) -> Recognizer:
    if not isinstance(recognizer, Recognizer):
        raise UserError(
            f"original_grad_cam explains a recogniser's trunk, but got {type(recognizer).__name__}: give one with "
            "recognition.checkpoint=RUN_OR_FILE."
        )
    if isinstance(recognizer, OnnxRecognizer):
        raise UserError(
            "original_grad_cam feeds the trunk whole pictures of another size, which an ONNX graph with its alignment "
            "does not take; use masking=grad_cam, or a FaceNet (recognition=original, facenet_vggface2, ...)."
        )
    return recognizer
