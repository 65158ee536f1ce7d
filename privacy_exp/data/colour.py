"""Any mode and colour profile of an image file to 8-bit sRGB."""

import io
from contextlib import suppress
from functools import cache

import numpy as np
from PIL import Image, ImageCms

with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()

GREY = 128
"""What a JPEG decoder paints where the data ends."""


def to_srgb(image: Image.Image) -> Image.Image:
    """The image in RGB, sRGB, 8 bits; transparency is put over white.

    Raises:
        ValueError: pixels that are numbers without a known range (floating point).
    """
    return _rgb(_profiled(image))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is unknown; save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16 bits of grey, some of them kept in 32
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _profiled(image: Image.Image) -> Image.Image:
    """The image brought from its embedded colour profile to sRGB; as it is without one, or with a broken one."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        return ImageCms.profileToProfile(image, source, _srgb(), outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def cut_short(image: Image.Image) -> str:
    """What is odd about a decoded JPEG whose lower tenth is exactly the grey that decoders paint where data ends."""
    pixels = np.asarray(image.convert("RGB"))
    grey = np.asarray((np.abs(pixels.astype(np.int16) - GREY) <= 1).all((1, 2)))
    below = len(grey) - (int(np.flatnonzero(~grey)[-1]) + 1 if not grey.all() else 0)
    if not below or below < len(grey) / 10 or grey.all():
        return ""
    return f"its lower {below / len(grey):.0%} is flat grey, as in a file that was cut short"
