"""Does a checkpoint paint the people it was trained on? Asks dlib for the training person nearest to each painted face.

usage: python scripts/memory_test.py TRAINED UNSEEN CHECKPOINT [--photos 600] [--out DIR]

TRAINED and UNSEEN are folders in CelebA's layout that share no person; the people whom the recipe painter_faces
held out are left aside. Half of each frame of UNSEEN is hidden around the face, which hides all of it, and painted. The
checkpoint passes unless the nearest training photo is nearer to the painted faces than to the originals (sign flips
over people). A face that looks like nobody in particular is near to everybody: the people held out are the control.
The ten nearest pairs are written to --out, for a look: they show real people.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import make_grid, save_image

from privacy_exp import CelebA, DiffusionInpainter, FaceOval, Faces
from privacy_exp.data.photo import Photo
from privacy_exp.data.points import celeba_template
from privacy_exp.evaluation.judges.dlib import DlibEmbedder
from privacy_exp.evaluation.judges.embedder import embed
from privacy_exp.evaluation.statistics.intervals import sign_flip_test
from privacy_exp.inpainting.training.faces import people_left_out

BATCH, PAIRS, DRAWS = 32, 10, 200


def pixels_of(data: CelebA, photos: list[Photo]) -> Tensor:
    """RGB in [0, 1]."""
    return torch.from_numpy(np.stack([data.read(photo) for photo in photos])).permute(0, 3, 1, 2).float() / 255


def vectors(data: CelebA, photos: list[Photo], painter: DiffusionInpainter | None = None) -> tuple[np.ndarray, Tensor]:
    """Descriptors by dlib, and the pictures, painted where a painter is given."""
    judge, found, pictures = DlibEmbedder(), [], []
    for start in range(0, len(photos), BATCH):
        own = photos[start : start + BATCH]
        images = pixels_of(data, own)
        if painter is not None:
            faces = Faces([photo.id for photo in own], images, None, None, None)
            images = painter(faces, FaceOval().mask(faces, None, mask_ratio=0.5, seed=0), seed=0)
        template = celeba_template(*images.shape[2:]).expand(len(own), 5, 2)
        found.append(embed(judge, images, template))
        pictures.append(images)
    return np.concatenate(found), torch.cat(pictures)


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Euclidean, each of one to each of the other; dlib takes up to 0.6 for the same person."""
    return np.asarray(torch.cdist(torch.from_numpy(one), torch.from_numpy(other)))


def main() -> None:
    """Prints the test's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained")
    parser.add_argument("unseen")
    parser.add_argument("checkpoint")
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("outputs/memory_test"))
    options = parser.parse_args()

    pool, dev = CelebA(options.trained), CelebA(options.unseen)
    photos = sorted(pool.index(), key=lambda photo: photo.id)
    aside = people_left_out(photos, 0.1, 0)
    who = np.array([str(photo.identity) for photo in photos])
    out = np.isin(who, [str(person) for person in aside])
    probes = sorted(dev.index(), key=lambda photo: photo.id)[: options.photos]
    people = np.array([str(photo.identity) for photo in probes])
    keys = {"num_inference_steps": 20, "guidance_scale": 3.0, "batch_size": BATCH}
    known, _ = vectors(pool, photos)
    real, originals = vectors(dev, probes)
    painted, pictures = vectors(dev, probes, DiffusionInpainter.from_pretrained(options.checkpoint, **keys))
    to = {"real": distances(real, known), "painted": distances(painted, known)}

    near = {name: rows[:, ~out].min(axis=1) for name, rows in to.items()}
    p = sign_flip_test(near["painted"], near["real"], people)
    passes = near["painted"].mean() >= near["real"].mean() or (p is not None and p > 0.05)
    print(
        f"{len(probes)} faces of {len(set(people))} people; {len(set(who[~out]))} people trained on, {len(aside)} "
        f"({out.sum()} photos) held out"
    )
    for name, values in near.items():
        print(f"{name:8s} distance to the nearest training photo: mean {values.mean():.3f}, lowest {values.min():.3f}")
    print(f"p {p:.4f}: {'passes' if passes else 'does NOT pass'}")

    draws, names = np.random.default_rng(0), np.unique(who[~out])
    drawn = [to["painted"][:, np.isin(who, draws.choice(names, len(aside), replace=False))] for _ in range(DRAWS)]
    ours, theirs = np.mean([rows.min(axis=1) for rows in drawn], axis=0), to["painted"][:, out].min(axis=1)
    p = sign_flip_test(ours, theirs, people)
    print(
        f"painted  nearest of {len(aside)} people: trained on {ours.mean():.3f}, held out {theirs.mean():.3f}, "
        f"p {p:.4f}"
    )

    options.out.mkdir(parents=True, exist_ok=True)
    training = np.flatnonzero(~out)
    tiles = []
    for row in np.argsort(near["painted"])[:PAIRS]:
        match = training[to["painted"][row, training].argmin()]
        own = float(distances(painted[row : row + 1], real[row : row + 1])[0, 0])
        print(
            f"pair: distance {near['painted'][row]:.3f}; original: its nearest {near['real'][row]:.3f}, to it {own:.3f}"
        )
        tiles += [originals[row], pictures[row], pixels_of(pool, [photos[match]])[0]]
    save_image(make_grid(torch.stack(tiles), nrow=6), options.out / "nearest.png")


if __name__ == "__main__":
    main()
