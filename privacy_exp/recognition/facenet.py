"""FaceNet: an Inception-ResNet v1 with a linear head, its 0-255 scaling inside."""

import pickle
from pathlib import Path
from typing import Any, final

import torch
from facenet_pytorch import InceptionResnetV1
from facenet_pytorch.models.inception_resnet_v1 import get_torch_home
from jaxtyping import Float
from torch import Tensor, nn

from privacy_exp.recognition.base import Recognizer, cover
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.recognition.weights import load_weights
from privacy_exp.types import Images, UserError

WEIGHTS = {
    "vggface2": "20180402-114759-vggface2.pt",
    "casia-webface": "20180408-102900-casia-webface.pt",
}
RELEASE = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
FEATURES = 512
HEADS = ("linear", "relu_linear")
SMALLEST = 75
PRETRAINED = FitRecipe(max_epochs=30, lr=2e-3, patience=10)
"""How a head on a published trunk is trained."""


@final
class FaceNet(Recognizer):
    """Inception-ResNet v1, with random weights or with published ones (`from_pretrained`).

    Frames of any size are resized to cover a square of `image_size` and cropped at the centre.

    Args:
        pretrained: "vggface2" or "casia-webface": published weights of the trunk, fetched once into
            $TORCH_HOME/checkpoints; None starts from random ones.
        image_size: side of the square the trunk sees, in pixels; at least 75. The published weights want 160.
        dropout: share of pooled features dropped in training; without effect on a frozen trunk.
        freeze: see `Recognizer`.
        last_bn: whether the trunk ends with its BatchNorm; the original study took it out.
        head: "linear", or "relu_linear", which the original study put on top: a ReLU before the linear layer.
        legacy_scaling: feed [0, 1] pixels to a standardisation that expects 0-255, as the original study did: every
            image is then squeezed into [-0.996, -0.988].
        num_classes: see `Recognizer`.
        template: taken as every recogniser does and ignored: the network needs no alignment.

    Raises:
        UserError: a value out of range, or cached weights that are not whole.
        ConnectionError: from `for_people`: the published weights are not cached and can't be fetched.

    Example:
        >>> net = FaceNet(image_size=80).for_people(3)
        >>> net(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 3])

    Reference: Schroff et al., FaceNet, 2015; Szegedy et al., Inception-v4, 2016; weights of facenet-pytorch.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        image_size: int = 80,
        dropout: float = 0.2,
        freeze: str = "none",
        last_bn: bool = True,
        head: str = "linear",
        legacy_scaling: bool = False,
        num_classes: int | None = None,
        template: Float[Tensor, "5 2"] | None = None,
    ) -> None:
        del template
        if pretrained is not None and pretrained not in WEIGHTS:
            raise UserError(f"`pretrained` must be one of {', '.join(WEIGHTS)}, but got {pretrained!r}.")
        if image_size < SMALLEST:
            raise UserError(f"`image_size` must be at least {SMALLEST} pixels for FaceNet, but got {image_size}.")
        if not 0 <= dropout < 1:
            raise UserError(f"`dropout` must lie in [0, 1), but got {dropout}.")
        if head not in HEADS:
            raise UserError(f"`head` must be one of {', '.join(HEADS)}, but got {head!r}.")
        trunk = top = None
        if num_classes is not None:
            trunk = InceptionResnetV1(dropout_prob=dropout)
            # It then ends at the last BatchNorm: unit length is for `embed`, the head wants features as they are.
            trunk.classify = True
            trunk.logits = nn.Identity()
            if not last_bn:
                trunk.last_bn = nn.Identity()
            linear = nn.Linear(FEATURES, num_classes)
            top = linear if head == "linear" else nn.Sequential(nn.ReLU(), linear)
        super().__init__(trunk, top, num_classes, image_size, freeze)
        self.pretrained = pretrained
        self.legacy_scaling = legacy_scaling
        if pretrained is not None:
            self.recipe = PRETRAINED
        self.to(memory_format=torch.channels_last)

    @classmethod
    def from_pretrained(cls, name: str, *, image_size: int = 160, freeze: str = "trunk", **changes: Any) -> "FaceNet":
        """A FaceNet whose trunk was trained on other people's faces, and of which only the head is trained.

        Args:
            name: "vggface2" or "casia-webface".
            image_size: side of the square the trunk sees, in pixels; the weights were trained at 160.
            freeze: see `Recognizer`.
            **changes: the class's other arguments.

        Example:
            >>> FaceNet.from_pretrained("vggface2").arguments["image_size"]
            160
        """
        return cls(name, image_size=image_size, freeze=freeze, **changes)

    def load_start(self) -> None:
        """Loads the published weights, if any."""
        if self.pretrained is None:
            return
        state = published_weights(self.pretrained)
        wanted = self.trunk.state_dict()  # neither the classifier nor a BatchNorm that was taken out
        kept = {name: value for name, value in state.items() if name in wanted}
        load_weights(self.trunk, kept, _cached(self.pretrained), "the trunk of FaceNet")

    def prepare(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        """Covers the square, then (x - 127.5) / 128 on the 0-255 scale."""
        pixels = cover(images, self.image_size)
        if not self.legacy_scaling:
            pixels = pixels * 255
        return ((pixels - 127.5) / 128).contiguous(memory_format=torch.channels_last)


def _cached(name: str) -> Path:
    return Path(get_torch_home()) / "checkpoints" / WEIGHTS[name]


def published_weights(name: str) -> dict[str, Tensor]:
    """The state dict of facenet-pytorch's weights `name`, from the torch cache or from its release page."""
    path = _cached(name)
    try:
        return InceptionResnetV1(pretrained=name).state_dict()
    except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError) as error:
        raise UserError(
            f"The cached weights {path} are not whole ({str(error).splitlines()[0]}). Delete the file; the next run "
            f"fetches {RELEASE}{WEIGHTS[name]} again."
        ) from error
    except OSError as error:
        raise ConnectionError(
            f"`pretrained: {name}` needs {path}, which is not there, and fetching it failed ({error}). Where there is "
            f"a network, download {RELEASE}{WEIGHTS[name]} and put it there ($TORCH_HOME/checkpoints), or take "
            "`recognition=facenet_scratch` or `recognition=onnx`, which need no download."
        ) from error
