"""The pictures of one run: originals, masks and results in files that anyone can read.

    original/{image-id}-img-label-{class-id}.jpg
    masks/{image-id}-masks-label-{class-id}.jpg
    results/{image-id}-generated-label-{class-id}.jpg
    control/{image-id}-control-label-{class-id}.jpg        the same mask filled by one encode and decode
    draws/1/results/...                                     further pictures of each face, where several were asked for

An image id holds no hyphen (see `Faces.ids`), so it ends at the first one; the class stands after the last. With
`layout=packed` the same pictures lie in tar shards (see `privacy_exp.runs.shards`), and are listed and read as here.
"""

import ctypes
import io
import os
import struct
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from privacy_exp.cache.files import atomic_file
from privacy_exp.runs.formats import FORMATS
from privacy_exp.runs.layouts import KINDS, LAYOUTS
from privacy_exp.runs.picture import Picture, to_open
from privacy_exp.runs.shards import INDEX, saved_members
from privacy_exp.types import Images, Labels, Masks, UserError

__all__ = ["KINDS", "Listing", "RunFolder", "levels", "read_pictures", "read_rgb", "to_pillow"]

Listing = dict[str, tuple[Picture, int | None]]
"""Image id to its picture and class id, which is None where it is unknown."""

UNKNOWN = "unknown"
"""Class id of a face whose identity is not known."""

THREADS = min(4, os.cpu_count() or 1)
"""That read or write pictures at once: Pillow works outside the interpreter's lock."""

FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,  # a header that claims more than any file has
    RuntimeError,  # the decoders of AVIF and HEIC
    struct.error,
    Image.DecompressionBombError,
)
"""All that Pillow and its decoders raise over files that are no pictures, broken ones, and ones that claim too much."""


