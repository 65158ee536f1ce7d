"""Class activation maps by pytorch-grad-cam, laid back onto the photo."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Generator, Tensor, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.explaining import explaining
from privacy_exp.masking.target import check_target, target_labels
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces, Logits, Scores


@dataclass(eq=False)
class ActivationMap(Masker):
    """Where the recogniser's feature map speaks for the identity; a subclass names the weighting.

    The map is made in the recogniser's own input frame and laid back onto the photo: a recogniser that crops or aligns
    sees another frame than the data's. What it never sees scores 0, and so does what the map's ReLU cuts.

    Args:
        target: "logit" explains the identity's logit, "similarity" the cosine similarity to the identity's mean
            embedding on the training photos.
    """

    cam: ClassVar[type[BaseCAM]]
    """The class of pytorch-grad-cam that weights the feature map."""

    draws = False

    target: str = "logit"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_target(self.target, ("logit", "similarity"))

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """The map of the recogniser's target layer at the data's size."""
        del generators  # nothing is drawn
        if not isinstance(recognizer, Recognizer):
            raise TypeError(
                f"`recognizer` must be a Recognizer with a target layer, but got {type(recognizer).__name__}."
            )
        labels = target_labels(faces, recognizer)
        targets = [_Score(int(label)) for label in labels]
        height, width = faces.images.shape[-2:]
        with explaining(recognizer, faces.images) as images, torch.enable_grad():
            network, inputs = _Head(recognizer, self.target), recognizer.prepare(images)
            maps = feature_maps(network, recognizer.target_layer, inputs, targets, self.library)
        return recognizer.locate(maps[:, None].to(faces.images.device), height, width)

    def library(self, network: nn.Module, layer: nn.Module) -> BaseCAM:
        """The library's object that weights the feature map of `layer`."""
        return type(self).cam(model=network, target_layers=[layer])


def feature_maps(
    network: nn.Module,
    layer: nn.Module,
    inputs: Float[Tensor, "n 3 s s"],
    targets: Sequence[Callable[[Tensor], Tensor]],
    library: Callable[[nn.Module, nn.Module], BaseCAM] = lambda network, layer: GradCAM(network, [layer]),
) -> Float[Tensor, "n s s"]:
    """pytorch-grad-cam's maps in [0, 1], one per input, at the input's size.

    The gradient is needed from the network's end back to `layer` and no further: there the graph begins, which saves
    the larger part of the backward pass.

    Args:
        network: gives one output per input.
        layer: whose feature map is weighted.
        inputs: what the network takes.
        targets: from an input's output to the figure that is explained.
        library: makes the object that weights the map.
    """
    start = layer.register_forward_hook(lambda module, inputs, output: output.detach().requires_grad_(True))
    try:
        with library(network, layer) as cam:
            return torch.from_numpy(cam(input_tensor=inputs.detach(), targets=list(targets)))
    finally:
        start.remove()


class _Score:
    """One identity's output, which pytorch-grad-cam differentiates."""

    def __init__(self, label: int) -> None:
        self.label = label

    def __call__(self, output: Float[Tensor, " k"]) -> Float[Tensor, ""]:
        return output[self.label]


class _Head(nn.Module):
    """The recogniser from its prepared input on, with one output per identity."""

    def __init__(self, recognizer: Recognizer, target: str) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.target = target

    def forward(self, inputs: Float[Tensor, "n 3 s s"]) -> Logits:
        features = self.recognizer.trunk(inputs)
        if self.target == "logit":
            logits: Logits = self.recognizer.head(features)
            return logits
        return F.normalize(features, dim=1) @ self.recognizer.identity_means().mT
