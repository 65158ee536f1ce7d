"""A1: looks a person up in a gallery of other anonymised photos."""

from typing import final

import numpy as np

from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.attackers.embedding import embed_files, embedder_for, rank_findings, search
from privacy_exp.evaluation.attackers.pictures import LEARNT_FROM, check_photos, check_seed, own_cost, own_pictures
from privacy_exp.evaluation.identification import Identification
from privacy_exp.evaluation.measure import Cost, Findings, Measure, Scene
from privacy_exp.masking.target import Embeds
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.picture import Picture


@final
class Gallery(Measure):
    """Anonymises other photos of the same people and finds the nearest: training-free, identification only.

    The gallery is the training and validation photos, anonymised with a seed of the attacker's own; the probes are the
    run's results. Beside it stands the same search among originals.

    Args:
        judge: embeds the pictures; None takes the target's own embedding.
        seed: of the attacker's masks and noise, added to the run's; at least 1.
    """

    def __init__(self, judge: Embeds | None = None, seed: int = 1) -> None:
        self.judge = judge
        self.seed = check_seed(seed)

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo."""
        check_photos(data)

    def cost(self, data: FaceData, recognizer_frozen: bool, seed: int) -> Cost:
        """Anonymised training and validation photos; no fit."""
        del recognizer_frozen
        return own_cost(data, seed + self.seed)

    def measure(self, scene: Scene, name: str) -> Findings:
        """Rank-1, 5 and 10 among anonymised photos, and the recovered share."""
        folders = own_pictures(scene, name, self.seed)
        people = scene.table["identity"].to_numpy(str)
        clean, anonymized = (self._search(scene, folders, kind) for kind in ("original", "results"))
        return rank_findings(scene, name, people, clean, anonymized)

    def _search(self, scene: Scene, folders: dict[str, RunFolder], kind: str) -> Identification:
        embedder = embedder_for(self.judge, scene)
        paths: list[Picture] = []
        owners: list[str] = []
        for part in LEARNT_FROM:
            for path, label in folders[part].list(kind).values() if part in folders else ():
                paths.append(path)
                owners.append(scene.identities[label or 0])
        gallery = embed_files(embedder, paths, scene.device)
        listing = folders["test"].list(kind)
        probes = embed_files(embedder, [listing[i][0] for i in scene.table["image_id"]], scene.device)
        return search(probes, scene.table["identity"].to_numpy(str), gallery, np.array(owners))
