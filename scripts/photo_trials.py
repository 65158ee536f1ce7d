"""What is found in whole photos, and who still recognises whom afterwards: the tables of docs/results/photos.md.

python scripts/photo_trials.py wild PHOTOS --faces faces.csv --out DIR     photos with known boxes; never commit DIR
python scripts/photo_trials.py ladder CELEBA [--photos 40 --share 0.35]    until=unrecognised against one fixed share
python scripts/photo_trials.py keep CELEBA [--photos 40]                  keep=[eyes] at equal area; keep_people

CELEBA is a folder in CELEBA's layout; FACE_ONNX names the graph of the judge `onnx`.
"""

import argparse
import csv
import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from photo_composites import compose
from PIL import Image

from privacy_exp.data.celeba import CelebA
from privacy_exp.evaluation.judges.dlib import DlibEmbedder
from privacy_exp.evaluation.judges.onnx import OnnxEmbedder
from privacy_exp.photos.crops import CELEBA_SIZE, cut, placement
from privacy_exp.photos.files import list_photos, read_photo
from privacy_exp.photos.finding import FaceFinder, Found, MTCNNFinder, overlap
from privacy_exp.photos.keeping import KnownPeople
from privacy_exp.photos.looking import Watcher, watcher
from privacy_exp.photos.treating import LADDER, Face, LookingAgain, PhotoAnonymizer, Pixels, Treated
from privacy_exp.study.stems import part

PAINTERS = ("mean_fill", "blur", "pixelate", "faces")
SHARES = (0.35, 0.6)
FINDER = MTCNNFinder()


class Blind(FaceFinder):
    """Finds nothing: where only recognition is asked, results need not be searched again."""

    def look(self, pixels: Pixels, min_size: float) -> list[tuple[np.ndarray, float, np.ndarray]]:
        """See `FaceFinder.look`."""
        del pixels, min_size
        return []


Photos = list[tuple[str, Pixels, list[Found]]]


class Remembering(Watcher):
    """An observer that embeds each crop once, however often it is asked."""

    seen: ClassVar[dict[bytes, np.ndarray]] = {}

    def embed(self, crops: torch.Tensor) -> np.ndarray:
        """See `Watcher.embed`."""
        keys = [hashlib.sha256(self.name.encode() + crop.numpy().tobytes()).digest() for crop in crops]
        if new := {key: crop for key, crop in zip(keys, crops, strict=True) if key not in self.seen}:
            vectors = super().embed(torch.stack(list(new.values())))
            self.seen.update(zip(new, vectors, strict=True))
        return np.stack([self.seen[key] for key in keys])


def watchers() -> tuple[Watcher, ...]:
    """MobileFaceNet and dlib, with their measured thresholds."""
    found = watcher("onnx", OnnxEmbedder(os.environ["FACE_ONNX"])), watcher("dlib", DlibEmbedder())
    return tuple(Remembering(one.name, one.embedder, one.threshold, one.strict) for one in found)


def treated(
    photos: Photos,
    painter: str,
    share: float,
    looking: LookingAgain,
    keep: Sequence[str] = (),
    finder: FaceFinder = FINDER,
) -> list[Treated]:
    """All photos, eight at a time."""
    treat = PhotoAnonymizer(part("masking", "face_oval"), part("inpainting", painter), share, finder, looking, keep)
    results = []
    for start in range(0, len(photos), 8):
        names, pixels, found = zip(*photos[start : start + 8], strict=True)
        results += treat(names, pixels, found)
    return results


def faces_of(results: Sequence[Treated]) -> list[Face]:
    """All faces of all photos."""
    return [face for result in results for face in result.faces]


def shares_known(faces: Sequence[Face], names: Sequence[str]) -> Iterator[str]:
    """Of each observer, and of any of them: how many faces it still recognises."""
    for name in names:
        yield f"{sum(name in face.recognised_by for face in faces)}"
    yield f"{sum(bool(face.recognised_by) for face in faces)}"


