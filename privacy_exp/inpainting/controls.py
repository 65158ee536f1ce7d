"""Inpainters without a diffusion model: what every diffusion checkpoint has to beat."""

import math
from typing import final

import cv2
import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.masking.filling import mean_of_kept
from privacy_exp.types import Faces, Images, Masks, UserError, number


@final
class Identity(Inpainter):
    """Repaints nothing: the original, where every observer must do as well as on clean images.

    Example:
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> torch.equal(Identity()(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool)), faces.images)
        True
    """

    reads_hidden = True

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """The originals."""
        del masks, generators
        return faces.images


@final
class Blackout(Inpainter):
    """Paints the hidden pixels black: no information but the mask's shape.

    Example:
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> Blackout()(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool)).max().item()
        0.0
    """

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """Black images."""
        del masks, generators
        return torch.zeros_like(faces.images)


@final
class MeanFill(Inpainter):
    """Paints the hidden pixels in the mean colour of the image's kept pixels; mid-grey where nothing is kept.

    Only kept pixels are averaged, so the colour tells nothing of what was hidden.

    Example:
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> MeanFill()(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool)).unique().tolist()
        [0.5]
    """

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """Images of one colour each."""
        del generators
        return mean_of_kept(faces.images, masks).expand_as(faces.images)


@final
class Blur(Inpainter):
    """Gaussian blur of the hidden pixels, the obfuscation that most people use.

    It reads the pixels it hides and can be undone in part: learnt attackers must defeat it.

    Args:
        sigma: standard deviation of the kernel as a share of the frame's shorter side, in (0, 1].

    Reference: McPherson et al., Defeating Image Obfuscation with Deep Learning, 2016.

    Example:
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> Blur(sigma=0.1)(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool)).shape
        torch.Size([1, 3, 64, 64])
    """

    reads_hidden = True

    def __init__(self, sigma: float = 0.06) -> None:
        if not 0 < number("sigma", sigma) <= 1:
            raise UserError(f"`sigma` is a share of the frame's shorter side in (0, 1], but got {sigma}.")
        self.sigma = sigma

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """The faces under a Gaussian kernel cut at four deviations, edges continued."""
        del masks, generators
        return gaussian_blur(faces.images, self.sigma * min(faces.images.shape[-2:]))


def gaussian_blur(images: Images, sigma: float) -> Images:
    """Separable Gaussian blur, the kernel cut at four deviations and edge pixels continued outwards.

    Args:
        images: RGB.
        sigma: standard deviation in pixels.
    """
    radius = math.ceil(4 * sigma)
    steps = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(images).repeat(3, 1, 1, 1)
    wide = functional.pad(images, (radius, radius, 0, 0), mode="replicate")
    wide = functional.conv2d(wide, kernel, groups=3)
    tall = functional.pad(wide, (0, 0, radius, radius), mode="replicate")
    return functional.conv2d(tall, kernel.transpose(2, 3), groups=3)


@final
class Pixelate(Inpainter):
    """Replaces the hidden pixels by the mean colours of square blocks.

    Args:
        block: side of a block, in pixels of the data.

    Example:
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> Pixelate(block=16)(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool))[0, 0].unique().numel()
        16
    """

    reads_hidden = True

    def __init__(self, block: int = 12) -> None:
        if number("block", block) < 1 or block != int(block):
            raise UserError(f"`block` must be a whole number of pixels, at least 1, but got {block}.")
        self.block = block

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """The faces in blocks, counted from the top left; those at the far edges may be cut."""
        del masks, generators
        height, width = faces.images.shape[-2:]
        means = functional.avg_pool2d(faces.images, self.block, ceil_mode=True)
        tiled = means.repeat_interleave(self.block, dim=2).repeat_interleave(self.block, dim=3)
        return tiled[..., :height, :width]


@final
class OpencvTelea(Inpainter):
    """Grows the kept pixels inwards by fast marching: inpainting as it was before learning.

    It works on 8-bit pixels. Where nothing is kept there is nothing to grow from: mid-grey.

    Args:
        radius: neighbourhood that paints a pixel, in pixels of the data.

    Reference: Telea, An Image Inpainting Technique Based on the Fast Marching Method, 2004.

    Example:
        >>> faces = Faces(["a"], torch.rand(1, 3, 64, 64))
        >>> OpencvTelea()(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool)).shape
        torch.Size([1, 3, 64, 64])
    """

    def __init__(self, radius: float = 3.0) -> None:
        if number("radius", radius) <= 0:
            raise UserError(f"`radius` must be above 0 pixels, but got {radius}.")
        self.radius = radius

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """The faces as OpenCV repaints them."""
        del generators
        painted = [self._one(image, mask) for image, mask in zip(faces.images, masks[:, 0], strict=True)]
        return torch.stack(painted) if painted else faces.images

    def _one(self, image: Tensor, mask: Tensor) -> Tensor:
        if mask.all():
            return torch.full_like(image, 0.5)
        pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        hidden = mask.cpu().numpy()
        blank = pixels.copy()
        blank[hidden] = pixels[~hidden].mean(axis=0)  # OpenCV reads some of what lies under a ragged mask
        painted = cv2.inpaint(blank, hidden.astype(np.uint8), self.radius, cv2.INPAINT_TELEA)
        return torch.from_numpy(painted).permute(2, 0, 1).to(image) / 255
