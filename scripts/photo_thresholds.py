"""Thresholds of observers that look at whole photos, from pairs of strangers: prints what `photos/looking.py` holds.

python scripts/photo_thresholds.py ROOT [--judges onnx,dlib]      ROOT in CelebA's layout; FACE_ONNX names the graph
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from privacy_exp.cache.keys import content_key
from privacy_exp.data.celeba import CelebA
from privacy_exp.evaluation.judges.dlib import DlibEmbedder
from privacy_exp.evaluation.judges.embedder import Embedder
from privacy_exp.evaluation.judges.onnx import OnnxEmbedder
from privacy_exp.photos.crops import CELEBA_SIZE, cut, placement
from privacy_exp.photos.finding import MTCNNFinder
from privacy_exp.photos.looking import Watcher, measured


def main() -> None:
    """Prints each observer's key, its thresholds and how often it accepts two photos of one person."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--judges", default="onnx,dlib")
    options = parser.parse_args()
    embedders: dict[str, Embedder] = {}
    for name in options.judges.split(","):
        embedders[name] = OnnxEmbedder(os.environ["FACE_ONNX"]) if name == "onnx" else DlibEmbedder()
    data = CelebA(root=str(options.root), split=[0.0, 0.0, 1.0], min_images_per_identity=1)
    data.setup()
    finder, crops, people = MTCNNFinder(), [], []
    for photo in tqdm(data.photos["test"]):
        pixels = data.read(photo)
        if found := finder.find(pixels):
            crops.append(cut(pixels, placement(found[0].landmarks, CELEBA_SIZE), CELEBA_SIZE))
            people.append(photo.identity)
    print(f"{len(crops)} of {len(data.photos['test'])} photos show a face, of {len(set(people))} people")
    _, who = np.unique(people, return_inverse=True)
    for name, embedder in embedders.items():
        vectors = Watcher(name, embedder, 0.0, 0.0).embed(torch.stack(crops))
        values = [measured(vectors, who, far) for far in (0.01, 0.001)]
        alike = vectors @ vectors.T
        same = (who[:, None] == who[None]) & ~np.eye(len(who), dtype=bool)
        taken = [float((alike[same] >= value).mean()) for value in values]
        key = content_key(embedder.fields())
        print(f"{name}: {key!r}: ({values[0]:.4f}, {values[1]:.4f})")
        print(f"    accepts {taken[0]:.3f} and {taken[1]:.3f} of pairs of one person")


if __name__ == "__main__":
    main()
