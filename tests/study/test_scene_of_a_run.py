"""What a run tells measures about itself."""

import pandas as pd
import pytest

from privacy_exp.cache.store import Store
from privacy_exp.evaluation.measure import Scene
from privacy_exp.inpainting.adversarial import Adversarial
from privacy_exp.inpainting.controls import Blur
from privacy_exp.masking.center import Center
from privacy_exp.masking.saliency import Saliency
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.job import Job
from privacy_exp.study.pairs import NoRecognizer
from privacy_exp.study.scene import lend
from privacy_exp.study.stages import Fitted
from privacy_exp.study.study import Study


@pytest.mark.parametrize(
    ("masker", "painter", "asks"),
    [(Center(), Blur(), False), (Saliency(), Blur(), True), (Center(), Adversarial(), True)],
    ids=["blind", "guided", "asking painter"],
)
def test_a_run_says_whether_masks_or_painter_follow_the_target(masker, painter, asks, tmp_path):
    job, fitted = object.__new__(Job), object.__new__(Fitted)
    job.masker, job.inpainter, job.study = masker, painter, object.__new__(Study)
    scene = Scene(RunFolder(tmp_path), pd.DataFrame(), ["a"], NoRecognizer(), Store(tmp_path))
    assert scene.asks_target, "of a folder nobody knows"
    assert lend(job, scene, fitted).asks_target == asks
