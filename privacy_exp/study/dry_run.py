"""What a cell would cost, measured on a few images instead of guessed."""

import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from privacy_exp.evaluation.measure import Cost, Fits
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.module import RecognitionModule
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.job import Job
from privacy_exp.study.stages import anonymize

log = logging.getLogger(__name__)

SAMPLE = 8
"""Images that are masked and painted to measure the pace."""

_cells: list[tuple[int, float, float]] = []  # images, seconds and bytes of the cells that this process has estimated


def estimate(job: Job) -> str:
    """One line for this cell and one for all cells so far: images, hours and disk, attackers included.

    Fits are measured on one batch; see `fit_seconds`.

    Args:
        job: built, nothing run.
    """
    total, cost = len(job.data.photos["test"]), job.cost()
    pace, size = _painting(job)
    further = _further_pictures(job, cost)
    first_fit = not _cells and job.study.checkpoint is None
    fits = _fits(job, cost.fits)
    if first_fit:
        fits.append((1.0, fit_seconds(job, job.study.recognizer, job.study.recipe)))
    in_fits = sum(count * seconds for count, seconds in fits)
    checkpoints = (sum(count for count, _ in fits) + _apart(job)) * _checkpoint_size(job)
    _cells.append((total, (total + further) * pace + in_fits, (total + further) * size + checkpoints))
    images, seconds, space = (sum(column) for column in zip(*_cells, strict=True))
    return (
        f"cell {len(_cells)}: {total} images, {_cells[-1][1] / 3600:.3f} h, {_cells[-1][2] / 1e6:.1f} MB"
        + (f" (with {_count(sum(n for n, _ in fits), 'fit')}: {in_fits / 3600:.3f} h" if fits else "")
        + (f"{' and' if fits else ' (with'} {further} further pictures" if further else "")
        + (", unless the store has them)" if fits or further else "")
        + f"\ncells so far: {len(_cells)}, {images} images, {seconds / 3600:.3f} h, {space / 1e6:.1f} MB"
    )


def _checkpoint_size(job: Job) -> int:
    """Bytes of a fitted recogniser's weights."""
    network = job.study.recognizer.for_people(len(job.data.identities), job.data.template())
    given = [value for value in network.fitted.values() if isinstance(value, torch.Tensor)]
    return sum(value.numel() * value.element_size() for value in (*network.state_dict().values(), *given))


def _apart(job: Job) -> bool:
    """Whether run folder and cache lie on two file systems, so that a checkpoint cannot be one file in both."""
    return _device(job.folder) != _device(job.store.root)


def _device(path: Path) -> int:
    """The file system that a path lies on, or will."""
    there = next(place for place in (path, *path.resolve().parents) if place.exists())
    return there.stat().st_dev


def tell_cost(job: Job) -> None:
    """Says what a run's attackers cost, where they cost anything."""
    if (line := attack_cost(job)) is not None:
        log.info("%s", line)


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
    fits = _fits(job, cost.fits)
    names = ", ".join(name.rpartition("/")[2] for name in job.measures if name.startswith("attacker/"))
    minutes = (sum(count * seconds for count, seconds in fits) + further * pace) / 60
    trained = ", ".join(f"{_count(count, 'fit')} of about {seconds:.0f} s" for count, seconds in fits)
    return (
        f"attackers {names}: {trained or 'no fit'} and {further} further pictures at "
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


def _fits(job: Job, fits: Sequence[Fits]) -> list[tuple[float, float]]:
    """How many fits there are of each kind, and the seconds that one takes on pictures that were saved."""
    found: dict[tuple[str | None, int, int], tuple[float, float]] = {}
    for one in fits:
        net, recipe = one.net or job.study.recognizer, one.recipe or job.study.recipe
        kind = one.freeze, id(net), id(recipe)
        count, seconds = found.get(kind) or (0.0, fit_seconds(job, net, recipe, one.freeze, saved=True))
        found[kind] = count + one.count, seconds
    return list(found.values())


def fit_seconds(job: Job, net: Recognizer, recipe: FitRecipe, freeze: str | None = None, saved: bool = False) -> float:
    """Seconds that a fit of all its epochs takes, from a few passes over one batch; one that stops early takes less.

    A frozen trunk without augmentation runs once a photo, any other once a photo and epoch; photos are read anew in
    every epoch.

    Args:
        job: built, nothing run.
        net: without people.
        recipe: how it is trained.
        freeze: what replaces the network's own; None leaves it.
        saved: whether it is fitted to pictures that a run saved, as attackers are, not to the data's own.
    """
    data, device = job.data, job.study.device
    if freeze is not None:
        net = type(net)(**{**net.arguments, "freeze": freeze})
    recognizer = net.for_people(len(data.identities), data.template()).to(device)
    module = RecognitionModule(recognizer, recipe)
    optimizer = torch.optim.AdamW([p for p in recognizer.parameters() if p.requires_grad], lr=1e-6)
    photos = data.photos["train"][: data.batch_size]
    faces = data.faces(photos)
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(name, job.config["image_format"])
        folder.save("original", faces.ids, faces.labels, faces.images)
        paths = [path for path, _ in folder.list("original").values()]

        def step(part: str) -> float:
            started = time.perf_counter()
            batch = faces._replace(images=folder.read(paths)) if saved else data.faces(photos)
            recognizer.train(part == "train")
            with torch.set_grad_enabled(part == "train"):
                loss = module.logits(batch.to(device), part).logsumexp(1).sum()
            if part == "train":
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            loss.item()  # waits for a GPU
            return (time.perf_counter() - started) / len(photos)

        first, again, look = step("train"), min(step("train"), step("train")), step("val")
    train, val = len(data.photos["train"]), len(data.photos[recipe.validate_on])
    once = max(first - again, 0.0) * (train + val) if recognizer.freeze == "trunk" and not recipe.augment else 0.0
    return once + recipe.max_epochs * (again * train + look * val)
