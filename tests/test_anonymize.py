"""One's own crops: no labels needed for blind, similarity and saliency-of-prediction methods."""

import pytest
import torch
from hydra import compose, initialize_config_dir

from privacy_exp.anonymize import run as command
from privacy_exp.data.drawn.drawing import draw
from privacy_exp.inpainting.controls import MeanFill
from privacy_exp.runs.folder import RunFolder, to_pillow
from privacy_exp.sweep.entry import CONF


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crops")
    for i in range(3):
        pixels = torch.from_numpy(draw(0, i, 0, 64).image).permute(2, 0, 1).float() / 255
        to_pillow(pixels).save(folder / f"my photo-{i}.png")
    return folder


@pytest.fixture(scope="module")
def fitted(cell, tmp_path_factory):
    out = tmp_path_factory.mktemp("fitted")
    cell(out, "fit_only=true")
    return out


def run(crops, out, *overrides, labelled=False):
    given = [f"data.root={crops}", f"out={out}", "inpainting=mean_fill", "mask_ratio=0.25"]
    given += [] if labelled else ["data.labelled=false"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        command(compose("anonymize", overrides=[*given, *overrides]))
    return RunFolder(out)


@pytest.mark.parametrize("masking", ["random_patches", "saliency", "grad_cam"])
def test_unlabelled_crops_are_masked_and_repainted(crops, fitted, tmp_path, masking):
    folder = run(crops, tmp_path, f"masking={masking}", f"recognition.checkpoint={fitted}", "image_format=png")
    found = folder.list("results")
    assert list(found) == [f"my%20photo%2D{i}" for i in range(3)]
    assert all(label is None for _, label in found.values())
    masks = folder.read_masks([path for path, _ in folder.list("masks").values()])
    assert masks.flatten(1).sum(1).tolist() == [1024] * 3
    before, after = (folder.read([p for p, _ in folder.list(kind).values()]) for kind in ("original", "results"))
    assert before[~masks.expand_as(before)].equal(after[~masks.expand_as(after)])


def test_similarity_explains_the_predicted_persons_mean(crops, fitted, tmp_path):
    checkpoint = f"recognition.checkpoint={fitted}"
    one = run(crops, tmp_path / "one", "masking=grad_cam", "masking.target=similarity", checkpoint)
    assert len(one.list("results")) == 3


def test_blind_methods_need_no_recogniser_and_others_say_so(crops, tmp_path):
    assert len(run(crops, tmp_path / "blind", "masking=center").list("results")) == 3
    with pytest.raises(ValueError, match=r"recognition\.checkpoint"):
        run(crops, tmp_path / "guided", "masking=saliency")
    assert not (tmp_path / "guided").exists()


def test_a_killed_run_goes_on_and_other_settings_want_a_folder_of_their_own(crops, tmp_path, monkeypatch):
    painted, repaint = [], MeanFill.repaint

    def counting(self, faces, masks, generators):
        if len(painted) == 1:
            painted.append("killed")
            raise KeyboardInterrupt
        painted.extend(faces.ids)
        return repaint(self, faces, masks, generators)

    monkeypatch.setattr(MeanFill, "repaint", counting)
    with pytest.raises(KeyboardInterrupt):
        run(crops, tmp_path, "masking=center", "batch_size=1")
    run(crops, tmp_path, "masking=center", "batch_size=1")
    assert painted[0] not in painted[1:], "what was finished is not painted again"
    assert len(painted) == 4
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    for change in ("mask_ratio=0.5", "image_format=png", "seed=1"):
        with pytest.raises(ValueError, match="`out` holds pictures of other photos or settings"):
            run(crops, tmp_path, "masking=center", change)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")}


def test_an_inpainter_that_learns_from_people_says_that_it_needs_them(crops, tmp_path):
    with pytest.raises(ValueError, match=r"k_same.*no labels"):
        run(crops, tmp_path / "out", "masking=center", "inpainting=k_same")
    assert not (tmp_path / "out").exists(), "nothing half-written"


def test_people_whom_the_recogniser_does_not_know_are_explained_by_its_prediction(fitted, tmp_path, caplog):
    for person, photos in (("anna", 5), ("bob", 5), ("cleo", 2)):
        for k in range(photos):
            pixels = torch.from_numpy(draw(0, 40 + ord(person[0]), k, 64).image).permute(2, 0, 1).float() / 255
            (tmp_path / "own" / person).mkdir(parents=True, exist_ok=True)
            to_pillow(pixels).save(tmp_path / "own" / person / f"{k}.png")
    given = ("masking=saliency", f"recognition.checkpoint={fitted}", "image_format=png")
    named = run(tmp_path / "own", tmp_path / "named", *given, labelled=True)
    blind = run(tmp_path / "own", tmp_path / "blind", *given)
    assert "cleo" in caplog.text, "whom the run leaves out is said"
    assert "data.labelled=false" in caplog.text
    for image_id, (path, label) in named.list("masks").items():
        assert label is None
        assert path.read_bytes() == blind.list("masks")[image_id][0].read_bytes()
