"""A study in Python: what is kept between runs, and where they go."""

import pytest

from privacy_exp import (
    Center,
    Detection,
    DrawnFaces,
    FitRecipe,
    GradCAM,
    Identity,
    MeanFill,
    Pixels,
    Sanity,
    Study,
    UserError,
)
from tests.recognition.small import Small


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    people = DrawnFaces(identities=3, photos_per_identity=10, image_size=32, max_test_images=6)
    quiet = {"enable_progress_bar": False}
    keys = {"recipe": FitRecipe(max_epochs=1), "trainer": quiet, "cache": root / "cache"}
    return Study(people, Small(), out=root / "out", **keys)


def run(study, masking, inpainting=None, **keys):
    return study.run(masking, inpainting or MeanFill(), mask_ratio=0.25, **{"utility": (), **keys})


def test_the_fit_is_charged_to_the_first_run_alone(study):
    first, second = run(study, Center()), run(study, Center(), Identity())
    assert first.record["timing"]["fit_s"] > 0
    assert not first.record["timing"]["fit_reused"]
    assert second.record["timing"]["fit_s"] == 0
    assert second.record["timing"]["fit_reused"]


def test_runs_of_other_settings_go_to_folders_of_their_own_and_the_same_to_the_same(study):
    fine, coarse, again = (run(study, GradCAM(granularity=g)) for g in (4, 8, 4))
    assert fine.path != coarse.path
    assert fine.path == again.path
    assert fine["fool_rate"] == again["fool_rate"]


def test_measures_may_be_named(study):
    found = run(study, Center(), utility={"mine": Pixels()})
    assert found.record["choices"]["utility"] == ["mine"]
    assert set(found.record["config"]["utility"]) == {"mine"}
    assert found["utility/ssim_inside"].value is not None


def test_a_fitted_recogniser_may_be_given_by_its_run(study, tmp_path):
    fitted = run(study, Center())
    other = Study(study.data, fitted.path, out=tmp_path, cache=tmp_path / "cache")
    assert run(other, Center())["accuracy"] == fitted["accuracy"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"mask_ratio": 1.5}, r"`mask_ratio` must be a number in \[0, 1\], but got 1.5"),
        ({"mask_ratio": True}, "`mask_ratio`"),
        ({"masking": "gradcam"}, "one of .*grad_cam"),
        ({"masking": MeanFill()}, "`masking` must be"),
        ({"inpainting": Center()}, "`inpainting` must be"),
        ({"image_format": "gif"}, "`image_format` must be one of jpg, png"),
        ({"guidance_scale": 3}, "`inpainting` is an object"),
        ({"utility": [Pixels(), Pixels()]}, "two measures called pixels"),
        ({"utility": [Center()]}, "takes measures"),
        ({"judges": "nobody"}, "`judge` must be an object or one of"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_written(study, keys, words):
    before = sorted(study.out.rglob("*"))
    asked = {"masking": Center(), "inpainting": MeanFill(), "mask_ratio": 0.25, "utility": (), **keys}
    with pytest.raises(UserError, match=words):
        study.run(**asked)
    assert sorted(study.out.rglob("*")) == before


def test_an_unknown_figure_names_those_that_are_near(study):
    with pytest.raises(UserError, match="fool_rate"):
        run(study, Center())["fool_rat"]


def test_detection_and_sanity_go_together(study):
    found = run(study, Center(), utility=[Detection(), Sanity()])
    assert found.record["choices"]["utility"] == ["detection", "sanity"]
