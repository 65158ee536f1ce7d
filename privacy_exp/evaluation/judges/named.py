"""Judges by what they see with: an embedder and the judge around it in one call."""

from collections.abc import Sequence

from privacy_exp.evaluation.judges.dlib import DlibEmbedder
from privacy_exp.evaluation.judges.facenet import FaceNetEmbedder
from privacy_exp.evaluation.judges.independent import IndependentEmbedder
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.evaluation.judges.onnx import OnnxEmbedder
from privacy_exp.recognition.onnx import IMAGENET_MEAN, IMAGENET_STD


class OnnxJudge(Judge):
    """Any exported face embedder as a judge; see `OnnxEmbedder`.

    Args:
        model: path of the .onnx file.
        image_size: side of its input, in pixels.
        mean: of its normalisation, RGB in [0, 1].
        std: of its normalisation, RGB in [0, 1].
        channels: order it expects, "rgb" or "bgr".
        detect: see `Judge`.
        gate: see `Judge`.
        fars: see `Judge`.
    """

    def __init__(
        self,
        model: str,
        image_size: int = 112,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        channels: str = "rgb",
        detect: bool = True,
        gate: float = 0.9,
        fars: Sequence[float] = (0.01, 0.001),
    ) -> None:
        super().__init__(OnnxEmbedder(model, image_size, mean, std, channels), detect, gate, fars)


class DlibJudge(Judge):
    """dlib's embedder as a judge (extra `dlib`).

    Args:
        model: path of the weights; None takes those that come with the package face-recognition-models.
        detect: see `Judge`.
        gate: see `Judge`.
        fars: see `Judge`.
    """

    def __init__(
        self,
        model: str | None = None,
        detect: bool = True,
        gate: float = 0.9,
        fars: Sequence[float] = (0.01, 0.001),
    ) -> None:
        super().__init__(DlibEmbedder(model), detect, gate, fars)


class FaceNetJudge(Judge):
    """FaceNet as published as a judge; its weights are fetched once.

    Args:
        pretrained: "vggface2" or "casia-webface".
        detect: see `Judge`.
        gate: see `Judge`.
        fars: see `Judge`.
    """

    def __init__(
        self,
        pretrained: str = "vggface2",
        detect: bool = True,
        gate: float = 0.9,
        fars: Sequence[float] = (0.01, 0.001),
    ) -> None:
        super().__init__(FaceNetEmbedder(pretrained), detect, gate, fars)


class IndependentJudge(Judge):
    """A small residual network of its own, fitted to the run's clean training photos; see `IndependentEmbedder`.

    Args:
        seed: of its weights and order.
        gate: see `Judge`.
        fars: see `Judge`.

    Example:
        >>> IndependentJudge(seed=7).viewer.embedder.seed
        7
    """

    def __init__(self, seed: int = 1000, gate: float = 0.9, fars: Sequence[float] = (0.01, 0.001)) -> None:
        super().__init__(IndependentEmbedder(seed=seed), False, gate, fars)
