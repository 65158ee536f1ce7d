"""An ONNX graph that takes pictures: shared by judges and utility measures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from jaxtyping import Float
from onnxruntime.capi import onnxruntime_pybind11_state as state
from torch import Tensor

from privacy_exp.cache.content import content_digest
from privacy_exp.evaluation.judges.embedder import grey_pictures
from privacy_exp.types import UserError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
}
"""What a graph may take; crops are cast to it."""


class _Input(NamedTuple):
    """The one input of a graph: its batch size where that is fixed, and whether its channels come last."""

    name: str
    batch_size: int | None
    dtype: torch.dtype
    channels_last: bool


class OnnxGraph:
    """An ONNX file that takes square pictures, fed as it wants: normalised, in its type, its channels last or first.

    Args:
        model: path of the .onnx file.
        image_size: side of its input, in pixels.
        mean: of its normalisation, RGB in [0, 1].
        std: of its normalisation, RGB in [0, 1].
        channels: order it expects, "rgb" or "bgr".
        provider: "cpu" or "cuda" (onnxruntime-gpu).
        key: the configuration's key of the file, for messages.

    Raises:
        FileNotFoundError: no such file.
        UserError: no ONNX model that takes one image of this size, or a provider that is not there.
    """

    def __init__(
        self,
        model: str,
        image_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        channels: str,
        provider: str,
        key: str,
    ) -> None:
        if channels not in ("rgb", "bgr"):
            raise UserError(f"`channels` must be rgb or bgr, but got {channels!r}.")
        self.path, self.image_size, self.channels = Path(model).expanduser(), image_size, channels
        self.mean, self.std = (torch.tensor(list(v), dtype=torch.float32).view(3, 1, 1) for v in (mean, std))
        self.session = _session(self.path, provider, key)
        self.input = _input(self.session, self.path, image_size)
        if self.input.dtype == torch.uint8 and not self._whole_numbers():
            raise UserError(
                f"{self.path} takes whole numbers of 0 to 255 (uint8) and scales them itself: set `mean` to [0, 0, 0] "
                f"and `std` to [0.00392157, 0.00392157, 0.00392157], but got {self.mean.flatten().tolist()} and "
                f"{self.std.flatten().tolist()}."
            )

    def fields(self) -> dict[str, object]:
        """The file's hash and how pictures are brought before it."""
        return {
            "onnx": content_digest(self.path),
            "image_size": self.image_size,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            "channels": self.channels,
        }

    def normalized(self, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n 3 s s"]:
        """Without the mean, over the standard deviation, channels in the file's order."""
        crops = (pixels - self.mean.to(pixels)) / self.std.to(pixels)
        return crops.flip(1) if self.channels == "bgr" else crops

    def __call__(self, crops: Tensor, output: str) -> Tensor:
        """One output for normalised crops; a graph exported for a fixed batch is fed that many at a time.

        Raises:
            UserError: the graph does not give a row for each.
        """
        size = self.input.batch_size or len(crops)
        outputs = []
        for chunk in crops.split(size):
            filled = torch.cat([chunk, chunk.new_zeros(size - len(chunk), *chunk.shape[1:])])
            (rows,) = self._run(filled, [output])
            if not rows.ndim or len(rows) != size:
                raise UserError(f"{self.path} gives {tuple(rows.shape)} for {size} faces, not a row for each.")
            outputs.append(rows[: len(chunk)])
        return torch.cat(outputs)

    def try_out(self) -> dict[str, Tensor]:
        """All outputs by name for two grey pictures, or as many as it takes at once."""
        names = [one.name for one in self.session.get_outputs()]
        crops = self.normalized(grey_pictures(self.image_size)[: self.input.batch_size or 2])
        try:
            return dict(zip(names, self._run(crops, None), strict=True))
        except Exception as error:  # onnxruntime's own classes have no common base but this
            raise UserError(f"{self.path} cannot be asked about two grey pictures: {str(error)[:300]}") from error

    def chosen(self, found: dict[str, Tensor], asked: str | None, meant: str, key: str) -> str:
        """The name of the output that is meant: the one asked for, or the only one.

        Args:
            found: see `try_out`.
            asked: by the user.
            meant: what it is, for messages.
            key: the configuration's key of the output, for messages.

        Raises:
            UserError: there are several, or none of this name.
        """
        shown = ", ".join(f"{name} of {tuple(values.shape)}" for name, values in found.items())
        if asked is None and len(found) > 1:
            likely = max(found, key=lambda name: found[name].numel())
            raise UserError(
                f"{self.path} has several outputs, of which one is {meant}: {shown}. Say which with `output`: "
                f"{key}={likely}."
            )
        name = next(iter(found)) if asked is None else asked
        if name not in found:
            raise UserError(f"`output` must be one of the outputs of {self.path}, {shown}, but got {asked!r}.")
        return name

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


def _session(path: Path, provider: str, key: str) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise FileNotFoundError(
            f"`{key}.model` must be an ONNX file, but {str(path)!r} is none. Give its path, or set the environment "
            f"variable {'FACE_ONNX' if key.startswith('judge') else 'UTILITY_ONNX'} to it."
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
        raise UserError(f"{path} takes {inputs[0].type}; a graph may take {', '.join(DTYPES)}. Export it anew.")
    return _Input(inputs[0].name, shapes[0][0], DTYPES[inputs[0].type], last)
