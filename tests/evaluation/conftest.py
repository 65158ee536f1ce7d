import pytest

from privacy_exp.evaluation.score import score_folder
from privacy_exp.runs.folder import RunFolder


@pytest.fixture(scope="session")
def scene(composed, tmp_path_factory):
    """A finished run over a few drawn people, half of each frame filled with the mean colour; built once."""
    from privacy_exp.study.scene import scene_of
    from privacy_exp.sweep.build import job_of

    out = tmp_path_factory.mktemp("finished")
    cell = job_of(composed(out, "masking=center", "mask_ratio=0.5", "inpainting=mean_fill"))
    fitted = cell.fit()
    cell.anonymize(fitted)
    return scene_of(cell, score_folder(RunFolder(out), fitted.recognizer, cell.data.identities), fitted)
