"""What the original study's three methods share: a frame of their own, an area of their own, quirks as named keys."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from privacy_exp.masking.base import OwnArea
from privacy_exp.recognition.base import cover, cover_frame
from privacy_exp.recognition.onnx import OnnxRecognizer
from privacy_exp.types import Faces, Images, Landmarks, UserError


@dataclass(eq=False, kw_only=True)
class OriginalMethod(OwnArea):
    """Masks at the size at which the study painted; how much they hide is up to the method.

    What is painted and saved is not the photo but `frame`, and `finish` of what was painted.

    Args:
        crop: side of the centre crop that is painted, in pixels, after the short side was resized to it; None paints
            the whole frame, squashed into a square.
        size: side of the painted square, in pixels.
        stretch: stretch each picture to its own minimum and maximum before it is painted and saved.
    """

    crop: int | None = 160
    size: int = 512
    stretch: bool = True

    def __post_init__(self) -> None:
        for name, value in (("crop", self.crop), ("size", self.size)):
            if value is not None and value < 8:
                raise UserError(f"`{name}` must be at least 8 pixels, but got {value}.")

    def fit(self, train: Iterable[Faces], recognizer: nn.Module | None) -> None:
        """Learns nothing.

        Raises:
            UserError: a recogniser that aligns by the data's template, which these frames do not follow.
        """
        del train
        if isinstance(recognizer, OnnxRecognizer) and recognizer.align:
            raise UserError(
                "the original study's frames do not suit a recogniser that aligns by the data's template: use "
                "recognition=original or original_scratch, or set recognition.net.align=false."
            )

    def shape(self, faces: Faces) -> tuple[int, int]:
        """The painted square's."""
        del faces
        return self.size, self.size

    def frame(self, faces: Faces) -> Faces:
        """The square that is painted and saved."""
        images = cropped = self.cropped(faces)
        if images.shape[2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        if self.stretch:
            low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
            images = (images - low) / (high - low).clamp(min=1e-6)
        points = faces.landmarks
        if points is not None:
            points = self._points(points, (faces.images.shape[2], faces.images.shape[3]))
            ratio = points.new_tensor([self.size / cropped.shape[3], self.size / cropped.shape[2]])
            points = (points + 0.5) * ratio - 0.5
        return faces._replace(images=images, landmarks=points)

    def template(self, size: tuple[int, int], points: Float[Tensor, "5 2"]) -> Float[Tensor, "5 2"] | None:
        """Where faces lie on the painted square.

        Args:
            size: (height, width) of the data's frames, in pixels.
            points: where faces lie on those.
        """
        landmarks = self.frame(Faces([""], torch.zeros(1, 3, *size), None, points[None])).landmarks
        return None if landmarks is None else landmarks[0]

    def finish(self, results: Images) -> Images:
        """What is saved of the painted pictures: all of it, unchanged."""
        return results

    def cropped(self, faces: Faces) -> torch.Tensor:
        """The centre crop at its own size, or the frames as they are."""
        return faces.images if self.crop is None else cover(faces.images, self.crop)

    def _points(self, points: Landmarks, size: tuple[int, int]) -> Landmarks:
        if self.crop is None:
            return points
        matrix = cover_frame(*size, self.crop).to(points)
        return points @ matrix[:, :2].mT + matrix[:, 2]
