"""What a cell's key, and that of pictures that attackers learn from, stand on: field by field."""

import pytest

from privacy_exp.cache import sources as code
from privacy_exp.cache.keys import content_key
from tests.dropping import idle
from tests.recognition.small import Small

SMALL = (
    "recognition.net._target_=tests.recognition.small.Small",
    *(f"~recognition.net.{key}" for key in ("image_size", "dropout", "legacy_scaling")),
)
BASE = (*SMALL, "inpainting=mean_fill", "masking=random_patches", "rerun=false")


@pytest.fixture
def keys(composed, tmp_path, monkeypatch):
    """The keys of a cell and of the pictures its attackers learn from, for some overrides."""
    from privacy_exp.study.stages import Fitted
    from privacy_exp.sweep.build import job_of

    def keys_of(*overrides: str) -> dict[str, str]:
        cell = job_of(composed(tmp_path / "run", *BASE, *overrides))
        asked: dict[str, str] = {"cell": cell.key()}

        def fetch(kind, fields, compute, resumable=False):
            asked[kind] = content_key(fields)
            return tmp_path, True

        monkeypatch.setattr(cell.store, "fetch", fetch)
        cell.anonymize_part(Fitted(Small(num_classes=2), tmp_path, 0.0, True), "train", 7)
        return asked

    yield keys_of
    code._digest.cache_clear()


BOTH = [
    "masking=center",
    "masking.granularity=4",
    "mask_ratio=0.3",
    "image_format=png",
    "inpainting=blackout",
    "data.identities=6",
    "recognition.module.lr=0.5",
    "recognition.module.max_epochs=6",
    "recognition.net.freeze=trunk",
    "recognition.target_layer=trunk.0",
    "trainer.precision=bf16-mixed",
    "seed=1",
]
CELL_ALONE = ["evaluation.gate=0.7", "judge=[independent]", "attacker=[gallery]", "utility=[pixels]"]
NEITHER = [
    "batch_size=3",
    "layout=packed",
    "engine=ray",
    "data.num_workers=1",
    "evaluation.batch_size=3",
    "cache.root=/elsewhere",
    "tracking=wandb",
    "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=9",
    "slots=1",
]


@pytest.mark.parametrize("override", BOTH)
def test_what_makes_other_pictures_is_another_cell_and_other_pictures(keys, override):
    before, after = keys(), keys(override)
    assert before["cell"] != after["cell"]
    assert before["anonymized"] != after["anonymized"]


@pytest.mark.parametrize("override", CELL_ALONE)
def test_what_looks_otherwise_is_another_cell_of_the_same_pictures(keys, override):
    before, after = keys(), keys(override)
    assert before["cell"] != after["cell"]
    assert before["anonymized"] == after["anonymized"]


def test_each_field_of_a_cells_key_dropped_makes_two_cells_collide(keys, monkeypatch):
    asked: list[dict] = []
    monkeypatch.setattr("privacy_exp.study.job.content_key", lambda fields: asked.append(fields) or content_key(fields))
    alone = ["masking=center", "inpainting=blackout", "mask_ratio=0.3", "image_format=png", "data.max_test_images=3"]
    alone += ["recognition.module.lr=0.5", "recognition.target_layer=trunk.0", *CELL_ALONE]
    for override in ([], *([one] for one in alone)):
        keys(*override)
    known, path = code._code, code._file("privacy_exp.study.job")
    monkeypatch.setattr(code, "_code", lambda p: "edited" if p == path else known(p))
    code._digest.cache_clear()
    keys()
    double = {"schema", "seed", "reader"}  # the format, and what the key of the fit holds as well
    assert idle(asked[0], asked[1:]) == double


@pytest.mark.parametrize("override", NEITHER)
def test_what_has_no_effect_is_the_same_cell(keys, override):
    assert keys(override) == keys()


@pytest.mark.parametrize(
    "module",
    [
        *("masking.random_patches", "masking.base", "inpainting.controls", "inpainting.base", "data.drawn.faces"),
        *("evaluation.privacy", "evaluation.statistics.resampling", "runs.folder", "recognition.fit", "study.stages"),
    ],
)
def test_edited_code_is_another_cell(keys, monkeypatch, module):
    before, known, path = keys(), code._code, code._file(f"privacy_exp.{module}")
    monkeypatch.setattr(code, "_code", lambda p: "edited" if p == path else known(p))
    code._digest.cache_clear()
    assert keys()["cell"] != before["cell"]


@pytest.mark.parametrize("module", ["report.page", "tracking.tracker", "masking.saliency", "sweep.entry"])
def test_code_that_no_figure_runs_through_is_the_same_cell(keys, monkeypatch, module):
    before, known, path = keys(), code._code, code._file(f"privacy_exp.{module}")
    monkeypatch.setattr(code, "_code", lambda p: "edited" if p == path else known(p))
    code._digest.cache_clear()
    assert keys() == before
