"""Filters that take a protection's fine detail away, and some of the picture's with it."""

import io

import cv2
import numpy as np
import torch
from PIL import Image

from privacy_exp.data.seeds import generator
from privacy_exp.runs.folder import to_pillow
from privacy_exp.types import Images


def recompress(images: Images, quality: int) -> Images:
    """The pictures after one JPEG at this quality, colour at half resolution as most files have it."""
    found = []
    for image in images:
        file = io.BytesIO()
        to_pillow(image).save(file, "JPEG", quality=quality)
        with Image.open(file) as saved:
            found.append(np.asarray(saved))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).to(images) / 255


def add_noise(ids: list[str], images: Images, deviation: float, seed: int) -> Images:
    """The pictures with Gaussian noise, cut to [0, 1].

    Args:
        ids: image ids.
        images: the pictures.
        deviation: standard deviation.
        seed: of the noise, together with each id: neither batch nor order changes it.
    """
    noise = [torch.randn(images.shape[1:], generator=generator(seed, i, "purification")) for i in ids]
    return (images + deviation * torch.stack(noise).to(images)).clamp(0, 1)


def median_filter(images: Images, side: int) -> Images:
    """Each channel's median over a square of so many pixels, edge pixels continued; in 8-bit steps."""
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    filtered = np.stack([cv2.medianBlur(np.ascontiguousarray(image), side) for image in pixels])
    return torch.from_numpy(filtered).permute(0, 3, 1, 2).to(images) / 255
