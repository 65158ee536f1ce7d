"""Any ArcFace-style ONNX embedder as a differentiable recogniser, with a head trained on it."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import onnx
import onnx2torch
import torch
import torch.nn.functional as F
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from privacy_exp.recognition.alignment import arcface_points, similarity, warp
from privacy_exp.recognition.base import Recognizer, cover
from privacy_exp.types import Images, Logits, UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class CosineHead(nn.Module):
    """Scaled cosine similarity to one learnt direction an identity.

    Args:
        features: length of the embedding.
        num_classes: the number of identities.
        scale: logits lie in [-scale, scale].

    Reference: Wang et al., NormFace, 2017.
    """

    def __init__(self, features: int, num_classes: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_classes, features) / math.sqrt(features))
        self.scale = scale

    def forward(self, features: Float[Tensor, "n d"]) -> Logits:
        """Logits of features of any length."""
        return self.scale * F.normalize(features, dim=1) @ F.normalize(self.weight, dim=1).mT


@final
class OnnxFace(Recognizer):
    """An ONNX face embedder; `from_pretrained` reads it from a file.

    Args:
        num_classes: the number of identities.
        graph: the bytes of the ONNX file, so that a checkpoint needs no second file.
        image_size: side of the embedder's input, in pixels.
        mean: of its normalisation, RGB in [0, 1].
        std: of its normalisation, RGB in [0, 1].
        align: warp the frame so that the template's five points fall on ArcFace's; else cover the square and crop.
        template: five points (x, y) of the data's frames, in pixels; needed where `align` is true.
        freeze: see `Recognizer`.
        scale: see `CosineHead`.

    Raises:
        UserError: not an ONNX model, not an embedder of one face image, or an operator that can't be converted.
    """

    mean: Tensor
    std: Tensor
    template: Tensor

    def __init__(
        self,
        num_classes: int,
        graph: UInt8[Tensor, " bytes"],
        image_size: int = 112,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        align: bool = True,
        template: Float[Tensor, "5 2"] | None = None,
        freeze: str = "trunk",
        scale: float = 32.0,
    ) -> None:
        if align and template is None:
            raise UserError("`template` (five points of the data's frames) is needed to align; or set `align: false`.")
        trunk, features = convert(graph.numpy().tobytes(), image_size)
        config = {
            "graph": graph,
            "image_size": image_size,
            "mean": list(mean),
            "std": list(std),
            "align": align,
            "template": template,
            "freeze": freeze,
            "scale": scale,
        }
        head = CosineHead(features, num_classes, scale)
        super().__init__(trunk, head, num_classes, image_size, freeze, config)
        self.align = align
        self.register_buffer("mean", torch.tensor(list(mean)).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(3, 1, 1), persistent=False)
        self.register_buffer("template", torch.zeros(5, 2) if template is None else template.clone(), persistent=False)
        # Half the time on a CPU.
        self.to(memory_format=torch.channels_last)

    @classmethod
    def from_pretrained(cls, num_classes: int, model: str | os.PathLike[str], **kwargs: Any) -> "OnnxFace":
        """Reads the embedder from the file `model`; all else as the class takes it.

        Args:
            num_classes: the number of identities.
            model: path of an .onnx file.
            **kwargs: the class's other arguments.

        Raises:
            FileNotFoundError: no such file.
            UserError: see the class.
        """
        path = Path(model).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"`recognition.net.model` must be an ONNX file, but {str(model)!r} is none. Give its path, or set the "
                "environment variable FACE_ONNX to it."
            )
        try:
            return cls(num_classes, torch.from_numpy(np.fromfile(path, dtype=np.uint8)), **kwargs)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error

    def prepare(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        """Aligns (or crops), then subtracts the mean and divides by the standard deviation."""
        if self.align:
            matrix = self.frame(images.shape[2], images.shape[3]).to(images)
            pixels = warp(images, matrix.expand(len(images), 2, 3), (self.image_size, self.image_size))
        else:
            pixels = cover(images, self.image_size)
        return ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def frame(self, height: int, width: int) -> Float[Tensor, "2 3"]:
        """The alignment, or a resize and a centre crop."""
        if not self.align:
            return super().frame(height, width)
        target = arcface_points(self.image_size).to(self.template)
        return similarity(self.template[None], target[None])[0]


def convert(graph: bytes, image_size: int) -> tuple[nn.Module, int]:
    """An ONNX graph as a torch module, and the length of its embedding.

    Args:
        graph: the file's bytes.
        image_size: side of its square input, in pixels.

    Raises:
        UserError: see `OnnxFace`.
    """
    try:
        model = onnx.load_model_from_string(graph)
    except DecodeError as error:
        raise UserError("not an ONNX model (its bytes can't be decoded). Is the download whole?") from error
    _check_input(model, image_size)
    try:
        trunk = onnx2torch.convert(model)
    except NotImplementedError as error:
        raise UserError(
            f"onnx2torch can't convert an operator of this graph: {error} Export it anew with opset 13 or another "
            "framework's exporter."
        ) from error
    trunk.eval()
    try:
        with torch.no_grad():
            output = trunk(torch.zeros(2, 3, image_size, image_size))
    except RuntimeError as error:
        raise UserError(f"the graph does not take a batch of two images of {image_size} px: {error}") from error
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 2:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(
            f"a face embedder gives one vector an image, but two images gave {shape}. Is the batch size fixed at 1? "
            "Export it with a dynamic batch."
        )
    return trunk, output.shape[1]


def _check_input(model: onnx.ModelProto, image_size: int) -> None:
    """Exactly one input, of shape batch x 3 x `image_size` x `image_size`, where the file states one."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    shapes = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inputs]
    # 0 stands for a size left open.
    fits = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] in (0, 3)
    if not fits:
        shown = ", ".join(f"{value.name}: {shape}" for value, shape in zip(inputs, shapes, strict=True))
        raise UserError(
            f"a face embedder takes one input of shape batch x 3 x height x width, but got {shown or 'none'}."
        )
    if any(side not in (0, image_size) for side in shapes[0][2:]):
        height, width = shapes[0][2:]
        raise UserError(f"`image_size` must be the graph's own {height} x {width}, but got {image_size}.")
