"""Face detectors as ONNX graphs: YuNet's kind, which OpenCV decodes, and CenterFace's, which is decoded here."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from jaxtyping import Float
from onnxruntime.capi import onnxruntime_pybind11_state as state

from privacy_exp.photos.finding import FaceFinder, Pixels
from privacy_exp.types import UserError

SMALLEST = 20
"""Pixels: photos are shrunk until the smallest face that is looked for is this large; both kinds find such faces."""

LEAST_SIDE = 640
"""Pixels: halving ends where the longer side is at most this; larger faces are found in the smaller pictures."""

OVERLAP = 0.3
"""Intersection over union from which two boxes are one face."""

Rows = Float[np.ndarray, "n 15"]  # left, top, width, height, score, then x and y of five points


class OnnxFinder(FaceFinder):
    """An ONNX detector; its outputs tell YuNet's kind from CenterFace's.

    A photo is looked at in several sizes, each a quarter of the one before, because both kinds miss large faces.

    Args:
        model: path of the .onnx file.
        min_size: see `FaceFinder`.
        sure: see `FaceFinder`.
        doubt: see `FaceFinder`.
        max_megapixels: see `FaceFinder`.

    Raises:
        UserError: no such file, or a graph of another kind.

    References: Wu et al., YuNet: A Tiny Millisecond-level Face Detector, 2023; Xu et al., CenterFace: Joint Face
        Detection and Alignment Using Face as Point, 2019.
    """

    def __init__(
        self, model: str, min_size: int = 32, sure: float = 0.9, doubt: float = 0.6, max_megapixels: float = 24.0
    ) -> None:
        super().__init__(min_size, sure, doubt, max_megapixels)
        path = Path(model).expanduser()
        if not path.is_file():
            raise UserError(f"`detector.model` must be an .onnx file of YuNet's or CenterFace's kind: no file {path}.")
        try:
            graph = onnx.load(str(path))
        except (DecodeError, ValueError) as error:
            raise UserError(f"`detector.model` {path} is no ONNX graph ({str(error)[:200]}).") from error
        outputs = len(graph.graph.output)
        if outputs not in (4, 12):
            raise UserError(
                f"`detector.model` {path} has {outputs} outputs; graphs of YuNet's kind have 12, of CenterFace's 4."
            )
        self.kind: YuNet | CenterFace = YuNet(path, doubt) if outputs == 12 else CenterFace(graph, path, doubt)

    def look(self, pixels: Pixels, min_size: float) -> list[tuple[np.ndarray, float, np.ndarray]]:
        """See `FaceFinder.look`."""
        scale, rows = min(1.0, SMALLEST / min_size), []
        while True:
            size = [max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0])]
            seen = pixels if scale == 1 else np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
            found = self.kind(seen)
            ratio = np.array([pixels.shape[1] / size[0], pixels.shape[0] / size[1]])
            found[:, 2:4] *= ratio
            for first in (0, *range(5, 15, 2)):  # pixel centres at whole numbers
                found[:, first : first + 2] = (found[:, first : first + 2] + 0.5) * ratio - 0.5
            rows.append(found)
            if max(size) <= LEAST_SIDE:
                break
            scale /= 4
        every = np.concatenate(rows)
        kept = cv2.dnn.NMSBoxes(every[:, :4].tolist(), every[:, 4].tolist(), self.doubt, OVERLAP) if len(every) else []
        return [_face(every[i]) for i in kept]


class YuNet:
    """A graph that OpenCV decodes.

    Args:
        path: of the .onnx file.
        doubt: score from which a face counts.
    """

    def __init__(self, path: Path, doubt: float) -> None:
        self.path = path
        try:
            self.net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), score_threshold=doubt)
        except cv2.error as error:
            raise UserError(f"`detector.model` {path} is no graph that OpenCV can read ({error.err}).") from error

    def __call__(self, pixels: Pixels) -> Rows:
        """Faces of a picture, RGB."""
        self.net.setInputSize((pixels.shape[1], pixels.shape[0]))
        try:
            _, rows = self.net.detect(np.ascontiguousarray(pixels[..., ::-1]))
        except cv2.error as error:
            raise UserError(f"`detector.model` {self.path} is no detector of YuNet's kind ({error.err}).") from error
        if rows is None:
            return np.zeros((0, 15), np.float32)
        return np.concatenate([rows[:, :4], rows[:, 14:], rows[:, 4:14]], 1)


class CenterFace:
    """A graph whose four outputs are a heat map, sizes, offsets and five points, at a quarter of the picture's size.

    Args:
        graph: as it was read; a fixed input size is made free.
        path: of the file, for messages.
        doubt: heat from which a cell is a face.
    """

    STRIDE = 4
    CHANNELS = (1, 2, 2, 10)

    def __init__(self, graph: onnx.ModelProto, path: Path, doubt: float) -> None:
        self.path, self.doubt = path, doubt
        weights = {one.name for one in graph.graph.initializer}
        for value in graph.graph.input:
            sizes = value.type.tensor_type.shape.dim
            for axis in (0, 2, 3) if value.name not in weights and len(sizes) == 4 else ():
                sizes[axis].dim_param = f"{value.name}_{axis}"
        for value in graph.graph.output:
            value.type.tensor_type.ClearField("shape")
        del graph.graph.value_info[:]  # shapes of what lies between, for the size it was exported with
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        content = graph.SerializeToString()
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except (state.Fail, state.InvalidGraph, state.NotImplemented) as error:
            raise UserError(f"`detector.model` {path} can't be run by onnxruntime ({str(error)[:200]}).") from error

    def __call__(self, pixels: Pixels) -> Rows:
        """Faces of a picture, RGB; the graph takes RGB in 0-255, both sides a multiple of 32."""
        height, width = pixels.shape[:2]
        padded = np.zeros((3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
        padded[:, :height, :width] = pixels.transpose(2, 0, 1)
        maps = self.session.run(None, {self.session.get_inputs()[0].name: padded[None]})
        if tuple(one.shape[1] for one in maps) != self.CHANNELS:
            shapes = [one.shape for one in maps]
            raise UserError(
                f"`detector.model` {self.path} is no detector of CenterFace's kind: its outputs are {shapes}."
            )
        heat, sizes, offsets, points = (one[0] for one in maps)
        rows, columns = np.nonzero(heat[0] >= self.doubt)
        tall, wide = np.exp(sizes[:, rows, columns]) * self.STRIDE
        down, right = offsets[:, rows, columns]
        # cells count from their corners, pixels from their centres
        left = (columns + right + 0.5) * self.STRIDE - wide / 2 - 0.5
        top = (rows + down + 0.5) * self.STRIDE - tall / 2 - 0.5
        own = points[:, rows, columns].T.reshape(-1, 5, 2)  # y, x, as shares of the box
        places = np.stack([own[..., 1] * wide[:, None] + left[:, None], own[..., 0] * tall[:, None] + top[:, None]], 2)
        boxes = np.stack([left, top, wide, tall, heat[0, rows, columns]], 1)
        return np.concatenate([boxes, places.reshape(-1, 10)], 1)


def _face(row: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Box, score and points, the eye on the picture's left first."""
    points = row[5:15].reshape(5, 2)
    points = points[[1, 0, 2, 4, 3]] if points[0, 0] > points[1, 0] else points
    return np.array([row[0], row[1], row[0] + row[2], row[1] + row[3]]), float(row[4]), points
