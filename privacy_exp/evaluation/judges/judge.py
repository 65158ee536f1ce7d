"""A judge: what a held-out recogniser still recognises on the anonymised pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from privacy_exp.data.base import FaceData
from privacy_exp.data.identity_split import groups_of
from privacy_exp.evaluation.identification import identify, rank_metrics
from privacy_exp.evaluation.judges.embedder import Embedded, Embedder, embed_batches
from privacy_exp.evaluation.judges.viewer import Viewer
from privacy_exp.evaluation.measure import Findings, Measure, Outcome, Scene
from privacy_exp.evaluation.statistics.intervals import bootstrap_mean, clustered_rate
from privacy_exp.evaluation.steering import repelling_weights, target_weights
from privacy_exp.evaluation.utility.frechet import frechet_metric
from privacy_exp.evaluation.verification import (
    PAIRS_NEEDED,
    Threshold,
    accept_rate,
    accepted_share,
    equal_error_rate,
    far_name,
    genuine_pairs,
    same_photo,
    thresholds,
)
from privacy_exp.types import Embeddings, Images, Metric, UserError

Array = np.ndarray

GATE_FAR = 0.01
"""False accept rate at which a judge must know people on the originals."""


@dataclass(frozen=True)
class Views:
    """The test photos and their anonymised pictures as the judge sees them, row by row.

    Attributes:
        clean: the originals.
        anonymized: the results.
        people: label of each photo.
        groups: of each photo; those of one group (the same shoot, near-duplicates) are never held against each other.
        found: thresholds, in the order of the rates asked for; the gate's first.
    """

    clean: Embedded
    anonymized: Embedded
    people: Int[Array, " n"]
    groups: Shaped[Array, " n"]
    found: list[Threshold]


class Judge(Measure):
    """Verification, identification and intrusion by an embedder that the masks never met.

    Thresholds come from pairs of originals alone. Below the gate, or where the painter was pushed away from this very
    network (`inpainting.repel`), all figures on anonymised pictures are flagged and the judge takes no part in
    `strongest_observer`.

    Args:
        embedder: what it sees with.
        detect: look for the face on each picture and align by it; where none is found, or with false, the data's
            template stands in.
        gate: lowest TAR at FAR 1 % on originals with which it counts.
        fars: false accept rates to report.
        batch_size: pictures at a time.

    Raises:
        UserError: a key outside its range.
    """

    def __init__(
        self,
        embedder: Embedder,
        detect: bool = True,
        gate: float = 0.9,
        fars: Sequence[float] = (0.01, 0.001),
        batch_size: int = 32,
    ) -> None:
        if not 0 <= gate <= 1:
            raise UserError(f"`gate` must lie in [0, 1], but got {gate}.")
        if not fars or not all(0 < far < 1 for far in fars):
            raise UserError(f"`fars` must be rates in (0, 1), but got {list(fars)}.")
        if batch_size < 1:
            raise UserError(f"`batch_size` must be at least 1, but got {batch_size}.")
        self.viewer = Viewer(embedder, detect and embedder.aligns, batch_size)
        self.gate = gate
        self.fars = tuple(float(far) for far in fars)

    def check(self, data: FaceData) -> None:
        """Asks the embedder once about two grey pictures, where it comes trained."""
        del data
        self.viewer.embedder.try_out()

    def measure(self, scene: Scene, name: str) -> Findings:
        """Embeds originals (from the store where they are) and results, and compares them.

        Raises:
            UserError: an original that cannot be embedded.
        """
        self.fit(scene)
        people = scene.table["label"].to_numpy(np.int64)
        clean = self.viewer.originals(scene)
        self._check(clean, list(scene.table["image_id"]), name)
        impostors = self.viewer.impostors(scene, clean, people)
        found = thresholds(*impostors, [GATE_FAR, *self.fars])
        views = Views(clean, self.viewer.see(scene, "results"), people, groups_of_photos(scene), found)
        findings = Findings()
        gate = self._verify(views, name, findings)
        excluded = "steered" if self.weights & repelling_weights(scene.config) else gate
        self._identify(views, scene.table["identity"].to_numpy(str), name, excluded, findings)
        self._count(views, name, findings)
        if excluded == "steered":
            findings.warnings.append(
                f"{name} takes no part in strongest_observer: inpainting.repel pushed faces away from its own weights."
            )
        elif scene.asks_target and self.weights & target_weights(scene.config):
            findings.warnings.append(f"{name} is a network that steered masks or painter: it is no held-out judge.")
        stem = name.rpartition("/")[2]
        findings.metrics[f"utility/frechet_{stem}"] = frechet_metric(clean.vectors, views.anonymized.vectors, people)
        if excluded is not None:
            flagged = {
                n: replace(m, reason=m.reason or excluded) for n, m in findings.metrics.items() if _is_privacy(n)
            }
            findings.metrics |= flagged
        if gate is not None:
            findings.warnings.append(f"{name} takes no part in strongest_observer: {self._gate_words(findings, name)}.")
        for far, behind in {far_name(t.far): t.pairs_of_people for t in found if t.few_people}.items():
            findings.warnings.append(
                f"{name}: {behind:.1f} pairs of people decide its threshold at a false accept rate of {far} "
                f"({PAIRS_NEEDED} needed): other people would put it elsewhere."
            )
        findings.details |= {
            "gate": self.gate,
            "thresholds": {far_name(t.far): t.value for t in found},
            "impostor_pairs": found[0].pairs,
            "impostor_pairs_of_people": {far_name(t.far): t.pairs_of_people for t in found},
            "impostor_photos": len(impostors[0]),
            "clean_equal_error_rate": equal_error_rate(clean.vectors, people, views.groups),
        }
        return findings

    def fit(self, scene: Scene) -> None:
        """Before `embed`: learns from the run what the embedder needs."""
        self.viewer.embedder.fit(scene)

    def embed(self, images: Images) -> Embeddings:
        """Unit embeddings, for attackers that look through a judge, aligned as this judge aligns; after `fit`.

        Args:
            images: RGB in [0, 1]; rows of NaN come back where embedding fails.
        """
        seen = embed_batches(self.viewer.embedder, [images], self.viewer.detect)
        return torch.from_numpy(seen.vectors).to(images.device)

    @property
    def weights(self) -> set[str]:
        """Digests of the weights that it sees with, where others may have them too."""
        fields = self.viewer.embedder.fields()
        return {str(fields[kind]) for kind in ("onnx", "facenet") if fields.get(kind)}

    def _check(self, clean: Embedded, ids: list[str], name: str) -> None:
        bad = [i for i, failed in zip(ids, clean.failed, strict=True) if failed]
        if bad:
            raise UserError(
                f"{name} gives NaN, infinite or zero embeddings for {len(bad)} originals, such as {bad[0]}: check its "
                "weights, `mean`, `std` and `image_size`."
            )

    def _verify(self, views: Views, name: str, findings: Findings) -> str | None:
        """TAR_cross, same_photo and intrusion; returns why the judge is excluded, or None."""
        cross = genuine_pairs(views.clean.vectors, views.anonymized.vectors, views.people, views.groups)
        clean = genuine_pairs(views.clean.vectors, views.clean.vectors, views.people, views.groups)
        own = same_photo(views.clean.vectors, views.anonymized.vectors)
        known = accept_rate(clean, views.found[0], views.people)
        findings.metrics[f"{name}/clean_tar_1e-2"] = known
        for threshold in views.found[1:]:
            far = far_name(threshold.far)
            findings.metrics[f"{name}/clean_tar_{far}"] = accept_rate(clean, threshold, views.people)
            findings.metrics[f"{name}/tar_cross_{far}"] = accept_rate(cross, threshold, views.people)
            findings.columns[f"{name}/tar_cross_{far}"] = accepted_share(cross, threshold, len(own))
            findings.metrics[f"{name}/same_photo_{far}"] = (
                Metric(None, None, None, len(own), threshold.reason)
                if threshold.value is None
                else clustered_rate(own >= threshold.value, views.people)
            )
        findings.columns[f"{name}/similarity_same_photo"] = own
        if known.value is None:
            return f"no_gate: {known.reason}"
        return "below_gate" if known.value < self.gate else None

    def _identify(
        self, views: Views, names: Sequence[str] | Array, name: str, gate: str | None, findings: Findings
    ) -> None:
        clean, seen = (
            identify(v.vectors, views.people, views.clean.vectors, views.people, views.groups, views.groups)
            for v in (views.clean, views.anonymized)
        )
        findings.metrics |= {f"{name}/clean_{k}": m for k, m in rank_metrics(clean, views.people).items()}
        findings.metrics |= {f"{name}/{k}": m for k, m in rank_metrics(seen, views.people).items()}
        findings.columns[f"{name}/rank_1"] = np.where(seen.known, seen.rank_1, np.nan)
        findings.metrics[f"{name}/intrusion"] = _intrusion(clean.best_other, seen.best_other, views)
        findings.details["gallery_identities"] = seen.num_identities
        known, chance = seen.known, 1 / seen.num_identities
        if known.any():
            who = np.asarray(names)[known]
            hits = clean.rank_1[known], seen.rank_1[known]
            findings.outcomes.append(Outcome(name, who, *hits, chance, gate, np.flatnonzero(known)))

    def _count(self, views: Views, name: str, findings: Findings) -> None:
        """By what each picture was aligned, and what could not be embedded."""
        for kind, seen in (("original", views.clean), ("anonymized", views.anonymized)):
            found = int(seen.detected.sum())
            by_template = len(seen.detected) - found
            findings.details[kind] = {
                "aligned_by_detection": found,
                "aligned_by_template": by_template,
                "not_embedded": int(seen.failed.sum()),
            }
            metric = Metric(None, None, None, len(seen.detected), "this judge does not detect")
            if self.viewer.detect:
                metric = clustered_rate(seen.detected, views.people)
            findings.metrics[f"{name}/detected" + ("" if kind == "original" else "_anonymized")] = metric
        if self.viewer.detect:
            findings.columns[f"{name}/detected_anonymized"] = views.anonymized.detected
        hidden = int(views.anonymized.failed.sum())
        if hidden:
            findings.warnings.append(f"{name} could not embed {hidden} anonymised pictures; they count as hidden.")

    def _gate_words(self, findings: Findings, name: str) -> str:
        known = findings.metrics[f"{name}/clean_tar_1e-2"]
        if known.value is None:
            return f"its TAR at FAR 1 % on originals is not known ({known.reason})"
        return f"its TAR at FAR 1 % on originals is {known.value:.3f}, below its gate of {self.gate:g}"


def groups_of_photos(scene: Scene) -> Shaped[Array, " n"]:
    """The group of each of the run's photos, as the data has them; a photo without one is a group of its own."""
    photos = [] if scene.data is None else scene.data.photos["test"]
    known = {photo.id: name for name, members in groups_of(photos).items() for photo in members}
    return np.array([known.get(i, f"photo/{i}") for i in scene.table["image_id"]])


def _intrusion(clean: Float[Array, " n"], seen: Float[Array, " n"], views: Views) -> Metric:
    """Share taken for somebody else at the smallest known FAR, minus the same for the originals."""
    usable = [t for t in views.found if t.value is not None]
    if not usable:
        return Metric(None, None, None, len(seen), views.found[0].reason)
    strictest = min(usable, key=lambda t: t.far).value
    taken = (seen >= strictest).astype(np.float64) - (clean >= strictest)
    return bootstrap_mean(taken, views.people)


def _is_privacy(name: str) -> bool:
    return not name.startswith("utility/") and "/clean_" not in name and not name.endswith("/detected")
