"""Any ArcFace-style ONNX embedder as a differentiable recogniser, with a head trained on it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import onnx
import onnx2torch
import onnxruntime
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from privacy_exp.data.points import resized_points
from privacy_exp.recognition.alignment import arcface_points, similarity, warp
from privacy_exp.recognition.base import Recognizer, cover
from privacy_exp.recognition.heads import CosineHead
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.types import Images, UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

SAME_PLACE = 0.02
"""Points that lie no further from the template, as a share of the frame's side, leave it as it was fitted."""

SAME_SHAPE = 0.02
"""So much may width / height differ: sizes are whole pixels."""

CLOSE = 1e-3
"""Largest difference of a converted graph from onnxruntime, as a share of the largest value."""


class OnnxRecognizer(Recognizer):
    """An ArcFace-style ONNX face embedder, made differentiable, with a cosine head trained on it.

    Args:
        model: path of the .onnx file; weights in files beside it are read along.
        image_size: side of the embedder's input, in pixels.
        mean: of its normalisation, RGB in [0, 1].
        std: of its normalisation, RGB in [0, 1].
        align: warp the frame so that the template's five points fall on ArcFace's; else cover the square and crop.
        freeze: see `Recognizer`.
        scale: see `CosineHead`.
        num_classes: see `Recognizer`.
        template: five points (x, y) of the data's frames, in pixels; needed where `align` is true.
        graph: the bytes of the ONNX file, as a checkpoint keeps them, in place of `model`.

    Raises:
        FileNotFoundError: no such file.
        UserError: not an ONNX model, not an embedder of one face image, or an operator that can't be converted.

    Example:
        >>> OnnxRecognizer("mobilefacenet.onnx")  # doctest: +SKIP
    """

    recipe = FitRecipe(max_epochs=20, lr=0.01, patience=10)
    of_fit = Recognizer.of_fit | {"graph"}
    channels: ClassVar[str] = "rgb"
    """Order in which the embedder takes them."""

    mean: Tensor
    std: Tensor
    template: Tensor

    def __init__(
        self,
        model: str | None = None,
        image_size: int = 112,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        align: bool = True,
        freeze: str = "trunk",
        scale: float = 32.0,
        num_classes: int | None = None,
        template: Float[Tensor, "5 2"] | None = None,
        graph: UInt8[Tensor, " bytes"] | None = None,
    ) -> None:
        self._path = None if graph is not None else _onnx_file(model)
        trunk = top = None
        if num_classes is not None:
            if align and template is None:
                raise UserError("`template` (five points of the data's frames) is needed to align; or `align: false`.")
            graph = _read_graph(self._path) if graph is None else graph
            try:
                trunk, features = convert(graph.numpy().tobytes(), image_size)
            except UserError as error:
                raise UserError(f"{model}: {error}") from error
            top = CosineHead(features, num_classes, scale)
        elif template is not None:
            raise UserError("`template` comes from the data of a fit (`for_people`); it cannot be given beforehand.")
        super().__init__(trunk, top, num_classes, image_size, freeze)
        self.graph = graph
        self.align = align
        self.register_buffer("mean", torch.tensor(list(mean)).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(3, 1, 1), persistent=False)
        self.register_buffer("template", torch.zeros(5, 2) if template is None else template.clone(), persistent=False)
        # Half the time on a CPU.
        self.to(memory_format=torch.channels_last)

    @property
    def aligns(self) -> bool:  # type: ignore[override]
        """Whether it warps frames by the template."""
        return self.align

    @property
    def fitted(self) -> dict[str, Any]:
        """People, template and the graph, so that a checkpoint needs no second file."""
        template = self.template.clone() if self.align and self._num_classes is not None else None
        return {**super().fitted, "template": template, "graph": self.graph}

    def meet_frames(self, height: int, width: int, points: Float[Tensor, "5 2"] | None) -> None:
        """Takes the photos' own five points as its template, where they are known and lie elsewhere than in the fit.

        Raises:
            UserError: the photos have no points, and frames of another shape than the fit's.
        """
        if not self.align:
            return super().meet_frames(height, width, points)
        if points is None:
            self.frame(height, width)
            return None
        off = float("inf")
        if self.frame_size is not None and same_shape(self.frame_size, (height, width)):
            here = self._template_in(height, width).cpu()
            off = float(((points.cpu() - here) / torch.tensor([width, height])).abs().max())
        if off > SAME_PLACE:
            self.template.copy_(points)
            self.fitted_on(height, width, points)
        return None

    def _template_in(self, height: int, width: int) -> Float[Tensor, "5 2"]:
        """The template in frames of this size.

        Raises:
            UserError: frames of another shape than those of the fit: where the face lies there is not known.
        """
        if self.frame_size is None or self.frame_size == (height, width):
            return self.template
        if not same_shape(self.frame_size, (height, width)):
            tall, wide = self.frame_size
            raise UserError(
                f"the recogniser was fitted on frames of {wide}x{tall} (width x height) and aligns faces by where they "
                f"lie there, but got {width}x{height}. Crop the photos as those were, or give landmarks with them."
            )
        return resized_points(self.template, width / self.frame_size[1], height / self.frame_size[0])

    def prepare(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        """Aligns (or crops), then subtracts the mean and divides by the standard deviation."""
        if self.align:
            matrix = self.frame(images.shape[2], images.shape[3]).to(images)
            pixels = warp(images, matrix.expand(len(images), 2, 3), (self.image_size, self.image_size))
        else:
            pixels = cover(images, self.image_size)
        pixels = (pixels - self.mean) / self.std
        pixels = pixels.flip(1) if self.channels == "bgr" else pixels
        return pixels.contiguous(memory_format=torch.channels_last)

    def frame(self, height: int, width: int) -> Float[Tensor, "2 3"]:
        """The alignment, or a resize and a centre crop."""
        if not self.align:
            return super().frame(height, width)
        template = self._template_in(height, width)
        return similarity(template[None], arcface_points(self.image_size).to(template)[None])[0]


@final
class BGROnnxRecognizer(OnnxRecognizer):
    """An embedder that takes blue first, as AdaFace does; `mean` and `std` stay in the order of RGB.

    See `OnnxRecognizer` for the arguments.

    Example:
        >>> BGROnnxRecognizer("adaface.onnx", mean=[0.5] * 3, std=[0.5] * 3)  # doctest: +SKIP
    """

    channels = "bgr"


def _onnx_file(model: str | None) -> Path:
    """The file that `model` names."""
    if model is None or not Path(model).expanduser().is_file():
        raise FileNotFoundError(
            f"`recognition.net.model` must be the path of an ONNX file, but got {model!r}. Give it, or set the "
            "environment variable FACE_ONNX to it."
        )
    return Path(model).expanduser()


def _read_graph(path: Path | None) -> UInt8[Tensor, " bytes"]:
    """The file's bytes; weights that it keeps in files beside it are taken in."""
    assert path is not None  # noqa: S101  given unless the graph itself was
    raw = path.read_bytes()
    try:
        model = onnx.load_model_from_string(raw)
        if list(uses_external(model)):
            onnx.load_external_data_for_model(model, str(path.parent))
            raw = model.SerializeToString()
    except DecodeError:
        pass  # `convert` says what it is
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise UserError(
            f"{path} keeps its weights in another file that cannot be read: {error} Put the file beside it, or export "
            "the model with external_data=False."
        ) from error
    return torch.from_numpy(np.frombuffer(raw, dtype=np.uint8).copy())


def uses_external(model: onnx.ModelProto) -> Iterator[str]:
    """The files beside an ONNX file in which some of its weights lie, as the model names them."""
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def convert(graph: bytes, image_size: int) -> tuple[nn.Module, int]:
    """An ONNX graph as a torch module, and the length of its embedding.

    Args:
        graph: the file's bytes.
        image_size: side of its square input, in pixels.

    Raises:
        UserError: see `OnnxRecognizer`.
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
    _check_against_runtime(graph, trunk, image_size)
    return trunk, output.shape[1]


def _check_against_runtime(graph: bytes, trunk: nn.Module, image_size: int) -> None:
    """Holds the converted graph against onnxruntime on two random pictures.

    Raises:
        UserError: they differ, or the graph gives numbers that are not finite.
    """
    pictures = np.random.default_rng(0).standard_normal((2, 3, image_size, image_size)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        expected = session.run(None, {session.get_inputs()[0].name: pictures})[0]
    except Exception as error:  # onnxruntime's own classes have no common base but this
        raise UserError(f"onnxruntime cannot run this graph: {error}") from error
    with torch.no_grad():
        found = trunk(torch.from_numpy(pictures)).numpy()
    if found.shape != expected.shape or not np.isfinite(expected).all():
        raise UserError("the graph gives no finite numbers for random pictures. Is the download whole?")
    off = float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))
    if not off <= CLOSE:
        raise UserError(
            f"the converted graph differs from onnxruntime by {off:.1%}: onnx2torch reads one of its operators "
            "otherwise (Resize and padded pooling are known to). Export it anew with opset 13, or use it as a judge, "
            "which asks onnxruntime itself."
        )


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two (height, width) have the same aspect."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= SAME_SHAPE


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
    kind = inputs[0].type.tensor_type.elem_type
    if kind != onnx.TensorProto.FLOAT:
        raise UserError(
            f"the graph takes {onnx.TensorProto.DataType.Name(kind).lower()}, but gradients need one that takes float. "
            "Export it in single precision, or use it as a judge, which casts."
        )
    outputs = [value.name for value in model.graph.output]
    if len(outputs) > 1:
        raise UserError(
            f"the graph gives {', '.join(outputs)}: which of them is the embedding? Export it with that output alone, "
            "or use it as a judge, which has a key for it (judge.onnx.embedder.output)."
        )
