"""What masking costs: against the recogniser's own passes, with stored scores, and each method's time for 100 photos.

usage: python benchmarks/run.py masking      real photos where CELEBA_DEV and FACE_ONNX are set, else drawn ones
"""

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from timing import Line, duration, in_turns, ratio

from privacy_exp.cache.store import Store
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.masking.stored import StoredScores, stored_scores
from privacy_exp.recognition.base import Recognizer
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import Faces

BATCH = 16
CELLS = 9


def lines(rounds: int = 5) -> list[Line]:
    """All of it.

    Args:
        rounds: how often each candidate is timed.
    """
    recognizer, faces = scene(drawn=True)
    found = [*against_the_bound(recognizer, faces, rounds), *stored(recognizer, faces, rounds)]
    real = "CELEBA_DEV" in os.environ and "FACE_ONNX" in os.environ
    return found + every_method(*scene(drawn=not real), drawn=not real)


def scene(drawn: bool) -> tuple[Recognizer, Faces]:
    """A recogniser that has not been fitted, which costs the same, and one batch of labelled photos.

    Args:
        drawn: the default world, else CELEBA_DEV and FACE_ONNX.
    """
    overrides = [] if drawn else ["data=celeba", f"data.root={os.environ['CELEBA_DEV']}", "recognition=onnx"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=overrides)
    data = instantiate(config.data)
    data.setup()
    torch.manual_seed(0)
    net = instantiate(config.recognition.net)
    recognizer = net.for_people(len(data.identities), data.template()).eval().requires_grad_(False)
    faces = data.faces(data.photos["test"][:BATCH])
    recognizer.set_identity_means([(recognizer.features(faces.images), faces.labels)])
    return recognizer, faces


def method(name: str, *overrides: str) -> Masker:
    """A method at its defaults.

    Args:
        name: its yaml.
        overrides: of its keys.
    """
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return instantiate(compose(f"masking/{name}", overrides=[f"masking.{o}" for o in overrides]).masking)


def against_the_bound(recognizer: Recognizer, faces: Faces, rounds: int) -> list[Line]:
    """Saliency and Grad-CAM against one forward and backward pass to the pixels, over the same batch."""

    def bound() -> None:
        images = faces.images.clone().requires_grad_(True)
        logits = recognizer(images)
        torch.autograd.grad(logits.gather(1, faces.labels[:, None]).sum(), images)

    names = ("saliency", "grad_cam")
    candidates = {name: partial(method(name).rank, faces, recognizer, 0) for name in names}
    seconds = in_turns({"bound": bound, **candidates}, rounds)
    note = f"{type(recognizer).__name__}, {len(faces.ids)} photos"
    return [
        duration("one forward and backward pass", seconds["bound"], 1000 / len(faces.ids), "ms/image", note=note),
        *(ratio(f"{name} / that pass", seconds[name], seconds["bound"], bar="≤ 1.25") for name in names),
    ]


def stored(recognizer: Recognizer, faces: Faces, rounds: int) -> list[Line]:
    """Nine cells that read stored scores against nine that compute them."""
    found = []
    for name in ("saliency", "grad_cam"):
        masker = method(name)
        with tempfile.TemporaryDirectory() as folder:
            source = stored_scores(Store(Path(folder)), masker, recognizer, 0)
            assert isinstance(source, StoredScores)
            source(faces)
            reading = partial(_times, CELLS, partial(source, faces))
            computing = partial(_times, CELLS, partial(masker.rank, faces, recognizer, 0))
            seconds = in_turns({"read": reading, "compute": computing}, rounds)
            fingerprint = in_turns({"key": lambda m=masker: stored_scores(Store(folder), m, recognizer, 0)}, rounds)
        what = f"{name}: reading stored scores in {CELLS} cells / computing them {CELLS} times"
        found.append(ratio(what, seconds["read"], seconds["compute"], bar="≤ 0.05"))
    found.append(duration("naming the recogniser's scores, once a cell", fingerprint["key"], 1000, "ms"))
    return found


def every_method(recognizer: Recognizer, faces: Faces, drawn: bool) -> list[Line]:
    """Seconds of each method for 100 photos at its defaults, from one batch."""
    found = []
    for path in sorted((CONF / "masking").glob("*.yaml")):
        net, photos, note = recognizer, faces, "drawn faces" if drawn else "real faces"
        if path.stem.startswith("original_") and not drawn:
            # their frames do not suit a recogniser that aligns by a template, nor their sizes an ONNX graph
            (net, photos), note = scene(drawn=True), "drawn faces"
        masker = method(path.stem)
        masker.fit([photos], net)
        budget = {} if isinstance(masker, OwnArea) else {"mask_ratio": 0.25}
        seconds = in_turns({"it": partial(masker.mask, photos, net, **budget)}, 1)["it"]
        found.append(duration(path.stem, seconds, 100 / len(photos.ids), "s/100 images", bar="≤ 60", note=note))
    return found


def _times(count: int, run: Any) -> None:
    for _ in range(count):
        run()
