"""Where checkpoints come from, and what is said where they can't."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from huggingface_hub import constants

from privacy_exp.inpainting.autoencoder import VaeRoundTrip
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.hub import resolve
from privacy_exp.types import Faces

load = DiffusionInpainter.from_pretrained
HUB_ID = "someone/inpainting"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(sd_inpaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds one commit of `HUB_ID`, and no network."""
    repository = tmp_path / "models--someone--inpainting"
    shutil.copytree(sd_inpaint, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "blobs").mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("diffusers.utils.constants.HF_MODULES_CACHE", str(tmp_path))
    return tmp_path


def test_package_paths_are_looked_for_inside_the_package() -> None:
    assert Path(resolve("privacy_exp/inpainting")).is_dir()
    with pytest.raises(FileNotFoundError, match="privacy_exp/assets/no_such_thing"):
        resolve("privacy_exp/assets/no_such_thing")


def test_hub_ids_stay_as_they_are(tmp_path: Path) -> None:
    assert resolve("owner/name") == "owner/name"
    assert resolve(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize("place", ["/no/such/folder", "./missing", "a/b/c", "word", "~/nowhere-at-all"])
def test_missing_folder(place: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"`checkpoint` must be a folder or a hub id .*{place}"):
        load(place)


def test_folder_that_diffusers_did_not_save(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`checkpoint` must be a folder that diffusers saved .*model_index\.json"):
        load(str(tmp_path))
    with pytest.raises(ValueError, match=r"`checkpoint` must be a folder that diffusers saved, but .* has no vae/"):
        VaeRoundTrip(str(tmp_path))


def test_checkpoint_of_another_kind(tmp_path: Path) -> None:
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds DDPMPipeline, which is not an inpainting pipeline"):
        load(str(tmp_path))


def test_unet_that_cannot_inpaint(sd_inpaint: str, tmp_path: Path) -> None:
    from tests.inpainting.conftest import unet

    shutil.copytree(sd_inpaint, tmp_path, dirs_exist_ok=True)
    unet(8).save_pretrained(tmp_path / "unet")
    with pytest.raises(ValueError, match=r"4 or 9 input channels, but that of .* has 8"):
        load(str(tmp_path))


def test_missing_weights_are_told(sd_inpaint: str, tmp_path: Path) -> None:
    shutil.copytree(sd_inpaint, tmp_path, dirs_exist_ok=True)
    next((tmp_path / "unet").glob("*.safetensors")).unlink()
    with pytest.raises(OSError, match="unet"):
        load(str(tmp_path))


def test_variant_the_folder_lacks(sd_inpaint: str) -> None:
    with pytest.raises(ValueError, match=r"`variant` is fp16, but .*unet has no .*inpainting.variant=null"):
        load(sd_inpaint, variant="fp16")


def test_hub_out_of_reach(cache: Path) -> None:
    with pytest.raises(ConnectionError, match="`checkpoint` is nobody/nothing, which is neither a folder nor whole"):
        load("nobody/nothing")


def test_hub_cache_works_offline(cache: Path, faces: Faces, masks: torch.Tensor, sd_inpaint: str) -> None:
    cached = load(HUB_ID, revision="main", num_inference_steps=2)(faces, masks, seed=0)
    assert torch.equal(cached, load(sd_inpaint, num_inference_steps=2)(faces, masks, seed=0))


def test_the_commit_is_remembered_not_the_branch(cache: Path, sd_inpaint: str) -> None:
    """A key that held `main` would go on serving figures of an older checkpoint."""
    for revision in (None, "main"):
        assert load(HUB_ID, revision=revision).arguments["revision"] == COMMIT
        assert VaeRoundTrip(HUB_ID, revision).arguments["revision"] == COMMIT
    assert load(sd_inpaint).arguments["revision"] is None


def test_lora_that_is_not_there(sd_inpaint: str, cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`lora` must be a folder or a hub id"):
        load(sd_inpaint, lora="/no/such/lora")
    with pytest.raises(ConnectionError, match="`lora` is nobody/lora"):
        load(sd_inpaint, lora="nobody/lora")


def test_unknown_dtype_and_device(sd_inpaint: str) -> None:
    with pytest.raises(ValueError, match="`dtype` must be one of auto, float32"):
        load(sd_inpaint, dtype="fp16")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no usable GPU"):
            load(sd_inpaint, device="cuda")


def test_safety_checker_is_never_loaded(
    sd_inpaint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpoint that asks for one, as Stable Diffusion's do, loads without it and without a word."""
    shutil.copytree(sd_inpaint, tmp_path, dirs_exist_ok=True)
    index = json.loads((tmp_path / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    index["requires_safety_checker"] = True
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with caplog.at_level(logging.WARNING):
        inpainter = load(str(tmp_path))
    assert inpainter.pipe.safety_checker is None
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


def test_a_hub_out_of_reach_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own client would try six times, for half a minute."""
    asked: list[str] = []

    class Session:
        def head(self, url: str, timeout: float) -> None:
            asked.append(url)
            raise RuntimeError("no route to the hub")

    monkeypatch.setattr("privacy_exp.inpainting.hub.get_session", Session)
    with pytest.raises(ConnectionError, match=r"nobody/nothing.*did not give it \(no route to the hub\)"):
        load("nobody/nothing")
    assert asked == [constants.ENDPOINT]
