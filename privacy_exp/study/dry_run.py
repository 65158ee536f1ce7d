"""What a cell would cost, measured on a few images instead of guessed."""

import tempfile
import time
from pathlib import Path

import torch

from privacy_exp.evaluation.measure import Cost
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.job import Job
from privacy_exp.study.stages import anonymize

SAMPLE = 8
"""Images that are masked and painted to measure the pace."""

_cells: list[tuple[int, float, float]] = []  # images, seconds and bytes of the cells that this process has estimated


def estimate(job: Job) -> str:
    """One line for this cell and one for all cells so far: images, hours and disk, attackers included.

    The fit is measured as one epoch's steps would be, by a forward and backward pass over one batch.

    Args:
        job: built, nothing run.
    """
    total, cost = len(job.data.photos["test"]), job.cost()
    pace, size = _painting(job)
    further = _further_pictures(job, cost)
    first_fit = not _cells and job.study.checkpoint is None
    a_fit = _fit_seconds(job) if first_fit or cost.fits else 0.0
    fit_seconds = a_fit * (first_fit + cost.fits)
    _cells.append((total, (total + further) * pace + fit_seconds, (total + further) * size))
    images, seconds, space = (sum(column) for column in zip(*_cells, strict=True))
    return (
        f"cell {len(_cells)}: {total} images, {_cells[-1][1] / 3600:.3f} h, {_cells[-1][2] / 1e6:.1f} MB"
        + (f" (with {_count(first_fit + cost.fits, 'fit')} of {a_fit / 3600:.3f} h" if fit_seconds else "")
        + (f"{' and' if fit_seconds else ' (with'} {further} further pictures" if further else "")
        + (", unless the store has them)" if fit_seconds or further else "")
        + f"\ncells so far: {len(_cells)}, {images} images, {seconds / 3600:.3f} h, {space / 1e6:.1f} MB"
    )


def tell_cost(job: Job) -> None:
    """Prints what a run's attackers cost, where they cost anything."""
    if (line := attack_cost(job)) is not None:
        print(line, flush=True)


def attack_cost(job: Job) -> str | None:
    """One line on what the chosen attackers cost, measured before anything starts; None where they cost nothing.

    Args:
        job: built, nothing run.
    """
    cost = job.cost()
    further = _further_pictures(job, cost)
    if not further and not cost.fits:
        return None
    pace, size = _painting(job) if further else (0.0, 0.0)
    a_fit = _fit_seconds(job) if cost.fits else 0.0
    names = ", ".join(name.rpartition("/")[2] for name in job.measures if name.startswith("attacker/"))
    minutes = (cost.fits * a_fit + further * pace) / 60
    return (
        f"attackers {names}: {_count(cost.fits, 'fit')} of about {a_fit:.0f} s and {further} further pictures at "
        f"{pace:.2f} s: about {minutes:.1f} minutes and {further * size / 1e6:.1f} MB, less what the store has"
    )


def _count(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _further_pictures(job: Job, cost: Cost) -> int:
    return sum(len(job.data.photos[part]) for part, _ in cost.pictures)


def _painting(job: Job) -> tuple[float, float]:
    """Seconds and bytes a picture, over a few test photos.

    A recogniser that has not been fitted stands in for the fitted one: it costs the same.
    """
    data = job.data
    recognizer = job.study.recognizer.for_people(len(data.identities), data.template()).to(job.study.device).eval()
    faces = data.faces(data.photos["test"][:SAMPLE])
    assert faces.labels is not None  # noqa: S101  a cell's photos have labels
    with torch.no_grad():
        features = recognizer.features(faces.images.to(job.study.device))
        recognizer.set_identity_means([(features, faces.labels.to(job.study.device))])
    job.inpainter.fit(data.batches("train"))
    job.masker.fit(data.batches("train"), recognizer)
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        folder = RunFolder(name, job.config["image_format"])
        anonymize(
            [faces],
            len(faces.ids),
            recognizer,
            job.masker,
            job.inpainter,
            job.mask_ratio or 0.0,
            job.seed,
            folder,
        )
        pace = (time.perf_counter() - started) / len(faces.ids)
        size = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file()) / len(faces.ids)
    return pace, size


def _fit_seconds(job: Job) -> float:
    """A frozen trunk without augmentation runs once a photo, any other fit once a photo and epoch."""
    recognizer = job.study.recognizer.for_people(len(job.data.identities), job.data.template()).to(job.study.device)
    faces = job.data.faces(job.data.photos["train"][: job.data.batch_size])
    pace = []
    for _ in range(2):  # the first pass warms up
        started = time.perf_counter()
        loss = recognizer(faces.images.to(job.study.device)).logsumexp(1).sum()
        loss.backward()
        loss.item()  # waits for a GPU
        pace.append((time.perf_counter() - started) / len(faces.ids))
    recipe = job.study.recipe
    passes = 1 if recognizer.freeze == "trunk" and not recipe.augment else recipe.max_epochs
    return pace[-1] * len(job.data.photos["train"]) * float(passes)
