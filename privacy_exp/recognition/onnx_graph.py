"""Graphs of ONNX files: read with the weights beside them, converted, and held against onnxruntime."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx2torch
import onnxruntime
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from jaxtyping import UInt8
from torch import Tensor, nn

from privacy_exp.types import UserError

CLOSE = 1e-3
"""Largest difference of a converted graph from onnxruntime, as a share of the largest value."""


def onnx_file(model: str | None) -> Path:
    """The file that `model` names."""
    if model is None or not Path(model).expanduser().is_file():
        raise FileNotFoundError(
            f"`recognition.net.model` must be the path of an ONNX file, but got {model!r}. Give it, or set the "
            "environment variable FACE_ONNX to it."
        )
    return Path(model).expanduser()


def read_graph(path: Path | None) -> UInt8[Tensor, " bytes"]:
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
