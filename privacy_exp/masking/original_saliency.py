"""The original study's saliency."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Generator, nn

from privacy_exp.masking.explaining import explaining
from privacy_exp.masking.original_frame import OriginalMethod
from privacy_exp.masking.target import identity_score, image_gradient, target_labels
from privacy_exp.types import Faces, Images, Scores, UserError


@dataclass(eq=False, kw_only=True)
class OriginalSaliency(OriginalMethod):
    """The gradient with respect to the input, sent through a chain of colour operations: the hidden area floats.

    |gradient| of the cross-entropy at `crop` pixels → cubic to `size` → min-max to 8 bits → above a percentile of all
    three channels → LAB's a-channel above a level → Gaussian blur → JET colours → each channel above a level →
    luminance of at least 0.5. What remains are mostly the borders of the regions in which green stands out.

    Args:
        percentile: of the three channels jointly, in [0, 100].
        lab_a: level of LAB's a-channel, 0-255; 128 is neutral, less is green.
        blur: side of the Gaussian kernel in pixels, odd, and its deviation.
        jet: level of each channel of the colour map, 0-255.
        denoise: strength for luminance and colour, template and search window of non-local means, applied to the
            painted pictures; None leaves them.
        crop: see `OriginalMethod`.
        size: see `OriginalMethod`.
        stretch: see `OriginalMethod`.

    Example:
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(2).eval()
        >>> OriginalSaliency(crop=32, size=64).mask(Faces(["a"], torch.rand(1, 3, 48, 40)), net).shape
        torch.Size([1, 1, 64, 64])
    """

    draws = False

    percentile: float = 75
    lab_a: int = 100
    blur: Sequence[float] = (13, 11)
    jet: int = 50
    denoise: Sequence[int] | None = (10, 10, 7, 15)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.percentile <= 100:
            raise UserError(f"`percentile` must lie in [0, 100], but got {self.percentile}.")
        if len(self.blur) != 2 or int(self.blur[0]) % 2 == 0 or self.blur[1] <= 0:
            raise UserError(f"`blur` must be [odd side, positive deviation], but got {list(self.blur)}.")
        if self.denoise is not None and len(self.denoise) != 4:
            raise UserError(
                f"`denoise` must be [luminance, colour, template, search] or null, but got {list(self.denoise)}."
            )

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """1 where the chain ends bright."""
        del generators  # nothing is drawn
        labels = target_labels(faces, recognizer)
        with explaining(recognizer, self.cropped(faces)) as images, torch.enable_grad():
            gradient = image_gradient(identity_score(recognizer, images, labels, "loss"), images).abs()
        masks = [self.chain(row) for row in gradient.permute(0, 2, 3, 1).cpu().float().numpy()]
        return torch.from_numpy(np.stack(masks))[:, None].to(faces.images)

    def chain(self, gradient: Float[np.ndarray, "a b 3"]) -> Bool[np.ndarray, "h w"]:
        """From one image's absolute gradient to its mask."""
        large = cv2.resize(gradient, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        spread = max(float(large.max() - large.min()), 1e-12)
        levels = (255 * (large - large.min()) / spread).astype(np.uint8)
        high = np.where(levels > np.percentile(levels, self.percentile), 255, 0).astype(np.uint8)
        lab = cv2.cvtColor(high, cv2.COLOR_RGB2LAB)
        spots = np.where(lab[..., 1] > self.lab_a, 255, 0).astype(np.uint8)
        side = int(self.blur[0])
        blurred = cv2.GaussianBlur(spots, (side, side), self.blur[1])
        colours = cv2.applyColorMap(blurred, cv2.COLORMAP_JET)[..., ::-1]
        bright = np.where(colours > self.jet, 255, 0).astype(np.uint8)
        mask: Bool[np.ndarray, "h w"] = cv2.cvtColor(bright, cv2.COLOR_RGB2GRAY) / 255 >= 0.5
        return mask

    def finish(self, results: Images) -> Images:
        """Non-local means over the whole painted picture."""
        if self.denoise is None:
            return results
        pixels = (results * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        denoised = [self._denoised(image) for image in pixels]
        return torch.from_numpy(np.stack(denoised)).permute(0, 3, 1, 2).to(results) / 255

    def _denoised(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        bgr = np.ascontiguousarray(image[..., ::-1])
        clean = cv2.fastNlMeansDenoisingColored(bgr, None, *(self.denoise or ()))
        return np.ascontiguousarray(clean[..., ::-1])
