"""A4: learns to undo the anonymisation, and has judges look at what it restores."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np
import torch

from privacy_exp.cache.sources import sources
from privacy_exp.data.base import FaceData
from privacy_exp.data.identity_split import groups_of, seeded_order
from privacy_exp.evaluation.attackers.closed_set import SHUFFLES, chance_metric
from privacy_exp.evaluation.attackers.effort import EFFORTS, check_effort
from privacy_exp.evaluation.attackers.embedding import embed_files, rank_findings
from privacy_exp.evaluation.attackers.link_head import Choice, LinkHead, Vectors, check_disjoint
from privacy_exp.evaluation.attackers.link_search import Side, look_up
from privacy_exp.evaluation.attackers.linkage import eyes_of
from privacy_exp.evaluation.attackers.picture_pairs import Pairs, digests, joined, pairs_of
from privacy_exp.evaluation.attackers.pictures import LEARNT_FROM, check_photos, check_seed, own_cost, own_pictures
from privacy_exp.evaluation.attackers.several_photos import together
from privacy_exp.evaluation.attackers.unet import Budget, Restorer, restored, step_seconds, train
from privacy_exp.evaluation.judges.judge import Judge, groups_of_photos
from privacy_exp.evaluation.measure import Cost, Findings, Measure, Scene, recovered_share
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.evaluation.utility.pixels import psnr
from privacy_exp.masking.target import Embeds
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.grid import SHOWN
from privacy_exp.runs.picture import Picture
from privacy_exp.types import Images, UserError

log = logging.getLogger(__name__)

Array = np.ndarray

HELD_BACK = 0.3
"""Share of the attacker's people by whom the number of steps is chosen."""

STATE = "restorer.pt"


