"""Observers of a certificate that act before a judge looks: filters, and heads that learnt to link."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from privacy_exp.data.identity_split import by_identity, seeded_order
from privacy_exp.data.photo import Photo
from privacy_exp.evaluation.attackers.effort import EFFORTS
from privacy_exp.evaluation.attackers.link_head import Vectors, check_disjoint, learn
from privacy_exp.evaluation.attackers.link_search import threshold_at
from privacy_exp.evaluation.attackers.linkage import STEPS
from privacy_exp.evaluation.attackers.purification import Purification
from privacy_exp.evaluation.certifying import View
from privacy_exp.evaluation.judges.embedder import embed_batches
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.evaluation.verification import PAIRS_NEEDED
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.calibrating import groups_by_photo
from privacy_exp.study.question import Question
from privacy_exp.types import UserError

Array = np.ndarray

FEWEST_TEACHERS = 4
"""People from whom a head can learn."""


@dataclass(frozen=True)
class Aside:
    """Those who do not calibrate, as a head of linkage needs them.

    Attributes:
        teachers: photos of the half of the people from whom it learns.
        others: photos of the other half, who set its threshold or are distractors.
    """

    teachers: list[Photo]
    others: list[Photo]

    @classmethod
    def of(cls, photos: Sequence[Photo], calibrating: Sequence[Photo], seed: int) -> "Aside":
        """Splits them in two by the seed.

        Raises:
            UserError: too few to learn from, or people who calibrate.
        """
        check_disjoint([str(p.identity) for p in photos], [str(p.identity) for p in calibrating])
        order = seeded_order(by_identity(photos), seed, "teachers")
        chosen = set(order[: len(order) // 2])
        if len(chosen) < FEWEST_TEACHERS:
            raise UserError(
                f"`attackers` linkage learns from half of the people set aside, at least {FEWEST_TEACHERS}, but "
                f"{len(chosen)} are there: raise `aside`, or leave it out."
            )
        return cls([p for p in photos if p.identity in chosen], [p for p in photos if p.identity not in chosen])


def washed(judge: Judge, plain: View, folder: RunFolder, seed: int) -> Iterator[View]:
    """The judge behind each filter of purification.

    Args:
        judge: after `fit`.
        plain: what it sees without.
        folder: the paintings.
        seed: of the noise.
    """
    listing, size = folder.list("results"), judge.viewer.batch_size
    ids = list(listing)
    parts = [ids[start : start + size] for start in range(0, len(ids), size)]
    for wash in Purification().washes(seed).values():
        batches = (wash(some, folder.read([listing[i][0] for i in some])).clamp(0, 1) for some in parts)
        yield replace(plain, probes=embed_batches(judge.viewer.embedder, batches, judge.viewer.detect).vectors)


def linked(
    plain: View, aside: Aside, taught: Float[Array, "n d"], known: dict[str, Array], question: Question, seed: int
) -> View:
    """The judge behind a head that learnt from the teachers' paintings.

    Its threshold is the similarity that a share `far` of pairs of two of the other people's originals exceed.

    Args:
        plain: what the judge sees without.
        aside: who teaches, and who sets the threshold.
        taught: the teachers' paintings through the judge.
        known: image id to original through the judge, of all who are set aside.
        question: how somebody is recognised.
        seed: of training.

    Raises:
        UserError: too few pairs for a threshold.
    """

    def vectors(photos: Sequence[Photo], rows: Array) -> Vectors:
        return Vectors(rows, np.array([str(p.identity) for p in photos]), groups_by_photo(photos)).usable()

    originals, others = (
        vectors(photos, np.stack([known[p.id] for p in photos])) for photos in (aside.teachers, aside.others)
    )
    head, _ = learn(vectors(aside.teachers, taught), originals, seed, STEPS * EFFORTS["default"])
    probes, gallery = head.probes(plain.probes), head.originals(plain.originals)
    if plain.distractors is not None:
        return replace(plain, probes=probes, originals=gallery, distractors=head.originals(others.rows))
    similar = head.probes(others.rows) @ head.originals(others.rows).T
    strangers = similar[others.people[:, None] != others.people]
    limit = threshold_at(strangers, question.far, PAIRS_NEEDED)
    if limit is None:
        raise UserError(
            f"`attackers` linkage has no threshold at a false accept rate of {question.far:g}: the people set aside "
            f"give {len(strangers)} pairs. Raise `aside` or `far`."
        )
    return replace(plain, probes=probes, originals=gallery, threshold=limit)
