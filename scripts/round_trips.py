"""Does an autoencoder keep the person? Who judges recognise after its round trip, with nothing repainted.

usage: python scripts/round_trips.py CELEBA CHECKPOINT [--every 4]

CELEBA is a folder in CelebA's layout. Of every fourth photo an oval of a quarter of the frame is replaced by its encode
and decode, and dlib says whether that is the same person (distance below 0.6, its authors' threshold), and whether
another photo of the person is the nearest one. With FACE_ONNX set, that recogniser is asked the second question, too.
"""

import argparse
import os

import numpy as np
import torch

from privacy_exp import CelebA, DiffusionInpainter, FaceOval, Faces
from privacy_exp.data.points import celeba_template
from privacy_exp.evaluation.judges.dlib import DlibEmbedder
from privacy_exp.evaluation.judges.embedder import Embedder, embed
from privacy_exp.evaluation.judges.onnx import OnnxEmbedder

BATCH, SAME = 32, 0.6


def nearest_is_the_person(probes: np.ndarray, gallery: np.ndarray, people: np.ndarray) -> float:
    """Share of probes to which another photo of the person is nearer than anybody else's; their own does not count."""
    distances = np.linalg.norm(probes[:, None] - gallery[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((people[distances.argmin(axis=1)] == people).mean())


def main() -> None:
    """Prints the figures of each judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("celeba")
    parser.add_argument("checkpoint")
    parser.add_argument("--every", type=int, default=4)
    options = parser.parse_args()
    judges: dict[str, Embedder] = {"dlib": DlibEmbedder()}
    if "FACE_ONNX" in os.environ:
        judges["onnx"] = OnnxEmbedder(os.environ["FACE_ONNX"])
    data = CelebA(options.celeba)
    photos = sorted(data.index(), key=lambda photo: photo.id)[:: options.every]
    painter = DiffusionInpainter.from_pretrained(options.checkpoint, num_inference_steps=1)
    seen: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {name: ([], []) for name in judges}
    for start in range(0, len(photos), BATCH):
        own = photos[start : start + BATCH]
        images = torch.from_numpy(np.stack([data.read(photo) for photo in own])).permute(0, 3, 1, 2).float() / 255
        faces = Faces([photo.id for photo in own], images)
        masks = FaceOval().mask(faces, None, mask_ratio=0.25, seed=0)
        back = torch.where(masks, painter.round_trip(faces, masks), images)
        template = celeba_template(*images.shape[2:]).expand(len(own), 5, 2)
        for name, judge in judges.items():
            for kept, pictures in zip(seen[name], (images, back), strict=True):
                kept.append(embed(judge, pictures, template))
    people = np.array([str(photo.identity) for photo in photos])
    for name, parts in seen.items():
        before, after = (np.concatenate(part) for part in parts)
        if name == "dlib":
            apart = np.linalg.norm(before - after, axis=1)
            same = (apart < SAME).mean()
            print(f"dlib  same person: {same:.3f} of {len(apart)} photos, mean distance {apart.mean():.3f}")
        else:
            before, after = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (before, after))
        found = [nearest_is_the_person(one, before, people) for one in (before, after)]
        print(f"{name:5s} another photo of the person is nearest: {found[0]:.3f} before, {found[1]:.3f} after")


if __name__ == "__main__":
    main()
