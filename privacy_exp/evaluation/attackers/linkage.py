"""A8: learns to link an anonymised photo to other photos of the person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from privacy_exp.data.base import FaceData
from privacy_exp.data.identity_split import groups_of, seeded_order
from privacy_exp.evaluation.attackers.closed_set import SHUFFLES, chance_metric
from privacy_exp.evaluation.attackers.effort import EFFORTS, check_effort
from privacy_exp.evaluation.attackers.embedding import embed_files, rank_findings
from privacy_exp.evaluation.attackers.link_head import Vectors, fit
from privacy_exp.evaluation.attackers.link_search import Side, first_photos, look_up, operate, sides, untrained
from privacy_exp.evaluation.attackers.pictures import LEARNT_FROM, check_photos, check_seed, own_cost, own_pictures
from privacy_exp.evaluation.attackers.several_photos import together
from privacy_exp.evaluation.identification import Identification
from privacy_exp.evaluation.judges.judge import Judge, groups_of_photos
from privacy_exp.evaluation.measure import Cost, Findings, Measure, Scene, recovered_share
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.evaluation.verification import Genuine, Threshold, accept_rate
from privacy_exp.masking.target import Embeds
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import Metric, UserError

Array = np.ndarray

FAR = 0.01
"""False accept rate of `tar_1e-2` and `dir_1e-2`."""

GALLERIES = (1, 5)
"""Originals a person in a gallery, besides all."""

STEPS = 50
"""Steps of a head at effort "quick"."""


@dataclass(frozen=True)
class Faces:
    """All photos through one embedding.

    Attributes:
        known: anonymised by the attacker: train and validation photos.
        originals: of the same photos; the gallery.
        asked: the run's results.
        clean: the test photos' originals.
    """

    known: Vectors
    originals: Vectors
    asked: Vectors
    clean: Vectors


@final
class Linkage(Measure):
    """Learns a head on each frozen embedding that links anonymised photos to other originals of the person.

    The embeddings are the target's and every judge's of the run. The people are split in two by the seed: a head learns
    from one half and is tried on the other, and the other way round, so that all test photos are probes and nobody is
    tested by a head that knows him. The gallery is the originals of the tested people's train and validation photos.
    A head is an addition to the embedding; the embedding as it is, the plain judge, is among its candidates.

    Args:
        counts: photos of a person that are put together: the mean of what the head makes of them.
        effort: "quick", "default" or "strong": 1, 3 or 10 times the training.
        seed: of the attacker's masks and noise (added to the run's), of the halves and of training; at least 1.
        ceiling: also learn from and try originals: the most that the attacker can link.
        shuffled_labels: also with the people of the anonymised photos permuted, five times: nothing can be linked.

    Reference: Oord et al., Representation Learning with Contrastive Predictive Coding, 2018 (InfoNCE).
    """

    needs_target = False

    def __init__(
        self,
        counts: Sequence[int] = (1, 2, 5, 10),
        effort: str = "default",
        seed: int = 1,
        ceiling: bool = True,
        shuffled_labels: bool = True,
    ) -> None:
        if not counts or min(counts) < 1:
            raise UserError(f"`counts` must be whole numbers of at least 1, but got {list(counts)}.")
        self.counts = tuple(counts)
        self.steps = STEPS * EFFORTS[check_effort(effort)]
        self.seed = check_seed(seed)
        self.ceiling = ceiling
        self.shuffled_labels = shuffled_labels

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo, and fewer than four people.

        Raises:
            UserError: see there.
        """
        check_photos(data)
        if len(data.identities) < 4:
            raise UserError(
                "`attacker=linkage` needs at least 4 identities, 2 to learn from and 2 to tell apart, but the data has "
                f"{len(data.identities)}. Add people, or leave this attacker out."
            )

    def cost(self, data: FaceData, recognizer_frozen: bool, seed: int) -> Cost:
        """Anonymised training and validation photos; a head is fitted in seconds."""
        del recognizer_frozen
        return own_cost(data, seed + self.seed)

    def measure(self, scene: Scene, name: str) -> Findings:
        """Ranks, TAR and open-set rate through each embedding; the recovered share of the strongest."""
        folders = own_pictures(scene, name, self.seed)
        assert scene.data is not None  # noqa: S101  `own_pictures` has refused a scene without data
        self.check(scene.data)
        found = Findings()
        for embedding, embedder in eyes_of(scene, name).items():
            self._try(scene, f"{name}/{embedding.rpartition('/')[2]}", seen_by(embedder, scene, folders), found)
        first = [seen for seen in found.outcomes if seen.name.count("/") == 2]
        found.metrics[f"{name}/recovered_share"] = recovered_share(*first)
        return found

    def _try(self, scene: Scene, name: str, faces: Faces, found: Findings) -> None:
        order = seeded_order(scene.identities, self.seed, "attacker's people")
        people = order[: len(order) // 2], order[len(order) // 2 :]
        halves = sides(faces.known, faces.originals, people, self.seed, self.steps)
        plain = untrained(halves)
        clean = look_up(plain, faces.clean, faces.originals)
        found.details[name.split("/", 2)[2]] = facts = {"heads": [vars(side.choice) for side in halves]}
        for n in self.counts:
            self._together(scene, name, n, halves, faces, found)
        own = rank_findings(scene, name, faces.asked.people, clean, look_up(halves, faces.asked, faces.originals))
        found.metrics |= own.metrics
        found.outcomes += own.outcomes
        facts |= own.details

        def rank_1(what: str, seen: Identification) -> None:
            hits, who = seen.rank_1[seen.known], faces.asked.people[seen.known]
            found.metrics[f"{name}/{what}"] = _flagged(clustered_rate(hits, who), own.outcomes[0].excluded)

        rank_1("untrained", look_up(plain, faces.asked, faces.originals))
        for count in GALLERIES:
            few = first_photos(faces.originals, count, self.seed)
            rank_1(f"gallery_{count}", look_up(halves, faces.asked, few))
        self._accept(name, halves, faces, own.outcomes[0].excluded, found, facts)
        if self.ceiling:
            best = sides(faces.originals, faces.originals, people, self.seed, self.steps)
            rank_1("ceiling", look_up(best, faces.clean, faces.originals))
        if self.shuffled_labels:
            self._shuffled(name, halves, faces, own.outcomes[0].excluded, found, facts)

    def _together(self, scene: Scene, name: str, n: int, halves: Sequence[Side], faces: Faces, found: Findings) -> None:
        """Several photos of a person as one probe (A6); one is what the attacker does anyway."""
        if n == 1:
            return
        rows = together(scene.table["image_id"].tolist(), faces.asked.people, n, scene.seed)
        if not len(rows):
            empty = Metric(None, None, None, 0, f"nobody has {n} test photos")
            found.metrics |= {f"{name}/n_{n}/{figure}": empty for figure in ("rank_1", "recovered_share")}
            return
        clean, seen = (
            look_up(who, photos, faces.originals, rows)
            for who, photos in ((untrained(halves), faces.clean), (halves, faces.asked))
        )
        own = rank_findings(scene, f"{name}/n_{n}", faces.asked.people[rows[:, 0]], clean, seen)
        found.metrics |= {m: own.metrics[m] for m in (f"{name}/n_{n}/rank_1", f"{name}/n_{n}/recovered_share")}
        found.outcomes += own.outcomes

    def _accept(
        self,
        name: str,
        halves: Sequence[Side],
        faces: Faces,
        excluded: str | None,
        found: Findings,
        facts: dict[str, Any],
    ) -> None:
        """TAR of pairs, and the open-set detection and identification rate, at FAR 1 % on originals."""
        at = operate(halves, faces.asked, faces.originals, faces.clean, FAR)
        few = None if at.accepted is not None else f"{at.impostors} impostor pairs, 3000 needed on each side"
        hits = np.zeros(len(at.probe)) if at.accepted is None else at.accepted.astype(np.float64)
        limit = Threshold(FAR, None if at.accepted is None else 0.5, at.impostors, few)
        tar = accept_rate(Genuine(hits, at.probe), limit, faces.asked.people)
        found.metrics[f"{name}/tar_1e-2"] = _flagged(tar, excluded)
        reason = f"{at.searches} searches for strangers, 100 needed on each side"
        found.metrics[f"{name}/dir_1e-2"] = (
            Metric(None, None, None, len(faces.asked.people), reason)
            if at.found is None
            else _flagged(clustered_rate(at.found, faces.asked.people), excluded)
        )
        facts |= {"strangers": at.searches, "false_accepts_anonymized": at.false_accepts}

    def _shuffled(
        self,
        name: str,
        halves: Sequence[Side],
        faces: Faces,
        excluded: str | None,
        found: Findings,
        facts: dict[str, Any],
    ) -> None:
        """The same heads trained and tried with the people of the anonymised photos permuted within each half."""
        hits, labels = [], []
        for shuffle in range(SHUFFLES):
            random = np.random.default_rng([self.seed, shuffle])
            known, asked = (_permuted(v, [s.people for s in halves], random) for v in (faces.known, faces.asked))
            tried = []
            for side, other in zip(halves, halves[::-1], strict=True):
                learnt = known.of(other.people), faces.originals.of(other.people)
                tried.append(replace(side, head=fit(*learnt, side.choice, self.seed)))
            seen = look_up(tried, asked, faces.originals)
            hits.append(seen.rank_1)
            labels.append(asked.people)
        metric, report = chance_metric(np.concatenate(hits), np.concatenate(labels), 1 / seen.num_identities)
        found.metrics[f"{name}/shuffled_labels"] = _flagged(metric, excluded)
        facts["shuffled_labels"] = report
        if not report["within"]:
            found.warnings.append(
                f"{name}: heads that learnt from permuted pairs link {metric.value:.3f} of them, more than 3 standard "
                f"errors from chance ({report['chance']:.3f}): something leaks."
            )


def eyes_of(scene: Scene, name: str) -> dict[str, Embeds]:
    """Embeddings at hand by name: the target's, where there is one, and every judge's.

    Raises:
        UserError: there is none.
    """
    own: dict[str, Embeds] = {"target": scene.recognizer} if scene.has_target else {}
    if not own and not scene.judges:
        raise UserError(f"{name} looks through embeddings, and there is none: choose a judge, such as judge=[onnx].")
    return {**own, **scene.judges}


def seen_by(embedder: Embeds, scene: Scene, folders: Mapping[str, RunFolder]) -> Faces:
    """All photos of a run through one embedding.

    Args:
        embedder: the target, or a judge.
        scene: the run.
        folders: see `own_pictures`.
    """
    assert scene.data is not None  # noqa: S101  `own_pictures` has refused a scene without data
    if isinstance(embedder, Judge):
        embedder.fit(scene)
    photos = [photo for part in LEARNT_FROM if part in folders for photo in scene.data.photos[part]]
    group = {p.id: g for g, members in groups_of(photos).items() for p in members}
    people, groups = np.array([str(p.identity) for p in photos]), np.array([group[p.id] for p in photos])
    tested = scene.table["identity"].to_numpy(str), groups_of_photos(scene)

    def rows(kind: str, ids: Sequence[str], *where: RunFolder) -> Array:
        files = {i: path for folder in where for i, (path, _) in folder.list(kind).items()}
        paths = [files[i] for i in ids]
        if isinstance(embedder, Judge):
            return embedder.viewer.files(scene, paths).vectors
        return embed_files(embedder, paths, scene.device)

    own = [folders[part] for part in LEARNT_FROM if part in folders]
    known, asked = [photo.id for photo in photos], scene.table["image_id"].tolist()
    return Faces(
        Vectors(rows("results", known, *own), people, groups),
        Vectors(rows("original", known, *own), people, groups),
        Vectors(rows("results", asked, scene.folder), *tested),
        Vectors(rows("original", asked, scene.folder), *tested),
    )


def _permuted(vectors: Vectors, sides_people: Sequence[Sequence[str]], random: np.random.Generator) -> Vectors:
    people = vectors.people.copy()
    for some in sides_people:
        own = np.flatnonzero(np.isin(vectors.people, list(some)))
        people[own] = people[random.permutation(own)]
    return replace(vectors, people=people)


def _flagged(metric: Metric, excluded: str | None) -> Metric:
    return replace(metric, reason=metric.reason or excluded)