class RunFolder:
    """Writes and reads the pictures of one run.

    Args:
        path: the run's folder.
        image_format: "jpg" or "png"; None reads whichever is there.
        layout: "folders" (a file a picture) or "packed" (tar shards) of new pictures; a folder that holds some goes on
            as it was begun, and reading takes what is there.
    """

    def __init__(self, path: str | Path, image_format: str | None = None, layout: str = "folders") -> None:
        if image_format is not None and image_format not in FORMATS:
            raise UserError(f"`image_format` must be one of {sorted(FORMATS)}, but got {image_format!r}.")
        if layout not in LAYOUTS:
            raise UserError(f"`layout` must be one of {', '.join(LAYOUTS)}, but got {layout!r}.")
        self.path = Path(path)
        self.image_format = image_format
        self.layout = layout
        self._below_run = ""  # where draws stand in a packed run
        self._staged: dict[str, bytes] | None = None

    @property
    def packed(self) -> bool:
        """Whether the pictures lie, or will lie, in shards."""
        if (self.path / INDEX).is_file():
            return True
        return self.layout == "packed" and not any((self.path / kind).is_dir() for kind in KINDS)

    def staging(self, staged: dict[str, bytes]) -> "RunFolder":
        """The same folder, whose new pictures go into `staged`, by their names in a run of folders."""
        folder = RunFolder(self.path, self.image_format, self.layout)
        folder._staged = staged
        return folder

    def draw(self, number: int) -> "RunFolder":
        """Where the results of a further draw belong, or lie."""
        if self._staged is None and not self.packed:
            return RunFolder(self.path / "draws" / str(number), self.image_format)
        folder = RunFolder(self.path, self.image_format, self.layout)
        folder._staged, folder._below_run = self._staged, f"draws/{number}/"
        return folder

    def draws(self) -> list[int]:
        """Numbers of the further draws that lie here."""
        if self.packed:
            names = (name.split("/") for name in saved_members(self.path))
            return sorted({int(parts[1]) for parts in names if parts[0] == "draws"})
        return sorted(int(path.name) for path in (self.path / "draws").glob("[0-9]*"))

    def has(self, kind: str) -> bool:
        """Whether pictures of a kind lie here."""
        if self.packed:
            return any(name.startswith(f"{self._below_run}{kind}/") for name in saved_members(self.path))
        return (self.path / kind).is_dir()

    def save(self, kind: str, ids: Sequence[str], labels: Labels | None, images: Images | Masks) -> None:
        """Writes a batch of pictures, each whole or not at all. Into shards they go by `whole_batch` alone.

        Args:
            kind: "original", "masks", "results" or "control".
            ids: image ids.
            labels: class ids, or None where they are unknown.
            images: RGB in [0, 1], or masks.
        """
        if self.image_format is None:
            raise UserError("`image_format` is needed to write pictures: jpg or png.")
        classes = [UNKNOWN] * len(ids) if labels is None else [str(int(label)) for label in labels]
        names = [f"{i}-{KINDS[kind]}-label-{c}.{self.image_format}" for i, c in zip(ids, classes, strict=True)]
        pictures = zip(names, levels(images), strict=True)
        with ThreadPoolExecutor(THREADS) as pool:
            if self._staged is None:
                list(pool.map(lambda one: self._write(self.path / kind / one[0], one[1]), pictures))
            else:
                contents = pool.map(lambda one: self._encoded(one[1]), pictures)
                self._staged |= {f"{self._below_run}{kind}/{name}": c for name, c in zip(names, contents, strict=True)}

    def _encoded(self, pixels: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"]) -> bytes:
        """The very bytes that `_write` would write."""
        file = io.BytesIO()
        suffix = f".{self.image_format}"
        Image.fromarray(pixels).save(file, Image.registered_extensions()[suffix], **FORMATS[str(self.image_format)])
        return file.getvalue()

    def _write(self, path: Path, pixels: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"]) -> None:
        with atomic_file(path) as temporary:
            Image.fromarray(pixels).save(temporary, **FORMATS[str(self.image_format)])

    def list(self, kind: str) -> Listing:
        """Image id to (picture, class id or None where unknown), sorted by id.

        Raises:
            FileNotFoundError: no such pictures.
            UserError: a file name outside the layout, an id that occurs twice, or a shard that is missing, cut short or
                damaged.
        """
        if self.packed:
            return self._list_packed(kind)
        folder = self._below(kind)
        found: Listing = {}
        for path in sorted(folder.glob("*.*")) if folder.is_dir() else []:
            if path.name.startswith(".") or path.suffix[1:] not in FORMATS:
                continue
            image_id, _, rest = path.stem.partition("-")
            class_id = rest.rpartition("-")[2]
            if not rest or not (class_id.isdecimal() or class_id == UNKNOWN):
                raise UserError(f"{path} is not named {{image-id}}-{KINDS[kind]}-label-{{class-id}}{path.suffix}.")
            if not path.resolve().is_relative_to(folder.resolve()):
                raise UserError(f"{path} is a link that leads out of its folder; put the picture itself there.")
            if image_id in found:
                raise UserError(
                    f"image id {image_id!r} occurs twice in {folder}: {found[image_id][0].name}, {path.name}."
                )
            found[image_id] = (path, None if class_id == UNKNOWN else int(class_id))
        if not found:
            raise FileNotFoundError(f"{folder} holds no pictures; a run folder has {', '.join(KINDS)} sub-folders.")
        return dict(sorted(found.items()))

    def _list_packed(self, kind: str) -> Listing:
        found: Listing = {}
        start = f"{self._below_run}{kind}/"
        for name, member in saved_members(self.path).items():
            if name.startswith(start):
                image_id, _, rest = member.stem.partition("-")
                class_id = rest.rpartition("-")[2]
                found[image_id] = (member, None if class_id == UNKNOWN else int(class_id))
        if not found:
            raise FileNotFoundError(f"{self.path / INDEX} lists no pictures of the kind {start[:-1]}.")
        return dict(sorted(found.items()))

    def _below(self, kind: str) -> Path:
        """The folder of a kind, which may be a link within the run's folder but not out of it."""
        folder = self.path / kind
        if folder.is_symlink() and not folder.resolve().is_relative_to(self.path.resolve()):
            raise UserError(
                f"{folder} is a link that leads out of the run's folder; put the pictures themselves there."
            )
        return folder

    def read(self, paths: Sequence[Picture]) -> Images:
        """See `read_pictures`."""
        return read_pictures(paths)

    def read_masks(self, paths: Sequence[Picture]) -> Masks:
        """Masks; True where a file's value is at least 128."""
        return self.read(paths)[:, :1] >= 128 / 255


def read_pictures(paths: Sequence[Picture]) -> Images:
    """Pictures as RGB in [0, 1].

    Raises:
        UserError: an unreadable file, or pictures of different sizes; named.
    """
    _give_back()
    with ThreadPoolExecutor(THREADS) as pool:
        images = list(pool.map(read_rgb, paths))
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise UserError(f"{path} is {image.shape[1]}x{image.shape[0]}, but {paths[0].name} is not: one size a run.")
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255)


def _give_back() -> None:
    """Returns what earlier batches have freed to the system, where glibc holds on to it.

    What is kept of a batch, a row of an embedding, lies in the hole that its pictures leave, and the next ones do not
    fit there: without this a run's peak grows by 0.4 MB a photo of 178 x 218. It costs 5 to 9 ms a photo.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none, and no such habit
        if trim is not None:
            trim(0)


def to_pillow(image: Float[Tensor, "3 h w"] | Tensor) -> Image.Image:
    """One picture or mask as an 8-bit Pillow image, rounded to the nearest level."""
    return Image.fromarray(levels(image[None])[0])


def levels(images: Images | Masks) -> UInt8[np.ndarray, "n h w 3"] | UInt8[np.ndarray, "n h w"]:
    """Pictures or masks in 8 bits, rounded to the nearest level."""
    pixels = (images.detach().cpu().float() * 255).round_().clamp_(0, 255).byte()  # a large batch is not copied again
    return (pixels[:, 0] if pixels.shape[1] == 1 else pixels.permute(0, 2, 3, 1).contiguous()).numpy()


def read_rgb(path: Picture) -> np.ndarray:
    """The pixels of a picture: height, width, RGB in 0-255.

    Raises:
        UserError: it cannot be read, whatever is wrong with it.
    """
    try:
        with Image.open(to_open(path)) as image:
            return np.asarray(image.convert("RGB"))
    except FAULTS as error:
        why = "its header asks for more memory than there is" if isinstance(error, MemoryError) else str(error)
        raise UserError(f"{path} cannot be read as a picture ({why}); run the cell again to write it anew.") from error
