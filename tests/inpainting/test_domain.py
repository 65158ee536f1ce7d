"""Photos are not painted by what has only ever seen drawn faces."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from privacy_exp import UserError
from privacy_exp.anonymize import run as command
from privacy_exp.data.celeba import CelebA
from privacy_exp.data.drawn.faces import DrawnFaces
from privacy_exp.data.folder import Folder
from privacy_exp.inpainting.autoencoder import VaeRoundTrip
from privacy_exp.inpainting.controls import Blur, MeanFill
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.domain import check_domain
from privacy_exp.inpainting.loading import domain_of
from privacy_exp.sweep.entry import CONF


def test_the_shipped_checkpoint_is_refused_for_photos() -> None:
    assert (CelebA.domain, Folder.domain, DrawnFaces.domain) == ("photos", "photos", "drawn")
    for drawn in (DiffusionInpainter.from_pretrained("tiny"), VaeRoundTrip()):
        assert drawn.domain == "drawn"
        check_domain(drawn, "drawn")
        with pytest.raises(UserError, match=r"inpainting=sd15.*inpainting=blur.*inpainting\.force=true"):
            check_domain(drawn, "photos")
    check_domain(DiffusionInpainter.from_pretrained("tiny", force=True), "photos")
    faces = DiffusionInpainter.from_pretrained("faces")
    assert faces.domain == "photos"
    check_domain(faces, "photos")
    check_domain(VaeRoundTrip(force=True), "photos")


def test_what_says_nothing_paints_everything(sd_inpaint: str) -> None:
    for one in (Blur(), MeanFill(), DiffusionInpainter(sd_inpaint)):
        assert one.domain is None
        check_domain(one, "photos")


@pytest.mark.parametrize(
    ("card", "domain"),
    [
        ("---\nlicense: mit\ndomain: photos\n---\n# a card", "photos"),
        ("---\ndomain: drawn # said so\n---\n", "drawn"),
        ("# a card\n---\ndomain: drawn\n---\n", None),
        ("---\nlicense: mit\n---\n", None),
        ("---\n: : :\n---\n", None),
        ("", None),
    ],
)
def test_the_model_card_says_it(card: str, domain: str | None, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(card)
    assert domain_of(str(tmp_path)) == domain


def test_a_word_that_means_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\ndomain: paintings\n---\n")
    with pytest.raises(UserError, match=r"`domain` in .*README.md must be one of drawn, photos, but got paintings"):
        domain_of(str(tmp_path))


def test_a_study_of_photos_stops_before_anything_is_fitted(cell, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(DrawnFaces, "domain", "photos")
    with pytest.raises(UserError, match=r"inpainting\.force=true"):
        cell(tmp_path)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_photos_are_not_anonymised_with_it(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    Image.new("RGB", (64, 64), (90, 120, 150)).save(root / "one.png")
    given = [f"data.root={root}", f"out={tmp_path / 'out'}", "data.labelled=false", "masking=center"]
    given += ["inpainting.num_inference_steps=1"]

    def run(*overrides: str) -> None:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            command(compose("anonymize", overrides=[*given, *overrides]))

    with pytest.raises(UserError, match=r"the data are photos"):
        run()
    assert not (tmp_path / "out").exists()
    run("inpainting.force=true")
    assert list((tmp_path / "out" / "results").iterdir())
