"""dlib's ResNet face embedder as a judge (extra `dlib`)."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from privacy_exp.cache.keys import file_digest
from privacy_exp.evaluation.judges.embedder import Embedder
from privacy_exp.recognition.alignment import similarity, warp
from privacy_exp.types import Images, Landmarks, UserError

SIZE = 150
"""Side of dlib's face chips, in pixels."""

TEMPLATE = ((47.55, 46.60), (100.48, 46.60), (74.01, 76.56), (50.41, 103.02), (97.61, 103.02))
"""The five points on dlib's mean face in a chip with padding 0.25: eye centres, nose tip, corners of the mouth."""

WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"


@final
class DlibEmbedder(Embedder):
    """dlib's 128-number embedding of aligned chips of 150 pixels; runs on the CPU, a tenth of a second a face.

    Args:
        model: path of the weights; None takes those that come with the package face-recognition-models.

    Raises:
        ImportError: dlib is not installed.
        FileNotFoundError: no weights.

    Reference: King, Dlib-ml, 2009; dlib_face_recognition_resnet_model_v1.
    """

    def __init__(self, model: str | None = None) -> None:
        try:
            dlib = importlib.import_module("dlib")
        except ImportError as error:
            raise UserError("`judge=dlib` needs dlib: install the extra, `pip install privacy-exp[dlib]`.") from error
        self.path = _packaged_weights() if model is None else Path(model).expanduser()
        if not self.path.is_file():
            raise FileNotFoundError(f"`judge.dlib.embedder.model` must be dlib's weights, but there is no {self.path}.")
        self.net = dlib.face_recognition_model_v1(str(self.path))

    def fields(self) -> dict[str, Any]:
        """The hash of the weights and the template."""
        return {"dlib": file_digest(self.path), "template": [list(point) for point in TEMPLATE]}

    def prepare(self, images: Images, landmarks: Landmarks) -> Tensor:
        """Chips as dlib cuts them, n 150 150 3 in whole numbers of 0-255."""
        target = torch.tensor(TEMPLATE).to(landmarks).expand_as(landmarks)
        chips = warp(images, similarity(landmarks, target).to(images), (SIZE, SIZE))
        return (chips * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu()

    def features(self, crops: Tensor) -> Float[Tensor, "n 128"]:
        """One descriptor a chip."""
        found = self.net.compute_face_descriptor(list(crops.numpy()))
        return torch.tensor([list(one) for one in found])


def _packaged_weights() -> Path:
    """The .dat file inside face-recognition-models, found without importing it: that needs the vanished pkg_resources.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "`judge=dlib` needs the weights of face-recognition-models: install the extra, `pip install "
            "privacy-exp[dlib]`, or give `judge.dlib.embedder.model=FILE`."
        )
    return Path(spec.submodule_search_locations[0]) / "models" / WEIGHTS
