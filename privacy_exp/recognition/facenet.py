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
from privacy_exp.types import Images, UserError

WEIGHTS = {
    "vggface2": "20180402-114759-vggface2.pt",
    "casia-webface": "20180408-102900-casia-webface.pt",
}
RELEASE = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
FEATURES = 512
HEADS = ("linear", "relu_linear")
SMALLEST = 75


@final
class FaceNet(Recognizer):
    """Inception-ResNet v1 with random weights; `from_pretrained` loads published ones.

    Frames of any size are resized to cover a square of `image_size` and cropped at the centre.

    Args:
        num_classes: the number of identities.
        image_size: side of the square the trunk sees, in pixels; at least 75. The published weights want 160.
        dropout: share of pooled features dropped in training; without effect on a frozen trunk.
        freeze: see `Recognizer`.
        last_bn: whether the trunk ends with its BatchNorm; the original study took it out.
        head: "linear", or "relu_linear", which the original study put on top: a ReLU before the linear layer.
        legacy_scaling: feed [0, 1] pixels to a standardisation that expects 0-255, as the original study did: every
            image is then squeezed into [-0.996, -0.988].
        template: taken as every recogniser does and ignored: the network needs no alignment.

    Reference: Schroff et al., FaceNet, 2015; Szegedy et al., Inception-v4, 2016; weights of facenet-pytorch.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: int = 160,
        dropout: float = 0.2,
        freeze: str = "none",
        last_bn: bool = True,
        head: str = "linear",
        legacy_scaling: bool = False,
        template: Float[Tensor, "5 2"] | None = None,
    ) -> None:
        del template
        if image_size < SMALLEST:
            raise UserError(f"`image_size` must be at least {SMALLEST} pixels for FaceNet, but got {image_size}.")
        if not 0 <= dropout < 1:
            raise UserError(f"`dropout` must lie in [0, 1), but got {dropout}.")
        if head not in HEADS:
            raise UserError(f"`head` must be one of {', '.join(HEADS)}, but got {head!r}.")
        trunk = InceptionResnetV1(dropout_prob=dropout)
        # Its forward then ends at the last BatchNorm: unit length is for `embed`, the head wants features as they are.
        trunk.classify = True
        trunk.logits = nn.Identity()
        if not last_bn:
            trunk.last_bn = nn.Identity()
        linear = nn.Linear(FEATURES, num_classes)
        top = linear if head == "linear" else nn.Sequential(nn.ReLU(), linear)
        config = {
            "image_size": image_size,
            "dropout": dropout,
            "freeze": freeze,
            "last_bn": last_bn,
            "head": head,
            "legacy_scaling": legacy_scaling,
        }
        super().__init__(trunk, top, num_classes, image_size, freeze, config)
        self.legacy_scaling = legacy_scaling
        self.to(memory_format=torch.channels_last)

    @classmethod
    def from_pretrained(cls, num_classes: int, pretrained: str, **kwargs: Any) -> "FaceNet":
        """A FaceNet whose trunk was trained on other people's faces; fetched once, then cached.

        Args:
            num_classes: the number of identities.
            pretrained: "vggface2" or "casia-webface".
            **kwargs: the class's other arguments.

        Raises:
            UserError: an unknown name, or a cached file that is not whole.
            ConnectionError: the weights are not cached and can't be fetched.
        """
        net = cls(num_classes, **kwargs)
        state = published_weights(pretrained)
        wanted = net.trunk.state_dict()  # neither the classifier nor a BatchNorm that was taken out
        net.trunk.load_state_dict({name: value for name, value in state.items() if name in wanted})
        return net

    def prepare(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        """Covers the square, then (x - 127.5) / 128 on the 0-255 scale."""
        pixels = cover(images, self.image_size)
        if not self.legacy_scaling:
            pixels = pixels * 255
        return ((pixels - 127.5) / 128).contiguous(memory_format=torch.channels_last)


def published_weights(name: str) -> dict[str, Tensor]:
    """The state dict of facenet-pytorch's weights `name`, from the torch cache or from its release page."""
    if name not in WEIGHTS:
        raise UserError(f"`pretrained` must be one of {', '.join(WEIGHTS)}, but got {name!r}.")
    path = Path(get_torch_home()) / "checkpoints" / WEIGHTS[name]
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
