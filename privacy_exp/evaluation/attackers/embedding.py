"""What attackers that compare faces share: embeddings of saved pictures, and findings from ranks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Shaped

from privacy_exp.evaluation.identification import Identification, identify, rank_metrics
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.evaluation.measure import Findings, Outcome, Scene, recovered_share
from privacy_exp.masking.target import Embeds
from privacy_exp.runs.folder import read_pictures
from privacy_exp.runs.picture import Picture

Array = np.ndarray

BATCH = 32
"""Pictures at a time."""


def embedder_for(judge: Embeds | None, scene: Scene) -> Embeds:
    """What an attacker looks through: the judge it was given, ready for this run, else the target."""
    if isinstance(judge, Judge):
        judge.fit(scene)
    return judge or scene.recognizer


@torch.inference_mode()
def embed_files(embedder: Embeds, paths: Sequence[Picture], device: torch.device) -> Float[Array, "n d"]:
    """Embeddings of picture files, in their order; rows of NaN where embedding fails.

    Args:
        embedder: what looks at them.
        paths: the files, all of one size.
        device: where pictures go.
    """
    found = []
    for start in range(0, len(paths), BATCH):
        some = paths[start : start + BATCH]
        embeddings = embedder.embed(read_pictures(some).to(device)).float().cpu().numpy()
        found.append(np.where(np.isfinite(embeddings).all(axis=1, keepdims=True), embeddings, np.nan))
    return np.concatenate(found)


def search(
    probes: Float[Array, "n d"],
    people: Shaped[Array, " n"],
    gallery: Float[Array, "m d"],
    owners: Shaped[Array, " m"],
) -> Identification:
    """`identify` without the photos of the gallery that could not be embedded.

    A probe that could not be embedded ties with everybody.

    Args:
        probes: rows of unit norm, or of NaN.
        people: who is on them.
        gallery: rows of unit norm, or of NaN.
        owners: who is on them.
    """
    usable = ~np.isnan(gallery).any(axis=1)
    return identify(probes, people, gallery[usable], owners[usable])


def rank_findings(
    scene: Scene, name: str, people: Shaped[Array, " n"], clean: Identification, anonymized: Identification
) -> Findings:
    """Rank-1, 5 and 10 on anonymised probes, the recovered share, and the outcome.

    Args:
        scene: the run.
        name: prefix of the metrics.
        people: who is on each probe.
        clean: the same search on originals.
        anonymized: the search on anonymised probes.
    """
    chance = 1 / anonymized.num_identities
    excluded = "below_gate" if float(clean.rank_1.mean()) < scene.gate else None
    seen = Outcome(name, people, clean.rank_1, anonymized.rank_1, chance, excluded)
    ranks = rank_metrics(anonymized, people).items()
    metrics = {f"{name}/{rank}": replace(metric, reason=metric.reason or excluded) for rank, metric in ranks}
    metrics[f"{name}/recovered_share"] = recovered_share(seen)
    details = {"rank_1_clean": float(clean.rank_1.mean()), "identities": anonymized.num_identities, "chance": chance}
    return Findings(metrics, outcomes=[seen], details=details)
