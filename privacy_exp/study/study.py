"""A study: people's photos and the recogniser that is to be fooled, fitted once for all runs."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger

from privacy_exp.cache.configured import description
from privacy_exp.cache.store import Store, default_root
from privacy_exp.data.base import FaceData
from privacy_exp.inpainting.compiling import share_compiled
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.checkpoint import load_checkpoint
from privacy_exp.recognition.recipe import TRAINER, FitRecipe
from privacy_exp.runs.run import Run, load_run
from privacy_exp.study.stages import Fitted, fit
from privacy_exp.types import UserError

if TYPE_CHECKING:
    from privacy_exp.study.certificate import Certificate

log = logging.getLogger(__name__)

Part = str | Any
"""An object, or the stem of a yaml of its config group."""

Measures = str | Sequence[Part] | Mapping[str, Part]
"""Measures as objects or stems; a dict gives them names."""


class Study:
    """Photos of known people and the target recogniser, fitted once; each run hides, repaints and scores.

    Args:
        data: the photos.
        recognizer: without people, such as `FaceNet(image_size=80)`; or a fitted one's checkpoint or run folder.
        out: takes a folder for each run.
        seed: of the fit, the masks and the noise.
        recipe: how the recogniser is trained; None takes its own default.
        trainer: keywords of Lightning's trainer, besides the defaults (one CPU).
        cache: folder of what has been computed already; None takes the user's own.
        target_layer: what attribution looks at: a module of the trunk, or "auto".
        init_from: a checkpoint whose trunk to start from.
        checkpoint: a fitted recogniser, file or run folder, that is taken in place of a fit.

    Example:
        >>> from privacy_exp import Center, DrawnFaces, FaceNet, FitRecipe, MeanFill
        >>> people = DrawnFaces(identities=3, photos_per_identity=10, max_test_images=6)
        >>> quiet = {"enable_progress_bar": False}
        >>> study = Study(people, FaceNet(image_size=80), out="mine", recipe=FitRecipe(max_epochs=1), trainer=quiet)
        >>> run = study.run(Center(), MeanFill(), mask_ratio=0.25)
        >>> run.record["n"]
        6
    """

    def __init__(
        self,
        data: FaceData,
        recognizer: Recognizer | str | os.PathLike[str],
        *,
        out: str | os.PathLike[str],
        seed: int = 0,
        recipe: FitRecipe | None = None,
        trainer: Mapping[str, Any] | None = None,
        cache: str | os.PathLike[str] | None = None,
        target_layer: str = "auto",
        init_from: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise UserError(f"`seed` must be a whole number of at least 0, but got {seed!r}.")
        if not data.photos:
            data.setup()
        self.data, self.out, self.seed = data, Path(out).expanduser(), seed
        self.checkpoint = None if checkpoint is None else os.fspath(checkpoint)
        if isinstance(recognizer, Recognizer):
            self.recognizer = recognizer
        else:
            self.checkpoint = os.fspath(recognizer)
            self.recognizer = load_checkpoint(self.checkpoint)
        self.recipe = self.recognizer.recipe if recipe is None else recipe
        self.trainer_keywords = {**TRAINER, **(trainer or {})}
        self.store = Store(default_root() if cache is None else Path(cache))
        self.target_layer, self.init_from = target_layer, None if init_from is None else os.fspath(init_from)
        self._fitted: Fitted | None = None
        share_compiled(self.store.root)
        self._tell_skipped()

    @property
    def device(self) -> torch.device:
        """What the networks run on: the trainer's accelerator."""
        on_gpu = self.trainer_keywords["accelerator"] in ("gpu", "cuda")
        return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")

    def fit(self, loggers: Sequence[Logger] = ()) -> Fitted:
        """The recogniser for the data's people, fitted or reused, on the study's device.

        Args:
            loggers: take the training curves.
        """
        if self._fitted is None:
            config = {"recognition": self.recognition(), "trainer": self.trainer_keywords}
            fitted = fit(self.data, self._parts(self.recognizer), config, self.seed, self.store, loggers)
            fitted.recognizer.choose_target_layer(self.target_layer)
            fitted.recognizer.to(self.device)
            self._fitted = replace(fitted, seconds=0.0, reused=True)  # as the next run will find it
            return fitted
        return self._fitted

    def fit_again(
        self,
        data: FaceData,
        freeze: str | None = None,
        net: Recognizer | None = None,
        recipe: FitRecipe | None = None,
        times: int = 1,
    ) -> Recognizer:
        """Another recogniser, fitted to other pictures as the target was: same initial weights, same budget.

        Args:
            data: the pictures, after `setup()`.
            freeze: replaces the recogniser's own; None leaves it.
            net: another network, which starts from weights of its own; None takes the target.
            recipe: how `net` is trained; None takes the target's.
            times: the recipe's epochs, for attackers who spend more.
        """
        own = self.recognition()
        start = {**own, "checkpoint": None, "init_from": own["init_from"] if net is None else None}
        net = net or self.recognizer
        if freeze is not None:
            net = type(net)(**{**net.arguments, "freeze": freeze})
        parts = self._parts(net) | {"module": (recipe or self.recipe).longer(times)}
        config = {"recognition": start, "trainer": self.trainer_keywords}
        return fit(data, parts, config, self.seed, self.store).recognizer.to(self.device)

    def recognition(self) -> dict[str, Any]:
        """The recogniser and its fit, as a record describes them."""
        return {
            "net": description(self.recognizer),
            "module": description(self.recipe),
            "target_layer": self.target_layer,
            "checkpoint": self.checkpoint,
            "init_from": self.init_from,
        }

    def _parts(self, net: Recognizer) -> dict[str, Any]:
        """One device, whatever painting takes."""
        place = [torch.cuda.current_device()] if self.device.type == "cuda" else 1
        keywords = {**self.trainer_keywords, "devices": place, "strategy": "auto"}
        return {"net": net, "module": self.recipe, "trainer": partial(Trainer, **keywords)}

    def run(
        self,
        masking: Part,
        inpainting: Part,
        *,
        mask_ratio: float = 0.25,
        judges: Measures = (),
        attackers: Measures = (),
        utility: Measures = "default",
        image_format: str = "jpg",
        layout: str = "folders",
        rerun: bool = False,
        **changes: Any,
    ) -> Run:
        """Hides, repaints and scores the test photos; a run that was finished before is taken as it is.

        Args:
            masking: a masking method, or the stem of its yaml.
            inpainting: an inpainter, or the stem of its yaml.
            mask_ratio: hidden pixels / all pixels of the frame; methods that choose their own area ignore it.
            judges: held-out recognisers: objects or stems, or a dict of them by name.
            attackers: adaptive attackers, likewise.
            utility: what is lost besides identity, likewise.
            image_format: "jpg", or "png" for exact pixels.
            layout: "folders" for a file a picture, or "packed" for tar shards of 1,000 photos.
            rerun: compute again what was computed before.
            changes: other values of the inpainting yaml's keys, such as guidance_scale=3.

        Raises:
            UserError: a value out of range, a name that is not known, or two measures of one name.
        """
        from privacy_exp.study.asked import asked_for

        job = asked_for(
            self,
            masking,
            inpainting,
            mask_ratio,
            {"judge": judges, "attacker": attackers, "utility": utility},
            image_format,
            layout,
            rerun,
            changes,
        )
        job.compute()
        return load_run(job.folder)

    def certify(
        self, masking: Part | Sequence[Part], inpainting: Part, judges: Measures, **question: Any
    ) -> "Certificate":
        """The smallest ratio at which, with confidence 1 - δ, at most α of people are recognised by any judge.

        Nothing is fitted: the people of the data, of all its parts, calibrate, but for those set aside for thresholds.
        A method that explains a recogniser needs one that was trained on other people (`checkpoint`).

        Args:
            masking: a method, or several among which the smallest ratio is looked for, corrected.
            inpainting: an inpainter, or the stem of its yaml.
            judges: observers that come trained, as for `run`.
            question: see `privacy_exp.study.question.Question`: alpha, delta, ratios and so on.

        Returns:
            A `Certificate`: print it, or ask for its `ratio`.

        Raises:
            UserError: fewer than 20 people, or people who have trained or chosen what they would calibrate.
        """
        from privacy_exp.study.certifying import certify
        from privacy_exp.study.question import Question

        if odd := sorted(set(question) - set(Question.__dataclass_fields__)):
            known = ", ".join(Question.__dataclass_fields__)
            raise UserError(f"{odd[0]!r} is no part of a certificate's question; they are {known}.")
        return certify(self, masking, inpainting, judges, Question(**question))

    def _tell_skipped(self) -> None:
        """How many photos and people take part, and what was left out; the record lists all of it."""
        log.info("%s", self.data.summary())
