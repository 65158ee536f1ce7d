"""Damaged picture files through every reader of photos: each is read or refused by name, and nothing escapes.

usage: python scripts/fuzz_photos.py [--files 50000] [--seed 0]      some minutes on one core
"""

import argparse
import io
import random
import struct
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from privacy_exp.data.files import examine_image, read_image, upright_size
from privacy_exp.data.photo import BadImageError
from privacy_exp.photos.files import UnreadablePhotoError, encode, read_photo

ORIENTATIONS = {  # type, count and value of EXIF's orientation, as cameras and broken tools have written it
    "six": (3, 1, struct.pack("<HH", 6, 0)),
    "nine": (3, 1, struct.pack("<HH", 9, 0)),
    "zero": (3, 1, struct.pack("<HH", 0, 0)),
    "two": (3, 2, struct.pack("<HH", 6, 6)),
    "text": (2, 2, b"6\0\0\0"),
    "undefined": (7, 4, b"\6\0\0\0"),
    "byte": (1, 1, b"\6\0\0\0"),
    "rational": (5, 1, b"\xff\xff\0\0"),
    "float": (11, 1, struct.pack("<f", 6.0)),
    "large": (4, 1, struct.pack("<I", 70000)),
}


def whole_files() -> dict[str, bytes]:
    """Good files of every format that is read, and JPEG, PNG and WebP files with each of `ORIENTATIONS`."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(np.kron(rng.integers(0, 256, (10, 6, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x112], exif[0x10F], exif[0x11A] = 6, "maker", 72.0
    deep = Image.fromarray(rng.integers(0, 65536, (20, 10)).astype(np.uint16))
    files = {
        "jpeg": _bytes(image, "JPEG", exif=exif),
        "progressive": _bytes(image, "JPEG", progressive=True),
        "cmyk": _bytes(image.convert("CMYK"), "JPEG"),
        "png": _bytes(image, "PNG", exif=exif),
        "png of 16 bits": _bytes(deep, "PNG"),
        "palette": _bytes(image.convert("P"), "PNG", transparency=0),
        "webp": _bytes(image, "WEBP", exif=exif),
        "bmp": _bytes(image, "BMP"),
        "gif": _bytes(image.convert("P"), "GIF"),
        "tiff": _bytes(image, "TIFF"),
        "tiff of floats": _bytes(image.convert("F"), "TIFF"),
        "mpo": _bytes(image, "MPO", save_all=True, append_images=[image]),
        "ico": _bytes(image.resize((32, 32)), "ICO"),
        "ppm": _bytes(image, "PPM"),
        "tga": _bytes(image, "TGA"),
        "avif": _bytes(image, "AVIF"),
        "jpeg 2000": _bytes(image, "JPEG2000"),
    }
    blocks = {name: _tiff(*value) for name, value in ORIENTATIONS.items()} | {"noise": b"garbage!", "empty": b""}
    for name, block in blocks.items():
        for kind in ("JPEG", "PNG", "WEBP"):
            files[f"{kind} {name}"] = _bytes(image, kind, exif=b"Exif\0\0" + block)
    return files


def _bytes(image: Image.Image, kind: str, **keys: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **keys)
    return stream.getvalue()


def _tiff(kind: int, count: int, value: bytes) -> bytes:
    """An EXIF block whose one entry is the orientation."""
    return b"II" + struct.pack("<HIH", 42, 8, 1) + struct.pack("<HHI", 0x112, kind, count) + value + b"\0\0\0\0"


def damaged(content: bytes, draw: random.Random) -> bytes:
    """A file with a few bytes changed, mostly in its header, and at times cut short."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 10))):
        place = draw.randrange(min(len(changed), draw.choice((64, 400, len(changed)))))
        changed[place] = draw.choice((0, 255, 1, draw.randrange(256)))
    return bytes(changed[: draw.randrange(1, len(changed))] if draw.random() < 0.2 else changed)


def escapes(path: Path) -> list[str]:
    """What is wrong with how a file is read: errors that are not the readers' own, and readers that disagree."""
    found: list[str] = []

    def call(name, read, refusal):
        try:
            return read()
        except refusal as error:
            if str(path) not in str(error) or "\n" in str(error):
                found.append(f"{name}: refused without the file's name in one line")
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {str(error)[:60]}")
        return None

    examined = call("examine_image", lambda: examine_image(path), BadImageError)
    pixels = call("read_image", lambda: read_image(path), BadImageError)
    call("upright_size", lambda: upright_size(path), BadImageError)
    if pixels is not None and examined is not None and tuple(examined.size) != pixels.shape[:2]:
        found.append("examine_image and read_image disagree on the size")
    photo = call("read_photo", lambda: read_photo(path, ["Make", "DateTimeOriginal"]), UnreadablePhotoError)
    if photo is not None:
        try:
            again = encode(photo, photo.pixels, changed=True)
            if Image.open(io.BytesIO(again)).size[::-1] != photo.pixels.shape[:2]:
                found.append("encode: another size")
        except UnreadablePhotoError:
            pass
        except Exception as error:
            found.append(f"encode: {type(error).__name__}: {str(error)[:60]}")
    return found


def fuzz(files: int, seed: int, folder: Path) -> Counter[tuple[str, str]]:
    """How often each thing went wrong: (kind of file, what)."""
    draw, wrong, whole = random.Random(seed), Counter(), whole_files()
    for number in range(files):
        kind = draw.choice(list(whole))
        path = folder / f"{number}.jpg"
        path.write_bytes(damaged(whole[kind], draw))
        for what in escapes(path):
            if (kind, what) not in wrong:
                (folder / f"kept-{kind}-{len(wrong)}").write_bytes(path.read_bytes())
            wrong[kind, what] += 1
        path.unlink()
    return wrong


def main() -> None:
    """Prints the table; the exit code is 1 where something escaped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="fuzz_photos"))
    wrong = fuzz(arguments.files, arguments.seed, folder)
    for (kind, what), count in wrong.most_common():
        print(f"{count:6}  {kind}: {what}")
    print(f"{arguments.files} files, seed {arguments.seed}: {sum(wrong.values())} escapes; kept in {folder}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
