"""Whether `prepare` brings unaligned photos back, by the accuracy of recognition=onnx.

On aligned crops, and on what it makes of scaled, turned and shifted copies of them on larger canvases, one in ten
stored with an EXIF orientation.

python scripts/photo_prepare.py CELEBA --out DIR      CELEBA in CelebA's layout; FACE_ONNX names the graph
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from photo_composites import texture
from PIL import Image

from privacy_exp.data.celeba import CelebA

TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""EXIF orientation to the number of Pillow's transposition that stores a picture that way."""

TRAIN = [
    *("data=folder", "data.split=[0.4,0.1,0.5]", "recognition=onnx", "masking=center", "mask_ratio=0.1"),
    *("inpainting=mean_fill", "tracking=csv"),
]


def unaligned(face: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """The face somewhere on a larger canvas, at 0.7 to 2.5 times its size, turned by up to 25°."""
    scale, angle = float(rng.uniform(0.7, 2.5)), float(rng.uniform(-25, 25))
    size = (round(face.shape[1] * scale), round(face.shape[0] * scale))
    image = Image.fromarray(face).resize(size, Image.Resampling.LANCZOS)
    whole = Image.new("L", image.size, 255)
    image, shape = (one.rotate(angle, Image.Resampling.BICUBIC, expand=True) for one in (image, whole))
    width, height = (side + int(rng.integers(20, 300)) for side in image.size)
    canvas = Image.fromarray(texture(width, height, rng))
    canvas.paste(image, (int(rng.integers(width - image.width)), int(rng.integers(height - image.height))), shape)
    return canvas


def make(root: Path, out: Path) -> None:
    """Writes `aligned/` with landmarks, and `unaligned/`, both with one sub-folder per person."""
    data = CelebA(root=str(root), split=[0.0, 0.0, 1.0], min_images_per_identity=1)
    data.setup()
    rng, rows = np.random.default_rng(0), []
    for number, photo in enumerate(data.photos["test"]):
        pixels, name = data.read(photo), f"{photo.identity}/{photo.id}"
        for part in ("aligned", "unaligned"):
            (out / part / str(photo.identity)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(out / "aligned" / f"{name}.png")
        rows.append([f"{name}.png", *(v for point in photo.landmarks or () for v in point)])
        image, exif = unaligned(pixels, rng), Image.Exif()
        if number % 10 == 0:
            turn = 2 + number // 10 % 7
            image, exif[0x0112] = image.transpose(Image.Transpose(TURNS[turn])), turn
        image.save(out / "unaligned" / f"{name}.jpg", quality=92, exif=exif)
    with (out / "aligned" / "landmarks.csv").open("w", newline="") as file:
        points = (
            f"{part}_{axis}" for part in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth") for axis in "xy"
        )
        csv.writer(file).writerows([["image", *points], *rows])


def accuracy(data: Path, out: Path) -> str:
    """What `privacy-exp train` finds on the originals, as in its record."""
    subprocess.run(
        [sys.executable, "-m", "privacy_exp.train", *TRAIN, f"data.root={data}", f"hydra.run.dir={out}"], check=True
    )
    found = json.loads((out / "record.json").read_text())["metrics"]["accuracy"]
    return f"{found['value']:.4f} of {found['n']} photos"


def main() -> None:
    """Prints both accuracies, and how many photos were left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    make(options.root, options.out)
    command = [sys.executable, "-m", "privacy_exp.prepare"]
    folders = [f"people={options.out / 'unaligned'}", f"out={options.out / 'prepared'}"]
    subprocess.run([*command, *folders], check=True)
    for name in ("aligned", "prepared"):
        print(f"{name}: accuracy {accuracy(options.out / name, options.out / f'run_{name}')}", flush=True)


if __name__ == "__main__":
    main()