@final
class Reconstruction(Measure):
    """Trains a U-Net from anonymised photos to their originals on half of the people, and restores the other half's.

    The people are split in two by the seed, and each half is restored by a network that learnt from the other. Every
    judge of the run looks the restored photos up among originals of the tested people's training and validation photos.
    The loss is the mean absolute error and the turn of the target's embedding, which then does not score; where the run
    has no judge the error alone, and the target scores. Untrained, the network changes nothing, which is among its
    choices.

    Args:
        knows_mask: the network is given the masks as well.
        steps: of 16 pictures, at effort "quick".
        effort: "quick", "default" or "strong": 1, 3 or 10 times the steps.
        minutes: most minutes for each of the two fits, which go on where they were killed; None sets no limit.
        width: channels of the U-Net's first level, a multiple of 8.
        size: the U-Net works on as many pixels as a square of this side has, whatever larger pictures have; None lets
            it work on all of them. What it restores always has the pictures' own size.
        counts: restored photos of a person that are put together.
        seed: of the attacker's masks and noise (added to the run's), of the halves and of training; at least 1.
        shuffled_labels: also train on originals of other people, five times: nothing can be restored.
    """

    needs_target = False

    def __init__(
        self,
        knows_mask: bool = False,
        steps: int = 300,
        effort: str = "default",
        minutes: float | None = 30.0,
        width: int = 32,
        size: int | None = 64,
        counts: Sequence[int] = (1, 2, 5, 10),
        seed: int = 1,
        shuffled_labels: bool = False,
    ) -> None:
        if not counts or min(counts) < 1:
            raise UserError(f"`counts` must be whole numbers of at least 1, but got {list(counts)}.")
        if steps < 1:
            raise UserError(f"`steps` must be at least 1, but got {steps}.")
        if minutes is not None and minutes <= 0:
            raise UserError(f"`minutes` must be above 0, or null, but got {minutes}.")
        if width < 8 or width % 8:
            raise UserError(f"`width` must be a multiple of 8, but got {width}.")
        if size is not None and size < 8:
            raise UserError(f"`size` must be at least 8, or null for every pixel, but got {size}.")
        self.knows_mask, self.minutes, self.width, self.size = knows_mask, minutes, width, size
        self.steps = steps * EFFORTS[check_effort(effort)]
        self.counts, self.seed, self.shuffled_labels = tuple(counts), check_seed(seed), shuffled_labels

    def check(self, data: FaceData) -> None:
        """Refuses people with a single photo, and fewer than four people.

        Raises:
            UserError: see there.
        """
        check_photos(data)
        if len(data.identities) < 4:
            raise UserError(
                "`attacker=reconstruction` needs at least 4 identities, 2 to learn from and 2 to tell apart, but the "
                f"data has {len(data.identities)}. Add people, or leave this attacker out."
            )

    def cost(self, data: FaceData, recognizer_frozen: bool, seed: int) -> Cost:
        """Anonymised training and validation photos, and two trainings, each of `minutes` at most."""
        del recognizer_frozen
        count = 2 * (1 + SHUFFLES * self.shuffled_labels)
        return replace(own_cost(data, seed + self.seed), trainings=((count, self._seconds),))

    def _seconds(self, target: Embeds, photos: Images) -> float:
        """Of one training, from a step on these photos."""
        net = Restorer(self.width, self.knows_mask, self.seed, self.size).to(photos.device)
        masks = torch.ones(len(photos), 1, *photos.shape[2:], dtype=torch.bool) if self.knows_mask else None
        levels = (photos.cpu() * 255).round().byte()
        seconds = self.steps * step_seconds(net, Pairs(levels, levels, masks), target.embed, photos.device)
        return seconds if self.minutes is None else min(seconds, 60 * self.minutes)

    def measure(self, scene: Scene, name: str) -> Findings:
        """Ranks through each judge, the recovered share of the strongest, and the restored photos' PSNR.

        A dozen photos, original, anonymised and restored, are the strip that a run keeps as `reconstruction.png`.
        """
        folders = own_pictures(scene, name, self.seed)
        assert scene.data is not None  # noqa: S101  `own_pictures` has refused a scene without data
        self.check(scene.data)
        order = seeded_order(scene.identities, self.seed, "attacker's people")
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        eyes = dict(scene.judges) or eyes_of(scene, name)
        made = self._restore(scene, folders, halves)
        found = Findings()
        people = scene.table["identity"].to_numpy(str)
        plain, clean = (self._tested(scene, kind) for kind in ("results", "original"))
        found.strip = [some[:SHOWN] for some in (clean, plain, made)]
        for what, images in (("psnr", made), ("psnr_before", plain)):
            error = (images - clean).square().mean((1, 2, 3)).double().numpy()
            found.metrics[f"{name}/{what}"] = psnr(error, people)
        for full, embedder in eyes.items():
            self._look(scene, f"{name}/{full.rpartition('/')[2]}", embedder, folders, halves, made, found)
        first = [seen for seen in found.outcomes if seen.name.count("/") == 2]
        found.metrics[f"{name}/recovered_share"] = recovered_share(*first)
        found.details["steps"] = self.steps
        if self.shuffled_labels:
            self._shuffled(scene, name, folders, halves, eyes, found)
        return found

    def _look(
        self,
        scene: Scene,
        name: str,
        embedder: Embeds,
        folders: Mapping[str, RunFolder],
        halves: tuple[Sequence[str], Sequence[str]],
        made: Images,
        found: Findings,
    ) -> None:
        """What one judge still recognises on the restored photos, one by one and several together."""
        gallery, asked, clean, plain = _vectors(scene, embedder, folders, made)
        sides = _as_they_are(halves, gallery)
        for n in self.counts:
            rows = together(scene.table["image_id"].tolist(), asked.people, n, scene.seed) if n > 1 else None
            if rows is not None and not len(rows):
                continue
            who = asked.people if rows is None else asked.people[rows[:, 0]]
            seen = [look_up(sides, probes, gallery, rows) for probes in (clean, asked)]
            own = rank_findings(scene, name if n == 1 else f"{name}/n_{n}", who, *seen)
            found.metrics |= own.metrics
            found.outcomes += own.outcomes
        for what, probes in (("untrained", plain), ("ceiling", clean)):
            found.metrics[f"{name}/{what}"] = clustered_rate(look_up(sides, probes, gallery).rank_1, probes.people)

    def _shuffled(
        self,
        scene: Scene,
        name: str,
        folders: Mapping[str, RunFolder],
        halves: tuple[Sequence[str], Sequence[str]],
        eyes: Mapping[str, Embeds],
        found: Findings,
    ) -> None:
        """The same with pairs of two people to learn from, whatever the picture: nothing it restores is a person's."""
        hits, people = [], []
        embedder = next(iter(eyes.values()))
        for shuffle in range(SHUFFLES):
            made = self._restore(scene, folders, halves, shuffle)
            gallery, asked, *_ = _vectors(scene, embedder, folders, made)
            random = np.random.default_rng([self.seed, shuffle])
            for half in halves:
                own = np.flatnonzero(np.isin(asked.people, list(half)))
                asked.people[own] = asked.people[random.permutation(own)]
            seen = look_up(_as_they_are(halves, gallery), asked, gallery)
            hits.append(seen.rank_1)
            people.append(asked.people)
        metric, report = chance_metric(np.concatenate(hits), np.concatenate(people), 1 / seen.num_identities)
        found.metrics[f"{name}/shuffled_labels"], found.details["shuffled_labels"] = metric, report
        if not report["within"]:
            found.warnings.append(f"{name}: permuted people are recognised more often than by chance: something leaks.")

    def _restore(
        self,
        scene: Scene,
        folders: Mapping[str, RunFolder],
        halves: tuple[Sequence[str], Sequence[str]],
        shuffle: int | None = None,
    ) -> Images:
        """The test photos of each half as a network restores them that learnt from the other."""
        people = scene.table["identity"].to_numpy(str)
        tested = pairs_of(scene.folder, scene.table["image_id"].tolist(), self.knows_mask)
        made = torch.empty(tested.results.shape)
        for learnt, asked in (halves, halves[::-1]):
            check_disjoint(learnt, asked)
            rows = torch.from_numpy(np.flatnonzero(np.isin(people, list(asked))))
            net = self._fit(scene, folders, learnt, shuffle).to(scene.device)
            made[rows] = restored(net, tested[rows], scene.device)
        return made

    def _fit(
        self, scene: Scene, folders: Mapping[str, RunFolder], learnt: Sequence[str], shuffle: int | None
    ) -> Restorer:
        """A network that learnt from these people, or the stored one."""
        judged = bool(scene.judges) and scene.has_target
        assert scene.data is not None  # noqa: S101  `own_pictures` has refused a scene without data
        back = set(seeded_order(learnt, self.seed, "held back")[: max(1, round(HELD_BACK * len(learnt)))])
        ids: dict[bool, list[tuple[RunFolder, str]]] = {True: [], False: []}
        for part in (part for part in LEARNT_FROM if part in folders):
            for photo in scene.data.photos[part]:
                if str(photo.identity) in set(learnt):
                    ids[str(photo.identity) in back].append((folders[part], photo.id))
        known, held = (joined(ids[which], self.knows_mask) for which in (False, True))
        if shuffle is not None:
            order = torch.randperm(len(known.results), generator=torch.Generator().manual_seed(shuffle))
            known = Pairs(known.results, known.originals[order], known.masks)
        budget = Budget(self.steps, self.minutes, self.seed)
        fields = {
            "pictures": [digests(own, self.knows_mask) for own in ids.values()],
            "held": len(ids[True]),
            "budget": vars(budget)
            | {"width": self.width, "size": self.size, "mask": self.knows_mask, "shuffle": shuffle},
            "features": _weights(scene.recognizer) if judged else None,
            "code": [sources(__name__)],
        }

        def compute(folder: Path) -> None:
            limit = "" if self.minutes is None else f", at most {self.minutes:g} minutes"
            log.info("reconstruction: %d steps on %d photos%s", budget.steps, len(known.results), limit)
            embed = scene.recognizer.embed if judged else None
            trained = train(net, known, held, budget, embed, folder, scene.device)
            torch.save(trained.cpu().state_dict(), folder / STATE)

        net = Restorer(self.width, self.knows_mask, self.seed, self.size)
        folder, _ = scene.store.fetch("restorer", fields, compute, resumable=True)
        net.load_state_dict(torch.load(folder / STATE, weights_only=True))
        return net.eval()

    def _tested(self, scene: Scene, kind: str) -> Images:
        listing = scene.folder.list(kind)
        return scene.folder.read([listing[i][0] for i in scene.table["image_id"]])


