"""A6: puts several anonymised photos of one person together."""

from collections.abc import Sequence
from typing import final

import numpy as np
from jaxtyping import Float, Int, Shaped

from privacy_exp.data.base import FaceData
from privacy_exp.data.identity_split import seeded_order
from privacy_exp.evaluation.attackers.embedding import embed_files, embedder_for, rank_findings, search
from privacy_exp.evaluation.attackers.pictures import check_photos, originals
from privacy_exp.evaluation.identification import RANKS
from privacy_exp.evaluation.measure import Findings, Measure, Scene
from privacy_exp.masking.target import Embeds
from privacy_exp.types import Metric, UserError

Array = np.ndarray


@final
class SeveralPhotos(Measure):
    """Knows that n anonymised photos show one person, and looks their mean embedding up among originals.

    The gallery is the originals of the training photos. Each test photo starts one probe, completed by n - 1 others of
    the same person; people with fewer than n photos take no part in the figure for n, so that its n and people differ.

    Args:
        counts: the n that are tried.
        judge: embeds the pictures; None takes the target's own embedding.
    """

    def __init__(self, counts: Sequence[int] = (1, 2, 5, 10), judge: Embeds | None = None) -> None:
        if not counts or min(counts) < 1:
            raise UserError(f"`counts` must be whole numbers of at least 1, but got {list(counts)}.")
        self.counts = tuple(counts)
        self.judge = judge

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo."""
        check_photos(data)

    def measure(self, scene: Scene, name: str) -> Findings:
        """Rank-1, 5, 10 and the recovered share for each n; null where nobody has so many photos."""
        embedder = embedder_for(self.judge, scene)
        known = originals(scene, name, "train").list("original")
        gallery = embed_files(embedder, [path for path, _ in known.values()], scene.device)
        owners = np.array([scene.identities[label or 0] for _, label in known.values()])
        ids, people = scene.table["image_id"].tolist(), scene.table["identity"].to_numpy(str)
        embeddings = []
        for kind in ("original", "results"):
            listing = scene.folder.list(kind)
            embeddings.append(embed_files(embedder, [listing[i][0] for i in ids], scene.device))
        found = Findings()
        for n in self.counts:
            rows = together(ids, people, n, scene.seed)
            if not len(rows):
                found.metrics |= _nobody(f"{name}/n_{n}", f"nobody has {n} test photos")
                continue
            asked = people[rows[:, 0]]
            clean, anonymized = (search(mean_of_rows(e, rows), asked, gallery, owners) for e in embeddings)
            own = rank_findings(scene, f"{name}/n_{n}", asked, clean, anonymized)
            found.metrics |= own.metrics
            found.outcomes += own.outcomes
            found.details[f"n_{n}"] = {**own.details, "people": len(np.unique(asked)), "probes": len(rows)}
        return found


def together(ids: Sequence[str], people: Shaped[Array, " m"], n: int, seed: int) -> Int[Array, "probes n"]:
    """Rows of n photos that show one person: a probe a photo, which it starts with, each photo in n probes.

    Args:
        ids: image ids.
        people: who is on them.
        n: photos a probe; people with fewer have none.
        seed: of the order in which a person's photos follow each other.
    """
    row = {image_id: i for i, image_id in enumerate(ids)}
    found: list[list[int]] = []
    for person in np.unique(people):
        own = [
            row[i] for i in seeded_order([i for i, who in zip(ids, people, strict=True) if who == person], seed, "n")
        ]
        if len(own) >= n:
            found += [[own[(start + k) % len(own)] for k in range(n)] for start in range(len(own))]
    return np.array(sorted(found), dtype=np.int64).reshape(-1, n)


def mean_of_rows(embeddings: Float[Array, "m d"], rows: Int[Array, "probes n"]) -> Float[Array, "probes d"]:
    """The mean embedding of each probe's photos at unit length, without those that failed; 0 where nothing is left."""
    means = np.nan_to_num(embeddings[rows]).sum(axis=1)
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def _nobody(name: str, reason: str) -> dict[str, Metric]:
    names = [f"rank_{k}{suffix}" for k in RANKS for suffix in ("", "_normalised")]
    return {f"{name}/{metric}": Metric(None, None, None, 0, reason) for metric in [*names, "recovered_share"]}
