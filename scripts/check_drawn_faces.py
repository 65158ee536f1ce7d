"""Measures the drawn faces: detection, landmarks, speed, where identity sits; and a grid to look at.

python scripts/check_drawn_faces.py detect speed grid identity --out DIR        any of the four; identity takes minutes
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from privacy_exp.data.drawn.drawing import Drawing, draw

FIRST = 5000
"""Identities from here on are measured: the default data set starts at 0."""


def photos(count: int, size: int) -> Iterator[Drawing]:
    """One photo each of `count` people."""
    for i in range(count):
        yield draw(0, FIRST + i, i % 7, size)


def detect(args: argparse.Namespace) -> None:
    """Share of faces that MTCNN finds in pictures enlarged twice, and its distance from the drawn points."""
    mtcnn, errors = MTCNN(device="cpu"), []
    for drawing in photos(args.count, args.size):
        large = cv2.resize(drawing.image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        boxes, _, points = mtcnn.detect(large, landmarks=True)
        if boxes is None:
            continue
        # MTCNN comes from MATLAB and counts pixels from 1; centres of enlarged pixels lie half a pixel off
        seen = (np.asarray(points[0], float) - 1 + 0.5) / 2 - 0.5
        eyes = np.linalg.norm(drawing.landmarks[1] - drawing.landmarks[0])
        errors.append(np.linalg.norm(seen - drawing.landmarks, axis=1) / eyes)
    table = np.array(errors)
    print(f"found {len(table) / args.count:.1%} of {args.count} faces of {args.size} px, enlarged twice")
    print(f"error in inter-ocular distances: mean {table.mean():.3f}, by point {table.mean(0).round(3).tolist()}")
    print(f"within 0.08: {(table <= 0.08).mean():.1%} of points, {(table.mean(1) <= 0.08).mean():.1%} of faces' means")


def _draw_many(job: tuple[int, int, int]) -> int:
    first, count, size = job
    for i in range(first, first + count):
        draw(0, i, 0, size)
    return count


def speed(args: argparse.Namespace) -> None:
    """Seconds for 1,000 photos of 96 px on two processes."""
    start = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        total = sum(pool.map(_draw_many, [(i * 100, 100, 96) for i in range(10)]))
    print(f"{total} photos of 96 px in {time.perf_counter() - start:.1f} s on 2 processes")


def grid(args: argparse.Namespace) -> None:
    """Sixty people, enlarged three times."""
    faces = [
        cv2.resize(draw(0, i, 0, args.size).image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC) for i in range(60)
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "drawn_faces.png"
    Image.fromarray(np.vstack([np.hstack(faces[row : row + 10]) for row in range(0, 60, 10)])).save(path)
    print(path)


def identity(args: argparse.Namespace) -> None:
    """Top-1 of a recogniser that sees the inner face alone, and of one that sees hair and outline alone."""
    inner = _top1(args, inner=True)
    outer = _top1(args, inner=False)
    print(f"{args.people} people, held-out photos: inner face {inner:.3f}, hair and outline {outer:.3f}")


def _pictures(args: argparse.Namespace, inner: bool) -> tuple[Tensor, Tensor]:
    """(people photos 3 h w) bytes and their labels; the inner face alone, or blanked."""
    rows = []
    for person in range(args.people):
        for k in range(args.photos):
            drawing = draw(0, FIRST + person, k, 64, ("hair", "skin", "background") if inner else ())
            picture = drawing.image if inner else np.where(drawing.oval[..., None], np.uint8(128), drawing.image)
            rows.append(picture.transpose(2, 0, 1))
    return torch.from_numpy(np.stack(rows)), torch.arange(args.people).repeat_interleave(args.photos)


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _prepare(images: Tensor, augment: bool) -> Tensor:
    x = images.float() / 255
    if augment:
        n = len(x)
        angle, scale, shift = torch.randn(n) * 0.05, 1 + torch.randn(n) * 0.04, torch.randn(n, 2) * 0.05
        cos, sin = scale * angle.cos(), scale * angle.sin()
        matrix = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1).reshape(n, 2, 3)
        lattice = F.affine_grid(matrix, list(x.shape), align_corners=False)
        x = F.grid_sample(x, lattice, padding_mode="border", align_corners=False)
        x = x * (1 + torch.randn(n, 1, 1, 1) * 0.12) + torch.randn(n, 1, 1, 1) * 0.05
    return (x - x.mean(dim=(2, 3), keepdim=True)) * 4


def _top1(args: argparse.Namespace, inner: bool) -> float:
    """Trains a small network on three quarters of each person's photos; accuracy on the rest."""
    torch.manual_seed(0)
    images, labels = _pictures(args, inner)
    held_out = torch.arange(len(labels)) % args.photos >= 0.75 * args.photos
    widths = [(3, 32, 2), (32, 64, 2), (64, 96, 1), (96, 128, 2), (128, 128, 1), (128, 192, 2)]
    net = nn.Sequential(*(_block(*w) for w in widths), nn.Flatten(), nn.Dropout(0.3), nn.Linear(192 * 16, args.people))
    train, test = torch.where(~held_out)[0], torch.where(held_out)[0]
    batches = -(-len(train) // 64)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=args.epochs * batches)
    for _ in range(args.epochs):
        net.train()
        for rows in train[torch.randperm(len(train))].split(64):
            loss = F.cross_entropy(net(_prepare(images[rows], augment=True)), labels[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()
    with torch.inference_mode():
        right = [net(_prepare(images[rows], augment=False)).argmax(1) == labels[rows] for rows in test.split(256)]
    return float(torch.cat(right).float().mean())


def main() -> None:
    """Runs the measures named on the command line."""
    measures = {"detect": detect, "speed": speed, "grid": grid, "identity": identity}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="+", choices=measures)
    parser.add_argument("--count", type=int, default=1000, help="faces for detect")
    parser.add_argument("--size", type=int, default=64, help="pixels, for detect and grid")
    parser.add_argument("--people", type=int, default=200, help="for identity")
    parser.add_argument("--photos", type=int, default=20, help="of each person, for identity")
    parser.add_argument("--epochs", type=int, default=14, help="for identity")
    parser.add_argument("--out", type=Path, default=Path("drawn_faces"), help="folder for the grid")
    args = parser.parse_args()
    for name in args.measures:
        measures[name](args)


if __name__ == "__main__":
    main()