def _as_they_are(halves: Sequence[Sequence[str]], gallery: Vectors) -> list[Side]:
    """Each half of the people, looked for by the embedding as it is."""
    return [Side(list(half), LinkHead(gallery.rows.shape[1]), Choice()) for half in halves]


def _vectors(scene: Scene, embedder: Embeds, folders: Mapping[str, RunFolder], made: Images) -> tuple[Vectors, ...]:
    """The gallery, the restored test photos, their originals and what was restored, through one embedding."""
    assert scene.data is not None  # noqa: S101  `own_pictures` has refused a scene without data
    photos = [photo for part in LEARNT_FROM if part in folders for photo in scene.data.photos[part]]
    group = {p.id: g for g, members in groups_of(photos).items() for p in members}
    files = {i: f for part in LEARNT_FROM if part in folders for i, (f, _) in folders[part].list("original").items()}
    if isinstance(embedder, Judge):
        embedder.fit(scene)

    def rows(paths: list[Picture]) -> Array:
        if isinstance(embedder, Judge):
            return embedder.viewer.files(scene, paths).vectors
        return embed_files(embedder, paths, scene.device)

    with torch.inference_mode():
        seen = torch.cat([embedder.embed(some.to(scene.device)).float().cpu() for some in made.split(32)]).numpy()
    who, groups = scene.table["identity"].to_numpy(str), groups_of_photos(scene)
    owners, theirs = np.array([str(p.identity) for p in photos]), np.array([group[p.id] for p in photos])
    return (
        Vectors(rows([files[photo.id] for photo in photos]), owners, theirs),
        Vectors(np.where(np.isfinite(seen).all(axis=1, keepdims=True), seen, np.nan), who.copy(), groups),
        *(
            Vectors(rows([scene.folder.list(kind)[i][0] for i in scene.table["image_id"]]), who, groups)
            for kind in ("original", "results")
        ),
    )


def _weights(network: torch.nn.Module) -> str:
    total = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        total.update(key.encode() + value.detach().cpu().numpy().tobytes())
    return total.hexdigest()[:20]
