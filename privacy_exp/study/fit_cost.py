"""How long fits take, by a few passes over one batch."""

import tempfile
import time
from collections.abc import Sequence

import torch

from privacy_exp.evaluation.measure import Fits, Training
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.module import RecognitionModule
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.job import Job


def trainings_of(job: Job, trainings: Sequence[tuple[int, Training]]) -> list[tuple[float, float]]:
    """How many trainings of other things than recognisers there are of each kind, and the seconds that one takes."""
    if not trainings:
        return []
    target = job.study.recognizer.for_people(len(job.data.identities), job.data.template()).to(job.study.device)
    photos = job.data.faces(job.data.photos["train"][: job.data.batch_size]).images.to(job.study.device)
    return [(float(count), seconds(target.eval(), photos)) for count, seconds in trainings]


def fits_of(job: Job, fits: Sequence[Fits]) -> list[tuple[float, float]]:
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
