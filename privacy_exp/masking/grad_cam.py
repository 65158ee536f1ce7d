"""Class activation map of the recogniser's last convolutional layers."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pytorch_grad_cam import GradCAM as LibraryGradCAM
from torch import Generator, Tensor, nn

from privacy_exp.masking.base import Masker, target_labels
from privacy_exp.masking.explaining import explaining
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces, Logits, Scores

TARGETS = ("logit", "similarity")


class GradCAM(Masker):
    """Where the recogniser's feature map speaks for the identity, by pytorch-grad-cam.

    The map is made in the recogniser's own input frame and laid back onto the photo: a recogniser that crops or aligns
    sees another frame than the data's. What it never sees scores 0.

    Args:
        target: "logit" explains the identity's logit, "similarity" the cosine similarity to the identity's mean
            embedding on the training photos.
        granularity: see `Masker`.
        region: see `Masker`.

    Reference: Selvaraju et al., Grad-CAM, 2017.
    """

    def __init__(self, target: str = "logit", granularity: int = 8, region: str = "frame") -> None:
        super().__init__(granularity, region)
        if target not in TARGETS:
            raise ValueError(f"`target` must be one of {TARGETS}, but got {target!r}.")
        self.target = target

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """The class activation map of the target layer, enlarged to the data's size; 0 where its ReLU cuts."""
        del generators  # nothing is drawn
        if not isinstance(recognizer, Recognizer):
            raise TypeError(
                f"`recognizer` must be a Recognizer with a target layer, but got {type(recognizer).__name__}."
            )
        labels = target_labels(faces, recognizer)
        targets = [_Score(int(label)) for label in labels]
        height, width = faces.images.shape[-2:]
        with explaining(recognizer, faces.images) as images, torch.enable_grad():
            inputs = recognizer.prepare(images).detach().requires_grad_(True)
            network = _Head(recognizer, self.target)
            with LibraryGradCAM(model=network, target_layers=[recognizer.target_layer]) as cam:
                maps = torch.from_numpy(cam(input_tensor=inputs, targets=targets))
        return recognizer.locate(maps[:, None].to(faces.images.device), height, width)


class _Score:
    """One identity's output, which pytorch-grad-cam differentiates."""

    def __init__(self, label: int) -> None:
        self.label = label

    def __call__(self, output: Float[Tensor, " k"]) -> Float[Tensor, ""]:
        return output[self.label]


class _Head(nn.Module):
    """The recogniser from its prepared input on, with one output an identity."""

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
