"""A run as measures see it: its pictures, and the means to make more of them."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from privacy_exp.evaluation.measure import Scene
from privacy_exp.masking.original_frame import OriginalMethod
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.stages import Fitted

if TYPE_CHECKING:
    from privacy_exp.study.job import Job


def scene_of(job: "Job", table: pd.DataFrame, fitted: Fitted) -> Scene:
    """The finished run as measures see it.

    Args:
        job: whose pictures are painted.
        table: see `score_folder`.
        fitted: the recogniser.
    """
    scene = Scene(
        folder=RunFolder(job.folder),
        table=table,
        identities=job.data.identities,
        recognizer=fitted.recognizer,
        store=job.store,
        seed=job.seed,
        device=job.study.device,
        data=job.data,
        config=job.config,
    )
    return lend(job, scene, fitted)


def lend(job: "Job", scene: Scene, fitted: Fitted) -> Scene:
    """The scene with the means of its run: to anonymise further photos, to fit, and to frame photos as it does.

    Args:
        job: the scene's run.
        scene: of this run.
        fitted: the recogniser.
    """
    masker = job.masker if isinstance(job.masker, OriginalMethod) else None
    return replace(
        scene,
        template=None if masker is None else masker.template(job.data.image_size, job.data.template()),
        frame=None if masker is None else masker.frame,
        anonymize=lambda part, seed: job.anonymize_part(fitted, part, seed),
        fit=job.study.fit_again,
        asks_target=not job.masker.blind or job.inpainter.asks_recognizer,
    )
