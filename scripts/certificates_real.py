"""Does a certificate of some real people hold for others? Pool calibrates, dev validates; then 200 splits of both.

usage: python scripts/certificates_real.py POOL DEV --model FACE_ONNX [--photos 4]      two folders in CelebA's layout
"""

import argparse

import numpy as np
import torch

from privacy_exp import Blur, CelebA, FaceOval, Faces
from privacy_exp.data.identity_split import by_identity, seeded_order
from privacy_exp.data.points import celeba_template
from privacy_exp.evaluation.certifying import View, lines, losses_of, recognised
from privacy_exp.evaluation.judges.embedder import embed
from privacy_exp.evaluation.judges.onnx import OnnxEmbedder
from privacy_exp.evaluation.statistics.certificate import people_needed
from privacy_exp.evaluation.verification import thresholds

RATIOS, ASIDE, VALIDATE, SPLITS, DELTA, FAR = (0.2, 0.35, 0.5), 0.3, 40, 200, 0.1, 0.01
BATCH = 16


class People:
    """Some photos of everybody: embeddings of originals and of what each ratio leaves."""

    def __init__(self, roots: list[str], model: str, each: int) -> None:
        embedder, parts = OnnxEmbedder(model), {name: [] for name in ("clean", *RATIOS)}
        self.who, self.male = [], {}
        for root in roots:
            data = CelebA(root)
            own = by_identity(data.index())
            photos = [p for name in sorted(own) for p in sorted(own[name], key=lambda p: p.id)[:each]]
            for start in range(0, len(photos), BATCH):
                some = photos[start : start + BATCH]
                pixels = torch.from_numpy(np.stack([data.read(p) for p in some])).permute(0, 3, 1, 2).float() / 255
                points = torch.tensor([p.landmarks for p in some]).float()
                faces = Faces([p.id for p in some], pixels, None, points, None)
                template = celeba_template(*pixels.shape[2:]).expand(len(some), 5, 2)
                parts["clean"].append(embed(embedder, pixels, template))
                for ratio in RATIOS:
                    masks = FaceOval().mask(faces, None, mask_ratio=ratio, seed=0)
                    parts[ratio].append(embed(embedder, Blur()(faces, masks), template))
                self.who += [str(p.identity) for p in some]
                self.male |= {str(p.identity): bool(p.attributes["Male"]) for p in some if p.attributes}
            print(f"{root}: {len(own)} people, {len(photos)} photos", flush=True)
        self.rows = {name: np.concatenate(own) for name, own in parts.items()}
        self.people = np.array(self.who)
        self.groups = np.array([f"photo/{i}" for i in range(len(self.who))])

    def threshold(self, names: list[str]) -> float:
        """At a false accept rate of 1 % of these people's originals."""
        own = np.isin(self.people, names)
        value = thresholds(self.rows["clean"][own], self.people[own], [FAR])[0].value
        assert value is not None
        return value

    def losses(self, names: list[str], threshold: float) -> dict[float, dict[str, float]]:
        """Ratio to person to loss."""
        own = np.isin(self.people, names)
        found = {}
        for ratio in RATIOS:
            rows = self.rows[ratio][own], self.rows["clean"][own]
            view = View(*rows, self.people[own], self.groups[own], threshold=threshold)
            found[ratio] = losses_of([recognised(view)], self.people[own])
        return found


def certified(losses: dict[float, dict[str, float]], alpha: float, names: list[str] | None = None):
    """The line of one method."""
    own = {r: np.array([at[u] for u in at if names is None or u in names]) for r, at in losses.items()}
    return lines({("face_oval", None): own}, alpha, DELTA)[0]


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("dev")
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", type=int, default=4, help="of each person, the first by id")
    args = parser.parse_args()
    everybody = People([args.pool, args.dev], args.model, args.photos)
    names = list(dict.fromkeys(everybody.who))
    dev = names[-VALIDATE:]
    pool = seeded_order(names[:-VALIDATE], 0, "set aside")
    cut = round(ASIDE * len(pool))
    threshold = everybody.threshold(pool[:cut])
    calibrating, validating = (everybody.losses(own, threshold) for own in (pool[cut:], dev))
    print(
        f"pool: {len(pool) - cut} people calibrate, {cut} set the threshold ({threshold:.3f}); dev: {len(dev)} validate"
    )
    for ratio in RATIOS[::-1]:
        risks = [np.mean(list(own[ratio].values())) for own in (calibrating, validating)]
        needed = people_needed(float(risks[0]), 0.05, DELTA)
        print(f"| {ratio} | {risks[0]:.3f} | {risks[1]:.3f} | {needed} |")
    for alpha in (0.05, 0.1, 0.2):
        for group in (None, True, False):
            own = [u for u in pool[cut:] if group in (None, everybody.male[u])]
            best = certified(calibrating, alpha, own).best
            print(f"α = {alpha}, Male={group}: {len(own)} people, certified {None if best is None else best.ratio}")
    random = np.random.default_rng(0)
    for alpha in (0.05, 0.1, 0.2):
        some = beyond = 0
        risks = []
        for _ in range(SPLITS):
            order = [names[i] for i in random.permutation(len(names))]
            validate, rest = order[:VALIDATE], order[VALIDATE:]
            cut = round(ASIDE * len(rest))
            threshold = everybody.threshold(rest[:cut])
            best = certified(everybody.losses(rest[cut:], threshold), alpha).best
            if best is not None:
                some += 1
                risks.append(np.mean(list(everybody.losses(validate, threshold)[best.ratio].values())))
                beyond += risks[-1] > alpha
        mean = np.mean(risks) if risks else float("nan")
        print(
            f"α = {alpha}: certified in {some} of {SPLITS}; validation's mean {mean:.3f}, above α in {beyond}",
            flush=True,
        )


if __name__ == "__main__":
    main()
