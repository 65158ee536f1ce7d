"""Any exported face embedder (ArcFace, AdaFace, MobileFaceNet) through onnxruntime."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import onnxruntime
import torch
from jaxtyping import Float
from onnxruntime.capi import onnxruntime_pybind11_state as state
from torch import Tensor

from privacy_exp.cache.content import content_digest
from privacy_exp.evaluation.judges.embedder import Embedder
from privacy_exp.recognition.alignment import arcface_points, similarity, warp
from privacy_exp.recognition.onnx import IMAGENET_MEAN, IMAGENET_STD
from privacy_exp.types import Images, Landmarks, UserError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@final
class OnnxEmbedder(Embedder):
    """An ONNX graph: one aligned face in, one vector out.

    Args:
        model: path of the .onnx file.
        image_size: side of its input, in pixels.
        mean: of its normalisation, RGB in [0, 1].
        std: of its normalisation, RGB in [0, 1].
        channels: order it expects, "rgb" or "bgr".
        template: where it expects the five points, in pixels of its input; None takes ArcFace's, scaled.
        provider: "cpu" or "cuda" (onnxruntime-gpu).

    Raises:
        FileNotFoundError: no such file.
        UserError: no ONNX model that takes one image of this size, or a provider that is not there.
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
    ) -> None:
        if channels not in ("rgb", "bgr"):
            raise UserError(f"`channels` must be rgb or bgr, but got {channels!r}.")
        self.path = Path(model).expanduser()
        self.image_size = image_size
        self.channels = channels
        self.mean, self.std = (torch.tensor(list(v), dtype=torch.float32).view(3, 1, 1) for v in (mean, std))
        self.template = arcface_points(image_size) if template is None else torch.tensor(template).float()
        if self.template.shape != (5, 2):
            raise UserError(f"`template` must be five points (x, y), but got {tuple(self.template.shape)} numbers.")
        self.session = _session(self.path, provider)
        self.input, self.batch_size = _input(self.session, self.path, image_size)

    def fields(self) -> dict[str, Any]:
        """The file's hash and how faces are brought before it."""
        return {
            "onnx": content_digest(self.path),
            "image_size": self.image_size,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            "channels": self.channels,
            "template": self.template.tolist(),
        }

    def prepare(self, images: Images, landmarks: Landmarks) -> Float[Tensor, "n 3 s s"]:
        """Warps the five points onto the template, subtracts the mean and divides by the standard deviation."""
        target = self.template.to(landmarks).expand_as(landmarks)
        pixels = warp(images, similarity(landmarks, target).to(images), (self.image_size, self.image_size))
        crops = (pixels - self.mean.to(pixels)) / self.std.to(pixels)
        return crops.flip(1) if self.channels == "bgr" else crops

    def features(self, crops: Tensor) -> Float[Tensor, "n d"]:
        """What the graph gives; a graph exported for a fixed batch is fed that many at a time.

        Raises:
            UserError: the graph does not give one vector a face.
        """
        size = self.batch_size or len(crops)
        outputs = []
        for chunk in crops.split(size):
            filled = torch.cat([chunk, chunk.new_zeros(size - len(chunk), *chunk.shape[1:])])
            vectors = torch.from_numpy(self.session.run(None, {self.input: filled.cpu().numpy()})[0])
            if vectors.ndim != 2 or len(vectors) != size:
                raise UserError(f"{self.path} gives {tuple(vectors.shape)} for {size} faces, not a vector for each.")
            outputs.append(vectors[: len(chunk)])
        return torch.cat(outputs)


def _session(path: Path, provider: str) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise FileNotFoundError(
            f"`judge.onnx.embedder.model` must be an ONNX file, but {str(path)!r} is none. Give its path, or set the "
            "environment variable FACE_ONNX to it."
        )
    if provider not in PROVIDERS or PROVIDERS[provider] not in onnxruntime.get_available_providers():
        there = [name for name, long in PROVIDERS.items() if long in onnxruntime.get_available_providers()]
        raise UserError(
            f"`provider` must be one of {', '.join(there)} with this onnxruntime, but got {provider!r}; cuda needs "
            "the package onnxruntime-gpu."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # warnings about graph details are nothing a user can act on
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[PROVIDERS[provider]])
    except (state.Fail, state.InvalidProtobuf, state.InvalidGraph, state.NotImplemented) as error:
        raise UserError(f"{path} is not an ONNX model that onnxruntime can read ({str(error)[:200]}).") from error


def _input(session: onnxruntime.InferenceSession, path: Path, image_size: int) -> tuple[str, int | None]:
    """Name of the graph's one input, and its batch size where that is fixed."""
    inputs = session.get_inputs()
    shapes = [[side if isinstance(side, int) else None for side in one.shape] for one in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] not in (None, 3):
        raise UserError(f"{path} must take one input of shape batch x 3 x height x width, but takes {shapes}.")
    if any(side not in (None, image_size) for side in shapes[0][2:]):
        raise UserError(f"`image_size` must be the graph's own {shapes[0][2]} x {shapes[0][3]}, but got {image_size}.")
    return inputs[0].name, shapes[0][0]
