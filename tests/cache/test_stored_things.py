"""Each kind of stored thing: what it stands on moves its key, field by field, and what has no effect does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from privacy_exp.cache import sources as code
from privacy_exp.cache.keys import WITHOUT_EFFECT, content_key, has_effect, scientific
from privacy_exp.cache.store import Store
from privacy_exp.data.folder import Folder
from privacy_exp.masking.random_patches import RandomPatches
from privacy_exp.masking.saliency import Saliency
from privacy_exp.masking.smooth_grad import SmoothGrad
from privacy_exp.masking.stored import name_of, stored_scores
from privacy_exp.recognition.fit import fit_key
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.types import Faces
from tests.dropping import idle
from tests.recognition.small import Colours, Small


@pytest.fixture
def edited(monkeypatch):
    """Makes the code of one module other code, as an edit would: `edited("masking.base")`."""
    known = code._code

    def edit(module: str) -> None:
        path = code._file(f"privacy_exp.{module}")
        monkeypatch.setattr(code, "_code", lambda p: "edited" if p == path else known(p))
        code._digest.cache_clear()

    yield edit
    monkeypatch.undo()
    code._digest.cache_clear()


class Photos(Colours):
    """Photos of people as a fit sees them, one field at a time."""

    points = torch.arange(10.0).view(5, 2)
    seen = "pixels and people"

    def fit_digest(self):
        return self.seen

    def template(self):
        return self.points


def fit(tmp_path: Path, **changes) -> str:
    return content_key(fit_fields(tmp_path, **changes))


def fit_fields(tmp_path: Path, **changes) -> dict[str, Any]:
    data = Photos()
    for name in ("batch_size", "points", "seen"):
        setattr(data, name, changes.pop(name, getattr(data, name)))
    weights = tmp_path / "start.ckpt"
    weights.write_text(changes.pop("weights", "weights"))
    asked = {"seed": 0, "trainer": {"precision": 32}, "recognizer": Small(), "recipe": FitRecipe(), **changes}
    return fit_key(data, **asked, init_from=weights)


FIT = {
    "pixels or people": {"seen": "others"},
    "where faces lie": {"points": torch.ones(5, 2)},
    "batch size": {"batch_size": 5},
    "seed": {"seed": 1},
    "trainer": {"trainer": {"precision": 16}},
    "recipe": {"recipe": FitRecipe(lr=0.5)},
    "recogniser": {"recognizer": Small(freeze="trunk")},
    "start": {"weights": "others"},
}


@pytest.mark.parametrize("changes", FIT.values(), ids=FIT)
def test_a_fit_moves_with(tmp_path, changes):
    assert fit(tmp_path, **changes) != fit(tmp_path)


@pytest.mark.parametrize("module", ["recognition.fit", "recognition.module", "recognition.base", "data.order", "types"])
def test_a_fit_moves_with_its_code(tmp_path, edited, module):
    before = fit(tmp_path)
    edited(module)
    assert fit(tmp_path) != before


def test_each_field_of_a_fits_key_dropped_makes_two_fits_collide(tmp_path, edited):
    base = fit_fields(tmp_path)
    changed = [fit_fields(tmp_path, **dict(changes)) for changes in FIT.values()]
    edited("recognition.module")
    assert idle(base, [*changed, fit_fields(tmp_path)]) == {"schema"}, "which the format of the file decides"


@pytest.mark.parametrize("name", sorted(WITHOUT_EFFECT - {"batch_size"}))
def test_no_key_without_effect_moves_a_fit_or_a_part(tmp_path, name):
    assert fit(tmp_path, trainer={"precision": 32, name: "another"}) == fit(tmp_path)
    assert scientific({"part": {name: 1}}) == scientific({"part": {name: 2}}) == {"part": {}}


@pytest.mark.parametrize("name", ["num_inference_steps", "strength", "seed", "precision", "max_epochs", "granularity"])
def test_what_decides_figures_is_not_called_without_effect(name):
    assert has_effect(name)
    assert scientific({name: 1}) != scientific({name: 2})


def faces(**changes) -> Faces:
    one = {
        "ids": ["a"],
        "images": torch.full((1, 3, 16, 16), 0.5),
        "labels": torch.tensor([1]),
        "landmarks": torch.ones(1, 5, 2),
        "attributes": {"Male": torch.tensor([True])},
    }
    return Faces(**one | changes)


def smooth_grad(**changes) -> SmoothGrad:
    return SmoothGrad(**{"samples": 2, "noise": 0.1, **changes})


def scores(tmp_path: Path, masker=None, seed: int = 0, weight: float = 0.0, **changes) -> Path:
    torch.manual_seed(0)
    recognizer = Small(num_classes=3).eval()
    with torch.no_grad():
        next(iter(recognizer.parameters())).add_(weight)
    stored = stored_scores(Store(tmp_path), masker or smooth_grad(), recognizer, seed)
    assert stored is not None
    return stored.rows.folder / name_of(faces(**changes), 0)


SCORES = {
    "the method": {"masker": Saliency()},
    "its arguments": {"masker": smooth_grad(samples=3)},
    "the seed of a method that draws": {"seed": 1},
    "the recogniser's weights": {"weight": 0.1},
    "pixels": {"images": torch.full((1, 3, 16, 16), 0.25)},
    "the id": {"ids": ["b"]},
    "the label": {"labels": torch.tensor([2])},
    "no label": {"labels": None},
    "points": {"landmarks": torch.zeros(1, 5, 2)},
    "attributes": {"attributes": {"Male": torch.tensor([False])}},
}


@pytest.mark.parametrize("changes", SCORES.values(), ids=SCORES)
def test_scores_move_with(tmp_path, changes):
    assert scores(tmp_path, **changes) != scores(tmp_path)


def test_each_field_of_the_scores_key_dropped_makes_two_methods_collide(tmp_path, monkeypatch):
    asked = []
    known = Store.open_folder
    monkeypatch.setattr(Store, "open_folder", lambda *args: asked.append(args[2]) or known(*args))
    for changes in ({}, {"masker": smooth_grad(samples=3)}, {"seed": 1}, {"weight": 0.1}):
        scores(tmp_path, **changes)
    assert idle(asked[0], asked[1:]) == set()


@pytest.mark.parametrize("module", ["masking.smooth_grad", "masking.base", "masking.target", "recognition.alignment"])
def test_scores_move_with_all_code_that_makes_them(tmp_path, edited, module):
    before = scores(tmp_path)
    edited(module)
    assert scores(tmp_path) != before


def test_scores_stay_with_what_comes_after_scoring(tmp_path):
    assert scores(tmp_path, masker=smooth_grad(granularity=4, region="face")) == scores(tmp_path)
    assert scores(tmp_path, masker=Saliency(), seed=1) == scores(tmp_path, masker=Saliency()), "it does not draw"
    assert stored_scores(Store(tmp_path), RandomPatches(patch_size=8), Small(num_classes=3), 0) is None


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Pictures of four people in a folder, with a group for each photo."""
    from PIL import Image

    root = tmp_path_factory.mktemp("people")
    for person in range(4):
        (root / f"p{person}").mkdir()
        for photo in range(5):
            colour = (60 * person, 50 * photo, 100 + 7 * person * photo)
            picture = Image.new("RGB", (80, 80), colour)
            picture.putpixel((person, photo), (255, 255, 255))
            picture.save(root / f"p{person}" / f"{photo}.png")
    return root


@pytest.fixture
def digest(people, tmp_path):
    """The digest of a copy of these photos, after a change to its files."""

    def after(change=lambda root: None) -> str:
        root = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(people, root)
        change(root)
        data = Folder(str(root), min_images_per_identity=1)
        data.setup()
        return data.digest()

    return after


def test_data_move_with_the_groups_of_their_photos(digest):
    rows = "\n".join(f"p{i}/{k}.png,g{i}{k}" for i in range(4) for k in range(5))
    joined = rows.replace("g00", "g0").replace("g01", "g0")

    def groups(content: str):
        return lambda root: (root / "groups.csv").write_text(f"path,group\n{content}\n")

    assert digest() == digest()
    assert digest(groups(joined)) != digest(groups(rows))
