"""Any exported face embedder (ArcFace, AdaFace, MobileFaceNet) through onnxruntime."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import onnxruntime
import torch
from jaxtyping import Float
from onnxruntime.capi import onnxruntime_pybind11_state as state
from torch import Tensor

from privacy_exp.cache.content import content_digest
from privacy_exp.evaluation.judges.embedder import Embedder, grey_pictures
from privacy_exp.recognition.alignment import arcface_points, similarity, warp
from privacy_exp.recognition.onnx import IMAGENET_MEAN, IMAGENET_STD
from privacy_exp.types import Images, Landmarks, UserError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
}
"""What a graph may take; crops are cast to it."""

SHORTEST = 8
"""Fewer numbers than this tell no people apart: they are a norm, a quality or a class."""


class _Input(NamedTuple):
    """The one input of a graph: its batch size where that is fixed, and whether its channels come last."""

    name: str
    batch_size: int | None
    dtype: torch.dtype
    channels_last: bool


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
        self.input = _input(self.session, self.path, image_size)
        if self.input.dtype == torch.uint8 and not self._whole_numbers():
            raise UserError(
                f"{self.path} takes whole numbers of 0 to 255 (uint8) and scales them itself: set `mean` to [0, 0, 0] "
                f"and `std` to [0.00392157, 0.00392157, 0.00392157], but got {self.mean.flatten().tolist()} and "
                f"{self.std.flatten().tolist()}."
            )
        self.asked = output
        self.output = self._output(output)

    def fields(self) -> dict[str, Any]:
        """The file's hash and how faces are brought before it."""
        return {
            "onnx": content_digest(self.path),
            "image_size": self.image_size,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            "channels": self.channels,
            "template": self.template.tolist(),
            **({} if self.asked is None else {"output": self.asked}),
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
        size = self.input.batch_size or len(crops)
        outputs = []
        for chunk in crops.split(size):
            filled = torch.cat([chunk, chunk.new_zeros(size - len(chunk), *chunk.shape[1:])])
            (vectors,) = self._run(filled, [self.output])
            if vectors.ndim != 2 or len(vectors) != size:
                raise UserError(f"{self.path} gives {tuple(vectors.shape)} for {size} faces, not a vector for each.")
            outputs.append(vectors[: len(chunk)])
        return torch.cat(outputs)

    def _run(self, crops: Tensor, outputs: list[str] | None) -> list[Tensor]:
        if self.input.channels_last:
            crops = crops.permute(0, 2, 3, 1)
        if self.input.dtype == torch.uint8:
            crops = crops.round().clamp(0, 255)
        fed = crops.to(self.input.dtype).contiguous().cpu().numpy()
        return [
            torch.from_numpy(np.asarray(found)).float() for found in self.session.run(outputs, {self.input.name: fed})
        ]

    def _whole_numbers(self) -> bool:
        """Whether normalised pixels are those of 0 to 255."""
        return bool((self.mean.abs() < 1e-6).all() and ((self.std * 255 - 1).abs() < 0.01).all())

    def _output(self, asked: str | None) -> str:
        """The name of the output that is the embedding: the one asked for, or the only one.

        Raises:
            UserError: there are several, none of this name, or it gives no embedding of two grey pictures.
        """
        names = [one.name for one in self.session.get_outputs()]
        crops = grey_pictures(self.image_size)[: self.input.batch_size or 2]
        crops = (crops - self.mean) / self.std
        try:
            found = dict(zip(names, self._run(crops, None), strict=True))
        except Exception as error:  # onnxruntime's own classes have no common base but this
            raise UserError(f"{self.path} cannot be asked about two grey pictures: {str(error)[:300]}") from error
        shown = ", ".join(f"{name} of {tuple(values.shape)}" for name, values in found.items())
        if asked is None and len(names) > 1:
            likely = max(names, key=lambda name: found[name].numel())
            raise UserError(
                f"{self.path} has several outputs, of which one is the embedding: {shown}. Say which with `output`: "
                f"judge.onnx.embedder.output={likely}."
            )
        name = names[0] if asked is None else asked
        if name not in found:
            raise UserError(f"`output` must be one of the outputs of {self.path}, {shown}, but got {asked!r}.")
        vectors = found[name]
        if vectors.ndim != 2 or len(vectors) != len(crops) or vectors.shape[1] < SHORTEST:
            raise UserError(
                f"{self.path} gives {shown} for {len(crops)} grey pictures: a face embedder gives one vector of at "
                f"least {SHORTEST} numbers for each. Is this the graph of the embedding, and `output` its name?"
            )
        if not vectors.isfinite().all():
            raise UserError(
                f"{self.path} gives NaN or infinite numbers for grey pictures: check `mean` and `std`, and export it "
                "in single precision where it is a half one."
            )
        return name


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


def _input(session: onnxruntime.InferenceSession, path: Path, image_size: int) -> _Input:
    """The graph's one input.

    Raises:
        UserError: several, or of another shape, size or type.
    """
    inputs = session.get_inputs()
    shapes = [[side if isinstance(side, int) else None for side in one.shape] for one in inputs]
    four = len(shapes) == 1 and len(shapes[0]) == 4
    last = four and shapes[0][3] == 3 and shapes[0][1] != 3
    if not four or (not last and shapes[0][1] not in (None, 3)):
        raise UserError(f"{path} must take one input of shape batch x 3 x height x width, but takes {shapes}.")
    sides = shapes[0][1:3] if last else shapes[0][2:]
    if any(side not in (None, image_size) for side in sides):
        raise UserError(f"`image_size` must be the graph's own {sides[0]} x {sides[1]}, but got {image_size}.")
    if inputs[0].type not in DTYPES:
        raise UserError(f"{path} takes {inputs[0].type}; a judge's graph may take {', '.join(DTYPES)}. Export it anew.")
    return _Input(inputs[0].name, shapes[0][0], DTYPES[inputs[0].type], last)
