"""Photo files: read upright in sRGB, and written anew from their pixels, so that no byte of the old file survives."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin

from privacy_exp.cache.files import write_bytes
from privacy_exp.data.files import UNREAD, fault_of, upright_srgb
from privacy_exp.data.find import refuse_undecodable, walk
from privacy_exp.runs.folder import FAULTS
from privacy_exp.types import UserError

Pixels = UInt8[np.ndarray, "_ _ 3"]

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
    ".ppm": "PPM",
    ".jp2": "JPEG2000",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".tga": "TGA",
}
"""Suffixes of photos that are read, and the format that each is written in again."""

_PICTURES = (*UNREAD, ".mkv", ".webm", ".raw")
"""Suffixes of pictures and films that Python's own table of types may not know."""

MARK = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for a picture that a trained model has changed in part."""

KEPT_TAGS = {tag.name: tag.value for tag in ExifTags.Base}
"""EXIF tags by name, of which a few may be kept."""

FORBIDDEN_TAGS = ("MakerNote", "GPSInfo", "ExifOffset", "UserComment", "XPComment", "XPAuthor", "Orientation")
"""Tags that can't be kept: they hold other blocks, places or free text, or are no longer true."""


@dataclass(frozen=True)
class Photo:
    """A photo in memory.

    Attributes:
        pixels: RGB, upright, sRGB.
        format: Pillow's name of the file's format.
        saving: keywords that write it again as it was: JPEG's tables and subsampling.
        exif: values of the tags that are kept, by the block that they stand in (0 is the first one).
    """

    pixels: Pixels
    format: str
    saving: dict[str, Any]
    exif: dict[int, dict[int, Any]]


class UnreadablePhotoError(UserError):
    """A photo that cannot be treated; the message names the file and why."""


def read_photo(path: Path, keep_metadata: Sequence[str] = ()) -> Photo:
    """A photo's pixels and how to write it again.

    Args:
        path: the file.
        keep_metadata: names of EXIF tags that are kept, such as DateTimeOriginal.

    Raises:
        UnreadablePhotoError: missing, damaged, or several pictures in one file.
    """
    try:
        with Image.open(path) as image:
            pictures = getattr(image, "n_frames", 1)
            if pictures > 1 and image.format != "MPO":
                raise UnreadablePhotoError(f"{path} holds {pictures} pictures (pages or an animation); split it.")
            kept, saving = _kept(image, keep_metadata), _saving(image)
            pixels = np.array(upright_srgb(image))
            kind = "JPEG" if image.format == "MPO" else str(image.format)
    except UnreadablePhotoError:
        raise
    except FAULTS as error:
        raise UnreadablePhotoError(f"{path} cannot be read: {fault_of(path, error)}.") from error
    return Photo(pixels, kind, saving, kept)


def check_metadata(names: Sequence[str]) -> None:
    """Refuses EXIF tags that don't exist or can't be kept.

    Raises:
        UserError: names the tag and what may be kept.
    """
    for name in names:
        if name not in KEPT_TAGS or name in FORBIDDEN_TAGS:
            raise UserError(
                f"`keep_metadata` takes names of single EXIF tags such as DateTimeOriginal or Make, but got {name!r}."
            )


def save_photo(photo: Photo, pixels: Pixels, path: Path, changed: bool, work: Path | None = None) -> None:
    """Writes pixels as the photo was written, with nothing else of it but the kept tags, whole or not at all.

    Args:
        photo: how the file was written.
        pixels: what it shows now.
        path: the new file.
        changed: whether the mark of a machine's change goes into it.
        work: takes the file while it is written; None takes the folder of `path`.
    """
    write_bytes(path, encode(photo, pixels, changed), work)


def encode(photo: Photo, pixels: Pixels, changed: bool) -> bytes:
    """The bytes of a new file; see `save_photo`.

    Raises:
        UnreadablePhotoError: a format that can be read but not written.
    """
    image = Image.fromarray(pixels)
    keys: dict[str, Any] = dict(photo.saving)
    exif = Image.Exif()
    for block, tags in photo.exif.items():
        (exif.get_ifd(block) if block else exif).update(tags)
    if any(photo.exif.values()) and photo.format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"):
        keys["exif"] = exif.tobytes()  # as an object Pillow drops it from a PNG whose first block is empty
    if changed:
        keys |= _marked(photo.format)
    if photo.format == "GIF":
        image = image.quantize(256)
    stream = io.BytesIO()
    try:
        image.save(stream, photo.format, **keys)
    except (*FAULTS, KeyError) as error:  # in memory: no disk is full
        raise UnreadablePhotoError(f"a photo in the format {photo.format} can't be written again: {error}.") from error
    return stream.getvalue()


def carries_mark(format: str) -> bool:
    """Whether files of this format can say that a machine changed them."""
    return bool(_marked(format))


def _marked(format: str) -> dict[str, Any]:
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        f'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="{MARK}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    if format in ("JPEG", "WEBP", "AVIF", "HEIF"):
        return {"xmp": packet.encode()}
    if format == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet)
        return {"pnginfo": info}
    if format == "TIFF":
        return {"tiffinfo": {700: packet.encode()}}
    if format == "GIF":
        return {"comment": f"DigitalSourceType {MARK}".encode()}
    return {}


def _kept(image: Image.Image, names: Sequence[str]) -> dict[int, dict[int, Any]]:
    """The asked EXIF tags of each block; none where EXIF is broken."""
    wanted = {KEPT_TAGS[name] for name in names}
    try:
        exif = image.getexif()
        blocks = {0: dict(exif), int(ExifTags.IFD.Exif): dict(exif.get_ifd(ExifTags.IFD.Exif))} if wanted else {}
    except (*FAULTS, KeyError):
        return {}
    return {block: {t: v for t, v in tags.items() if t in wanted} for block, tags in blocks.items()}


def _saving(image: Image.Image) -> dict[str, Any]:
    """JPEG is written at its own quality and subsampling; what loses nothing loses nothing again."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        subsampling = JpegImagePlugin.get_sampling(image)
        plain = image.mode in ("RGB", "YCbCr") and bool(image.quantization)
        keys: dict[str, Any] = {"qtables": image.quantization} if plain else {"quality": 95}
        return keys | ({"subsampling": subsampling} if plain and subsampling >= 0 else {})
    if image.format == "WEBP":
        return {"quality": 95}
    if image.format in ("AVIF", "HEIF"):
        return {"quality": 90}
    return {"compression": "tiff_deflate"} if image.format == "TIFF" else {}


def list_photos(root: Path) -> tuple[list[str], list[str], int]:
    """Relative paths of photos in a folder and below, of pictures that cannot be read here, and how many other files.

    Linked folders are entered. Hidden files and folders, and folders in which other programs keep thumbnails, are
    passed over.

    Raises:
        UserError: a name that is no text, so that no list could hold it.
    """
    found, unread, others = [], [], 0
    for folder, names in walk(root, (), Counter(), []):
        for name in names:
            suffix, place = Path(name).suffix.lower(), (folder / name).relative_to(root).as_posix()
            if name.startswith("."):
                continue
            if suffix in FORMATS:
                found.append(place)
            elif suffix in _PICTURES or (guess_type(name)[0] or "").startswith(("image/", "video/")):
                unread.append(place)
            else:
                others += 1
    refuse_undecodable([*found, *unread], "files")
    return sorted(found), sorted(unread), others
