"""FaceNet's published weights as a judge."""

from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from privacy_exp.evaluation.judges.embedder import Embedder
from privacy_exp.evaluation.measure import Scene
from privacy_exp.recognition.alignment import align
from privacy_exp.recognition.facenet import WEIGHTS, FaceNet
from privacy_exp.types import Images, Landmarks


@final
class FaceNetEmbedder(Embedder):
    """Inception-ResNet v1 as published; faces are aligned to ArcFace's template at its size.

    Args:
        pretrained: "vggface2" or "casia-webface".
        image_size: side of its input, in pixels; the weights want 160.

    Raises:
        ConnectionError: the weights are not cached and can't be fetched.
        UserError: an unknown name, or a cached file that is not whole.
    """

    def __init__(self, pretrained: str = "vggface2", image_size: int = 160) -> None:
        self.pretrained = pretrained
        self.image_size = image_size
        self.net = FaceNet.from_pretrained(pretrained, image_size=image_size).for_people(2).eval()

    @property
    def comes_trained(self) -> bool:
        """Yes."""
        return True

    def fit(self, scene: Scene) -> None:
        """Moves the network to the run's device; it comes trained."""
        super().fit(scene)
        self.net.to(scene.device)

    def fields(self) -> dict[str, Any]:
        """The release's name and the size."""
        return {"facenet": WEIGHTS[self.pretrained], "image_size": self.image_size}

    def prepare(self, images: Images, landmarks: Landmarks) -> Float[Tensor, "n 3 s s"]:
        """Aligned crops on FaceNet's scale."""
        return self.net.prepare(align(images, landmarks, self.image_size))

    def features(self, crops: Tensor) -> Float[Tensor, "n 512"]:
        """The trunk's features."""
        with torch.inference_mode():
            return self.net.trunk(crops)
