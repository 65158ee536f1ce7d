"""Any exported face embedder (ArcFace, AdaFace, MobileFaceNet) through onnxruntime."""

import os
from collections.abc import Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from privacy_exp.evaluation.judges.embedder import Embedder
from privacy_exp.evaluation.judges.onnx_graph import OnnxGraph
from privacy_exp.recognition.alignment import arcface_points, similarity, warp
from privacy_exp.recognition.onnx import IMAGENET_MEAN, IMAGENET_STD
from privacy_exp.types import Images, Landmarks, UserError

SHORTEST = 8
"""Fewer numbers than this tell no people apart: they are a norm, a quality or a class."""


@final
class OnnxEmbedder(Embedder):
    """An ONNX graph: one aligned face in, one vector out.

    Crops are cast to the type that the graph takes, and turned where its channels come last. It is asked about two grey
    pictures at once, so that a graph that can't be a judge is refused before anything is painted.

    Args:
        model: path of the .onnx file.
        image_size: side of its input, in pixels.
        mean: of its normalisation, RGB in [0, 1].
        std: of its normalisation, RGB in [0, 1].
        channels: order it expects, "rgb" or "bgr".
        template: where it expects the five points, in pixels of its input; None takes ArcFace's, scaled.
        provider: "cpu" or "cuda" (onnxruntime-gpu).
        output: name of the output that is the embedding; needed where there are several.

    Raises:
        FileNotFoundError: no such file.
        UserError: no ONNX model that takes one image of this size and gives one vector, several outputs of which none
            is named, or a provider that is not there.

    Example:
        >>> OnnxEmbedder("adaface.onnx", channels="bgr", mean=[0.5] * 3, std=[0.5] * 3)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        image_size: int = 112,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        channels: str = "rgb",
        template: Sequence[Sequence[float]] | None = None,
        provider: str = "cpu",
        output: str | None = None,
    ) -> None:
        self.graph = OnnxGraph(os.fspath(model), image_size, mean, std, channels, provider, "judge.onnx.embedder")
        self.path, self.image_size = self.graph.path, image_size
        self.template = arcface_points(image_size) if template is None else torch.tensor(template).float()
        if self.template.shape != (5, 2):
            raise UserError(f"`template` must be five points (x, y), but got {tuple(self.template.shape)} numbers.")
        self.asked = output
        self.output = self._output(output)

    def fields(self) -> dict[str, Any]:
        """The file's hash and how faces are brought before it."""
        own = {"template": self.template.tolist(), **({} if self.asked is None else {"output": self.asked})}
        return self.graph.fields() | own

    def prepare(self, images: Images, landmarks: Landmarks) -> Float[Tensor, "n 3 s s"]:
        """Warps the five points onto the template, subtracts the mean and divides by the standard deviation."""
        target = self.template.to(landmarks).expand_as(landmarks)
        return self.graph.normalized(
            warp(images, similarity(landmarks, target).to(images), (self.image_size, self.image_size))
        )

    def features(self, crops: Tensor) -> Float[Tensor, "n d"]:
        """What the graph gives.

        Raises:
            UserError: the graph does not give one vector a face.
        """
        vectors = self.graph(crops, self.output)
        if vectors.ndim != 2:
            raise UserError(f"{self.path} gives {tuple(vectors.shape)} for {len(crops)} faces, not a vector for each.")
        return vectors

    def _output(self, asked: str | None) -> str:
        """The name of the output that is the embedding: the one asked for, or the only one.

        Raises:
            UserError: there are several, none of this name, or it gives no embedding of two grey pictures.
        """
        found = self.graph.try_out()
        name = self.graph.chosen(found, asked, "the embedding", "judge.onnx.embedder.output")
        vectors, count = found[name], self.graph.input.batch_size or 2
        if vectors.ndim != 2 or len(vectors) != min(count, 2) or vectors.shape[1] < SHORTEST:
            shown = ", ".join(f"{one} of {tuple(values.shape)}" for one, values in found.items())
            raise UserError(
                f"{self.path} gives {shown} for {min(count, 2)} grey pictures: a face embedder gives one vector of at "
                f"least {SHORTEST} numbers for each. Is this the graph of the embedding, and `output` its name?"
            )
        if not vectors.isfinite().all():
            raise UserError(
                f"{self.path} gives NaN or infinite numbers for grey pictures: check `mean` and `std`, and export it "
                "in single precision where it is a half one."
            )
        return name
