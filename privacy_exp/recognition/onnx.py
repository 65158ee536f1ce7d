"""Any ArcFace-style ONNX embedder as a differentiable recogniser, with a head trained on it."""

from collections.abc import Sequence
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from privacy_exp.data.points import resized_points
from privacy_exp.recognition.alignment import arcface_points, similarity, warp
from privacy_exp.recognition.base import Recognizer, cover
from privacy_exp.recognition.heads import CosineHead
from privacy_exp.recognition.onnx_graph import convert, onnx_file, read_graph
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.types import Images, UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

SAME_PLACE = 0.02
"""Points that lie no further from the template, as a share of the frame's side, leave it as it was fitted."""

SAME_SHAPE = 0.02
"""So much may width / height differ: sizes are whole pixels."""


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
        self._path = None if graph is not None else onnx_file(model)
        trunk = top = None
        if num_classes is not None:
            if align and template is None:
                raise UserError("`template` (five points of the data's frames) is needed to align; or `align: false`.")
            graph = read_graph(self._path) if graph is None else graph
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


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two (height, width) have the same aspect."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= SAME_SHAPE