def row(*cells: object) -> None:
    """A line of a table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def wild(options: argparse.Namespace) -> None:
    """Found, treated and still recognised in real photos, and sheets of every face to look at."""
    known = defaultdict(list)
    for line in csv.DictReader(options.faces.open()):
        known[line["photo"]].append(tuple(float(line[side]) for side in ("left", "top", "right", "bottom")))
    photos: Photos = []
    for name in list_photos(options.root)[0]:
        pixels = read_photo(options.root / name).pixels
        photos.append((name, pixels, FINDER.find(pixels)))
    hits = [any(overlap(box, f.box) >= 0.4 for f in found) for name, _, found in photos for box in known[name]]
    others = [
        f"{name} at {[round(v) for v in f.box]}, score {f.score:.2f}"
        for name, _, found in photos
        for f in found
        if all(overlap(box, f.box) < 0.4 for box in known[name])
    ]
    total = sum(len(found) for *_, found in photos)
    print(f"{len(photos)} photos, {len(hits)} known faces, {sum(hits)} of them found; {total} boxes in all")
    print(f"boxes on no known face: {others or 'none'}")
    print(f"doubtful: {sum(f.doubtful for *_, found in photos for f in found)}")
    looking, columns = LookingAgain(watchers()), {}
    row("painter", "share", "treated", "recognised by onnx", "by dlib", "by either", "face found after")
    for painter in options.painters:
        for share in SHARES:
            results = treated(photos, painter, share, looking)
            faces = faces_of(results)
            after = sum(face.found_after for face in faces)
            row(painter, share, sum(f.treated for f in faces), *shares_known(faces, ("onnx", "dlib")), after)
            columns[f"{painter} {share}"] = results
    options.out.mkdir(parents=True, exist_ok=True)
    sheets(photos, columns, options.out)


def sheets(photos: Photos, columns: dict[str, list[Treated]], out: Path, side: int = 128, rows: int = 14) -> None:
    """Pictures of rows of faces: the original, then one result a setting, red where an observer still recognises it."""
    lines = []
    for i, (_, pixels, found) in enumerate(photos):
        for j, one in enumerate(found):
            tiles = [tile(pixels, one, side, known=False)]
            for results in columns.values():
                tiles.append(tile(results[i].pixels, one, side, bool(results[i].faces[j].recognised_by)))
            lines.append(np.concatenate(tiles, 1))
    for start in range(0, len(lines), rows):
        sheet = Image.fromarray(np.concatenate(lines[start : start + rows], 0))
        sheet.save(out / f"sheet_{start // rows}.png")


def tile(pixels: Pixels, one: Found, side: int, known: bool) -> np.ndarray:
    """A face with its surroundings; a red frame says that it is still recognised."""
    reach = 0.5 * one.size
    left, top = max(0, round(one.box[0] - reach)), max(0, round(one.box[1] - reach))
    piece = Image.fromarray(pixels[top : round(one.box[3] + reach), left : round(one.box[2] + reach)])
    piece.thumbnail((side - 6, side - 6))
    whole = Image.new("RGB", (side, side), (200, 30, 30) if known else (255, 255, 255))
    whole.paste(piece, ((side - piece.width) // 2, (side - piece.height) // 2))
    return np.asarray(whole)


def ladder(options: argparse.Namespace) -> None:
    """Composites: larger shares for those who are still recognised, against one share for all."""
    looking = watchers()
    photos = composites(options.root, options.photos)
    total = sum(len(found) for *_, found in photos)
    print(f"{len(photos)} composites, {total} faces found; a face counts where onnx or dlib still recognises it")
    row("painter", "rule", "still recognised", "mean share hidden", "largest share", "paintings per face")
    for painter in ("mean_fill", "blur"):
        steps = [options.share, *(share for share in LADDER if share > options.share)]
        again = faces_of(
            treated(photos, painter, options.share, LookingAgain(looking, "unrecognised", len(steps)), finder=Blind())
        )
        ladder_row(painter, "until=unrecognised", again)
        for number in range(1, len(steps)):
            left = sum(face.tries > number or bool(face.recognised_by) for face in again)
            print(f"after {number} of its paintings: {left} still recognised", flush=True)
        for share in steps:
            ladder_row(
                painter,
                f"fixed {share:g}",
                faces_of(treated(photos, painter, share, LookingAgain(looking), finder=Blind())),
            )


def ladder_row(painter: str, rule: str, faces: Sequence[Face]) -> None:
    """One rule's line."""
    left, hidden = sum(bool(face.recognised_by) for face in faces), [face.share for face in faces]
    tries = np.mean([face.tries for face in faces])
    row(painter, rule, f"{left} of {len(faces)}", f"{np.mean(hidden):.3f}", f"{max(hidden):.2f}", f"{tries:.2f}")


