"""A3: learns an embedding from anonymised pictures of some people, and tells others apart by it."""

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from privacy_exp.data.base import FaceData
from privacy_exp.data.identity_split import PARTS, by_identity, groups_of, seeded_order
from privacy_exp.data.photo import Photo
from privacy_exp.evaluation.attackers.anonymized_faces import AnonymizedFaces
from privacy_exp.evaluation.attackers.closed_set import attempts, fits_of_attempts
from privacy_exp.evaluation.attackers.effort import EFFORTS, check_effort
from privacy_exp.evaluation.attackers.embedding import embed_files, rank_findings, search
from privacy_exp.evaluation.attackers.pictures import check_photos, check_seed, own_cost, own_pictures
from privacy_exp.evaluation.identification import Identification
from privacy_exp.evaluation.measure import Cost, Findings, Measure, Scene
from privacy_exp.recognition.base import Recognizer
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import UserError

ENROLLED = 0.75
"""Share of an unseen person's photos that the attacker knows."""


@final
class ParrotOpen(Measure):
    """Trained on anonymised pictures of half of the people; enrols and finds the other half, identification only.

    The people are split in two by the seed. The first half's training photos teach an embedding, as the target was
    fitted. Of each unseen person 75 % of the photos are enrolled and 25 % are probes, all of them anonymised; photos of
    one group stay on one side. Beside it stands the same attacker on originals: trained, enrolled and tried on them.

    Args:
        seed: of the attacker's masks and noise (added to the run's), and of both splits; at least 1.
        effort: "quick" takes the target's own budget, "default" and "strong" 3 and 10 times its epochs.
    """

    def __init__(self, seed: int = 1, effort: str = "quick") -> None:
        self.seed = check_seed(seed)
        self.times = EFFORTS[check_effort(effort)]

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo, and fewer than four people.

        Raises:
            UserError: see there.
        """
        check_photos(data)
        if len(data.identities) < 4:
            raise UserError(
                "`attacker=parrot_open` needs at least 4 identities, 2 to learn from and 2 to tell apart, but the data "
                f"has {len(data.identities)}. Add people, or leave this attacker out."
            )

    def cost(self, data: FaceData, recognizer_frozen: bool, seed: int) -> Cost:
        """Two fits on half of the people each, and twice that with a frozen trunk."""
        return own_cost(
            data, seed + self.seed, *fits_of_attempts(data, recognizer_frozen, self.times)
        )  # two on half of the people

    def measure(self, scene: Scene, name: str) -> Findings:
        """Rank-1, 5 and 10 among unseen people, and the recovered share."""
        folders = own_pictures(scene, name, self.seed)
        assert scene.data is not None  # noqa: S101  `own_pictures` has refused a scene without data
        self.check(scene.data)
        order = seeded_order(scene.identities, self.seed, "attacker's people")
        learnt, unseen = order[: len(order) // 2], order[len(order) // 2 :]
        enrolled, probes = self._enrol(scene.data, folders, unseen)
        searches = []
        for kind in ("original", "results"):
            parts = {part: folder for part, folder in folders.items() if part != "test"}
            data = AnonymizedFaces(scene.data, parts, kind, people=learnt)
            data.setup()
            recognizer = attempts(scene, data, self.times)[0].recognizer
            searches.append(self._search(scene, recognizer, folders, kind, enrolled, probes))
        people = np.array([str(photo.identity) for photo in probes])
        found = rank_findings(scene, name, people, *searches)
        found.details |= {"learnt": len(learnt), "enrolled": len(enrolled), "probes": len(probes)}
        return found

    def _enrol(
        self, data: FaceData, folders: Mapping[str, RunFolder], unseen: Sequence[str]
    ) -> tuple[list[Photo], list[Photo]]:
        photos = by_identity(photo for part in PARTS if part in folders for photo in data.photos[part])
        sides = [enrol(photos[person], self.seed) for person in sorted(unseen)]
        return [p for known, _ in sides for p in known], [p for _, asked in sides for p in asked]

    def _search(
        self,
        scene: Scene,
        recognizer: Recognizer,
        folders: Mapping[str, RunFolder],
        kind: str,
        enrolled: Sequence[Photo],
        probes: Sequence[Photo],
    ) -> Identification:
        files = {i: path for folder in folders.values() for i, (path, _) in folder.list(kind).items()}
        asked, known = (
            embed_files(recognizer, [files[photo.id] for photo in photos], scene.device)
            for photos in (probes, enrolled)
        )
        people, owners = (np.array([str(photo.identity) for photo in photos]) for photos in (probes, enrolled))
        return search(asked, people, known, owners)


def enrol(photos: Sequence[Photo], seed: int) -> tuple[list[Photo], list[Photo]]:
    """One person's photos: those that are enrolled, and those that are probes; whole groups on one side.

    At least one group is enrolled, and nearest to 75 % of the photos from there; a person with a single group of photos
    has no probe.

    Args:
        photos: of one person.
        seed: decides which.
    """
    groups = groups_of(photos)
    order = seeded_order(groups, seed, "enrolled")
    known, asked = list(groups[order[0]]), list[Photo]()
    for name in order[1:]:
        full = len(known) + len(groups[name]) / 2 > ENROLLED * len(photos)
        (asked if full else known).extend(groups[name])
    if not asked and len(order) > 1:
        last = groups[order[-1]]
        known, asked = [photo for photo in known if photo not in last], list(last)
    return known, asked
