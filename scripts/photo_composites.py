"""How many faces of known place and size are found and treated in whole photos made of aligned faces.

python scripts/photo_composites.py ROOT --out DIR [--photos 200]      ROOT in CelebA's layout; never commit DIR
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from privacy_exp.data.celeba import CelebA
from privacy_exp.inpainting.controls import MeanFill
from privacy_exp.masking.face_oval import FaceOval
from privacy_exp.photos.files import MARK, encode, read_photo
from privacy_exp.photos.finding import MTCNNFinder, overlap
from privacy_exp.photos.treating import PhotoAnonymizer

FORMATS = (".jpg", ".png", ".webp", ".bmp", ".tif", ".gif", ".ppm", ".jp2", ".avif", ".tga", ".jpeg", ".tiff")
GPS = (52.0, 31.0, 12.0)
SIDES = (32, 40, 48, 64, 96, 128, 200, 300, 400)
"""Sides of face boxes, in pixels."""


def texture(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A canvas without a face: smooth noise of several scales in two colours."""
    field = sum(gaussian_filter(rng.normal(size=(height, width)), s) * s for s in (1, 4, 16, 48))
    field = (field - field.min()) / np.ptp(field)
    a, b = rng.uniform(0, 255, (2, 3))
    return (a + field[..., None] * (b - a)).clip(0, 255).astype(np.uint8)


def place(
    canvas: np.ndarray, face: np.ndarray, box: np.ndarray, side: float, angle: float, x: int, y: int
) -> list[float]:
    """Puts a crop on the canvas so that its face's box has this side; returns the box on the canvas."""
    scale = side / (box[2] - box[0])
    image = Image.fromarray(face).resize(
        (round(face.shape[1] * scale), round(face.shape[0] * scale)), Image.Resampling.LANCZOS
    )
    alpha = Image.new("L", image.size, 255)
    turned, shape = (one.rotate(angle, Image.Resampling.BICUBIC, expand=True) for one in (image, alpha))
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]) * scale - np.array(image.size) / 2
    turn = np.deg2rad(-angle)
    middle = (
        np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ middle + np.array(turned.size) / 2
    )
    whole = Image.fromarray(canvas)
    whole.paste(turned, (x, y), shape)
    canvas[:] = np.asarray(whole)
    tall = side * (box[3] - box[1]) / (box[2] - box[0])
    left, top = x + middle[0] - side / 2, y + middle[1] - tall / 2
    return [left, top, left + side, top + tall]


def compose(
    faces: list[np.ndarray], boxes: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, list[list[float]]]:
    """A photo of 1 to 6 people in a row of free places."""
    count = int(rng.integers(1, 7))
    sides = [float(rng.choice(SIDES[:7] if count > 3 else SIDES)) for _ in range(count)]
    rows, left, known = max(sides) * 5, 10, []
    cells = [round(side * 4.2) for side in sides]
    canvas = texture(sum(cells) + 20, round(rows) + 20, rng)
    for side, cell in zip(sides, cells, strict=True):
        i = int(rng.integers(len(faces)))
        y = int(rng.integers(5, max(6, canvas.shape[0] - cell - 5)))
        known.append(place(canvas, faces[i], boxes[i], side, float(rng.uniform(-30, 30)), left, y))
        left += cell
    return canvas, known


def main() -> None:
    """Prints one line per question and writes `composites.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=200)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = CelebA(root=str(options.root), split=[0.0, 0.0, 1.0], min_images_per_identity=1)
    data.setup()
    finder = MTCNNFinder()
    faces, boxes = [], []
    for photo in data.photos["test"][::3]:
        pixels = data.read(photo)
        if found := finder.find(pixels):
            faces.append(pixels)
            boxes.append(np.array(found[0].box))
    treat = PhotoAnonymizer(FaceOval(aspect=1.3), MeanFill())
    rng = np.random.default_rng(0)
    hits: dict[int, list[bool]] = {side: [] for side in SIDES}
    false = outside = planted = unmarked = unread = 0
    for number in range(options.photos):
        canvas, known = compose(faces, boxes, rng)
        suffix, turn = FORMATS[number % len(FORMATS)], 1 + number % 8
        path = options.out / f"composite{suffix}"
        exif = Image.Exif()
        exif[0x010E] = "planted description"
        exif.get_ifd(0x8825)[2] = GPS
        image = Image.fromarray(canvas)
        oriented = suffix in (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
        if oriented:
            exif[0x0112] = turn
            inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
            image = image.transpose(Image.Transpose(inverse[turn])) if turn > 1 else image
        keys = {"exif": exif} if oriented else {}
        image.save(path, **({**keys, "quality": 92} if suffix in (".jpg", ".jpeg", ".webp", ".avif") else keys))
        photo = read_photo(path)
        unread += photo.pixels.shape != canvas.shape
        (treated,) = treat([path.name], [photo.pixels], [finder.find(photo.pixels)])
        for box in known:
            side = round(box[2] - box[0])
            hits[side].append(any(overlap(tuple(box), face.found.box) >= 0.4 for face in treated.faces))
        false += sum(all(overlap(tuple(box), face.found.box) < 0.2 for box in known) for face in treated.faces)
        outside += int((treated.pixels != photo.pixels).any(2)[~treated.touched].sum())
        content = encode(photo, treated.pixels, treated.changed)
        planted += b"planted" in content or b"\x00\x00\x00\x34\x00\x00\x00\x01" in content
        unmarked += treated.changed and MARK.encode() not in content
    empty = [texture(900, 600, rng) for _ in range(50)]
    clean = sum(not finder.find(one) for one in empty)
    table = {side: [sum(row), len(row)] for side, row in hits.items()}
    large = [one for side, row in hits.items() if side >= 40 for one in row]
    result = {
        "recall_from_40": [sum(large), len(large)],
        "recall_by_side": table,
        "false_boxes": false,
        "photos": options.photos,
        "changed_outside": outside,
        "planted_found": planted,
        "changed_without_mark": unmarked,
        "wrong_orientation": unread,
        "textures_without_a_face": [clean, 50],
    }
    (options.out / "composites.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
