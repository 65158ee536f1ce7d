"""One run over a Ray cluster: masks on CPUs, painting on a GPU each, writing, as actors of Ray Data (`engine=ray`).

Ray streams batches from stage to stage, holds back what is ahead, hands a batch to whichever actor is idle, and to
another one where an actor dies. Here stands only what a stage does, which is what it does without Ray.
"""

import logging
import os
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from privacy_exp.cache.store import Store
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.controls import Identity
from privacy_exp.masking.stored import stored_scores
from privacy_exp.runs.batches import finished_batches
from privacy_exp.study.sharding import Share
from privacy_exp.study.stages import Anonymized, summary
from privacy_exp.study.treatment import Masked, Painted, Treatment, save_batch, stored_round_trips
from privacy_exp.tracking.stages import stage
from privacy_exp.types import UserError

log = logging.getLogger(__name__)

Row = dict[str, Any]
"""A batch as Ray Data hands it on: one object under one name."""

CPU = torch.device("cpu")


class Masking:
    """Reads the photos of a batch and masks them.

    Args:
        share: what is to be painted.
        cache: root of the store with the scores of guided methods.
    """

    def __init__(self, share: Share, cache: str) -> None:
        self.data, recognizer = share.data, share.recognizer(CPU)
        scores = stored_scores(Store(cache), share.masker, recognizer, share.seed)
        painter = Identity()  # masks need none
        self.treatment = Treatment(
            recognizer, share.masker, painter, share.mask_ratio, share.seed, share.folder, scores=scores
        )
        self.photos = {photo.id: photo for photo in share.data.photos["test"]}

    def __call__(self, row: Row) -> Row:
        """Ids to a masked batch."""
        faces = self.data.faces([self.photos[image_id] for image_id in row["batch"][0]])
        return _row(self.treatment.mask(faces))


class Painting:
    """Paints a masked batch, on a device of its own.

    Args:
        share: what is to be painted.
        cache: root of the store with the autoencoder's round trips.
        device: "cpu" or "cuda".
    """

    def __init__(self, share: Share, cache: str, device: str) -> None:
        self.device = torch.device(device)
        self.treatment = share.treatment(self.device)
        self.treatment.round_trips = stored_round_trips(Store(cache), self.treatment.inpainter)

    def __call__(self, row: Row) -> Row:
        """A masked batch to what `Writing` saves."""
        masked: Masked = row["batch"][0]
        masked = masked._replace(faces=masked.faces.to(self.device), masks=masked.masks.to(self.device))
        masked = masked._replace(round_trip=self.treatment.known_round_trip(masked.faces))
        painted = self.treatment.paint(masked)
        control, rows = self.treatment.control_of(masked, painted), self.treatment.rows(masked, painted)
        masked = masked._replace(faces=masked.faces.to(CPU), masks=masked.masks.to(CPU), round_trip=None)
        painted = Painted([drawn.to(CPU) for drawn in painted.draws], None, painted.sanity, painted.seconds)
        return _row((masked, painted, None if control is None else control.to(CPU), rows))


class Writing:
    """Saves a painted batch, whole or not at all.

    Args:
        share: what is to be painted.
    """

    def __init__(self, share: Share) -> None:
        self.folder = share.folder

    def __call__(self, row: Row) -> Row:
        """A painted batch to how many images were saved."""
        masked, painted, control, rows = row["batch"][0]
        save_batch(self.folder, masked, painted, control, rows)
        return {"images": np.array([len(masked.faces.ids)])}


def _row(batch: Any) -> Row:
    column = np.empty(1, dtype=object)
    column[0] = batch
    return {"batch": column}


def anonymize_on_ray(share: Share, batch_size: int, device: str, cache: str, counting: Inpainter) -> Anonymized:
    """As `stages.anonymize`, over the cluster that `RAY_ADDRESS` names; without it over this machine.

    Args:
        share: what every actor needs; folder and cache lie where all nodes see them.
        batch_size: images of an actor at a time.
        device: "cpu", or "cuda" for painters with a GPU each.
        cache: root of the store.
        counting: this process's inpainter, which judges the results' sanity at the end.

    Raises:
        SanityError: more than 1 % of the results are black or flat.
        UserError: Ray is not installed, or the cluster has no GPU.
    """
    ray = _ray()
    done = {image_id for batch in finished_batches(share.folder.path) for image_id in batch.rows["image_id"]}
    ids = [photo.id for photo in share.data.photos["test"]]
    batches = (ids[start : start + batch_size] for start in range(0, len(ids), batch_size))  # as without Ray
    left = [{"batch": rest} for batch in batches if (rest := [image_id for image_id in batch if image_id not in done])]
    if done:
        log.info("%d of %d images were painted before; going on with the rest", len(done), len(ids))
    painters = 1
    if left:
        painters = _run(ray, left, share, device, cache)
    return replace(summary(share.folder, counting), processes=painters)


def _run(ray: Any, left: list[Row], share: Share, device: str, cache: str) -> int:
    """Sends all batches through the three stages; returns how many painters there may have been at once."""
    if not ray.is_initialized():  # a cluster is joined where one is named, never one that happens to run here
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers of every cluster
        ray.init(address=os.environ.get("RAY_ADDRESS", "local"), log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    gpu, cluster = device == "cuda", ray.cluster_resources()
    painters = min(len(left), int(cluster.get("GPU" if gpu else "CPU", 0)))
    if not painters:
        raise UserError("`engine=ray` with trainer=gpu needs a Ray cluster with GPUs, but this one has none.")
    place: dict[str, Any] = {"num_gpus": 1, "num_cpus": 0} if gpu else {"num_cpus": 1}
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=painters)
    # NFS shows other machines a changed index late, so that one process writes shards
    writers = ray.data.ActorPoolStrategy(size=1) if share.folder.packed else pool
    stages = (
        ray.data.from_items(left, override_num_blocks=len(left))
        .map_batches(Masking, fn_constructor_args=(share, cache), num_cpus=1, batch_size=1, compute=pool)
        .map_batches(Painting, fn_constructor_args=(share, cache, device), **place, batch_size=1, compute=pool)
        .map_batches(Writing, fn_constructor_args=(share,), num_cpus=0, batch_size=1, compute=writers)
    )
    with stage("painting", sum(len(row["batch"]) for row in left)) as advance:
        try:
            for written in stages.iter_batches(batch_size=None):
                advance(int(written["images"].sum()))
        except ray.exceptions.RayError as error:
            raise _of_user(error) or error from error
    return painters


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError("`engine=ray` needs Ray: pip install 'privacy-exp[ray]', or take engine=local.") from error
    return ray


def _of_user(error: BaseException | None) -> UserError | None:
    """What went wrong in an actor, where a user can put it right; Ray wraps it in errors of its own."""
    while error is not None and not isinstance(error, UserError):
        error = getattr(error, "cause", None) or error.__cause__
    return UserError(str(error)) if error is not None else None