def composites(root: Path, count: int) -> Photos:
    """Photos of one to six people, as `photo_composites.py` makes them."""
    faces, boxes = [], []
    for _, pixels in test_photos(root, 600)[::3]:
        if found := FINDER.find(pixels):
            faces.append(pixels)
            boxes.append(np.array(found[0].box))
    rng = np.random.default_rng(0)
    canvases = [compose(faces, boxes, rng)[0] for _ in range(count)]
    return [(f"{i}.png", canvas, FINDER.find(canvas)) for i, canvas in enumerate(canvases)]


def test_photos(root: Path, count: int) -> list[tuple[str, Pixels]]:
    """Person and pixels of photos, people in turn."""
    data = CelebA(root=str(root), split=[0.0, 0.0, 1.0], min_images_per_identity=1)
    data.setup()
    own: dict[str, list[Pixels]] = defaultdict(list)
    for photo in data.photos["test"]:
        own[str(photo.identity)].append(data.read(photo))
    longest = max(map(len, own.values()))
    return [(who, own[who][i]) for i in range(longest) for who in sorted(own) if i < len(own[who])][:count]


def keep(options: argparse.Namespace) -> None:
    """What visible eyes cost at equal area, and who is kept by mistake."""
    people = test_photos(options.root, 5 * options.photos)
    photos = [(f"{i}", pixels, FINDER.find(pixels)[:1]) for i, (_, pixels) in enumerate(people[: options.photos])]
    looking = watchers()
    budget = CELEBA_SIZE[0] * CELEBA_SIZE[1]
    row("painter", "share", "keep", "faces", "pixels hidden, fewest to most", "onnx", "dlib", "either")
    for share in (0.35, 0.6):
        for regions in ((), ("eyes",)):
            faces = faces_of(treated(photos, "mean_fill", share, LookingAgain(looking), regions, Blind()))
            hidden = [round(face.share * budget) for face in faces]
            kept = " ".join(regions) or "nothing"
            counts = shares_known(faces, ("onnx", "dlib"))
            row("mean_fill", share, kept, len(faces), f"{min(hidden)} to {max(hidden)}", *counts)
    row("judge", "photos a person in the folder", "photos of kept people", "missed", "of others", "kept by mistake")
    names = sorted({who for who, _ in people})
    for number in (1, 3):
        for one in looking:
            row(one.name, number, *kept_people(people, names[::8], number, one))


def kept_people(people: list[tuple[str, Pixels]], known: list[str], number: int, one: Watcher) -> tuple[int, ...]:
    """Five people stay: counts of their other photos, of misses, of all others' photos, and of false keeps."""
    seen: dict[str, int] = defaultdict(int)
    rest = []
    with tempfile.TemporaryDirectory() as name:
        for who, pixels in people:
            if who in known and seen[who] < number:
                Image.fromarray(pixels).save(Path(name) / f"{who}_{seen[who]}.png")
                seen[who] += 1
            elif found := FINDER.find(pixels):
                rest.append((who in known, cut(pixels, placement(found[0].landmarks, CELEBA_SIZE), CELEBA_SIZE)))
        family = KnownPeople(Path(name), one, FINDER, CELEBA_SIZE)
    taken = [alike >= one.strict for _, alike in family.nearest(torch.stack([crop for _, crop in rest]))]
    own = [kept for (wanted, _), kept in zip(rest, taken, strict=True) if wanted]
    others = [kept for (wanted, _), kept in zip(rest, taken, strict=True) if not wanted]
    return len(own), len(own) - sum(own), len(others), sum(others)


def main() -> None:
    """Prints the tables of one trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trial", choices=("wild", "ladder", "keep"))
    parser.add_argument("root", type=Path)
    parser.add_argument("--faces", type=Path, help="boxes that are known: photo, left, top, right, bottom")
    parser.add_argument("--out", type=Path, default=Path("outputs/photo_trials"))
    parser.add_argument("--painters", nargs="+", default=PAINTERS, help="names of inpainting, for `wild`")
    parser.add_argument("--photos", type=int, default=None, help="how many; 40 composites or crops")
    parser.add_argument("--share", type=float, default=0.35, help="the ladder's first, of each crop")
    options = parser.parse_args()
    options.photos = options.photos or 40
    torch.set_num_threads(1)
    {"wild": wild, "ladder": ladder, "keep": keep}[options.trial](options)


if __name__ == "__main__":
    main()
