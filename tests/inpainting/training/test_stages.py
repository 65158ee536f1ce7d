"""train_inpainter end to end at the smallest size: repeatable, resumable, loadable; fine-tuning and LoRA."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file
from torch import Tensor

from privacy_exp import train_inpainter
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.training.steps import StepTraining
from privacy_exp.sweep.entry import CONF
from tests.inpainting.conftest import some_faces, some_masks

SMALL = [
    "data.identities=4",
    "data.photos_per_identity=2",
    "data.image_size=32",
    "data.num_workers=0",
    "export_dtype=float32",
    "checkpoint_every=4",
    "autoencoder.steps=6",
    "autoencoder.batch_size=2",
    "autoencoder.warmup=2",
    "unet.steps=6",
    "unet.batch_size=2",
    "unet.warmup=2",
    "networks.autoencoder.block_out_channels=[8,8,8]",
    "networks.autoencoder.sample_size=32",
    "networks.unet.sample_size=8",
    "networks.unet.block_out_channels=[16,16]",
    "networks.text.hidden_size=16",
    "networks.text.intermediate_size=16",
]


def train(folder: Path, *overrides: str) -> Path:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        paths = [f"out='{folder / 'out'}'", f"work='{folder / 'work'}'"]
        config = compose("train_inpainter", overrides=[*SMALL, *paths, *overrides])
    return train_inpainter.run(config)


def weights(folder: Path) -> dict[str, Tensor]:
    files = sorted(folder.rglob("*.safetensors"))
    return {f"{file.parent.name}/{name}": value for file in files for name, value in load_file(file).items()}


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("trained"))


@pytest.mark.slow
def test_two_trainings_of_50_steps_from_one_seed_give_equal_weights(tmp_path: Path) -> None:
    steps = ["autoencoder.steps=50", "unet.steps=50"]
    first, second = weights(train(tmp_path / "a", *steps)), weights(train(tmp_path / "b", *steps))
    assert_equal(first, second)
    assert {name.split("/")[0] for name in first} == {"vae", "unet", "text_encoder"}


def test_a_training_leaves_the_process_as_deterministic_as_it_was(tmp_path: Path) -> None:
    torch.use_deterministic_algorithms(False)
    train(tmp_path, "autoencoder.steps=1", "unet.steps=1")
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_time_shift_of_nothing_is_refused(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(ValueError, match=r"time_shift.*above 0.*0"):
        train(tmp_path, f"init_from='{trained}'", "unet.time_shift=0", "stages=[unet]")


def test_another_seed_gives_other_weights(tmp_path: Path, trained: Path) -> None:
    first, second = weights(trained), weights(train(tmp_path, "seed=1"))
    assert float((first["unet/conv_in.weight"] - second["unet/conv_in.weight"]).abs().mean()) > 2e-2


@pytest.mark.parametrize("stage", ["autoencoder", "unet"])
def test_a_killed_training_resumes_and_ends_equal(
    stage: str, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = StepTraining.training_step

    def killed(self: StepTraining, *args: Any) -> Tensor:
        if self.stage == stage and self.global_step == 5:
            raise MemoryError("killed")
        return step(self, *args)

    monkeypatch.setattr(StepTraining, "training_step", killed)
    with pytest.raises(MemoryError, match="killed"):
        train(tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / "out").exists()
    assert_equal(weights(train(tmp_path)), weights(trained))


def test_weights_of_another_recipe_are_not_resumed(tmp_path: Path) -> None:
    train(tmp_path, "stages=[autoencoder]")
    with pytest.raises(ValueError, match="`work` holds a training of another recipe"):
        train(tmp_path, "stages=[autoencoder]", "autoencoder.lr=0.1")


def test_nothing_is_exported_under_another_recipe(tmp_path: Path, trained: Path) -> None:
    start = f"init_from='{trained}'"
    train(tmp_path, start, "unet.train_text=true", "stages=[unet]")
    with pytest.raises(ValueError, match="`work` holds a training of another recipe"):
        train(tmp_path, start, "stages=[export]")


@pytest.mark.parametrize("text", ["fresh_text=true", "unet.train_text=true", "unet.train=text"])
def test_a_lora_holds_nothing_of_the_text(tmp_path: Path, trained: Path, text: str) -> None:
    with pytest.raises(ValueError, match="`lora_rank` saves low-rank layers of the UNet alone"):
        train(tmp_path, f"init_from='{trained}'", "lora_rank=2", text)


def test_what_is_exported_paints_and_hears_the_prompt(trained: Path) -> None:
    faces, masks = some_faces(2, 32, 32), some_masks(2, 32, 32)
    results = [
        DiffusionInpainter.from_pretrained(str(trained), prompt=prompt, num_inference_steps=2)(faces, masks, seed=0)
        for prompt in ("a photo of a face", "a photo of a face, smiling")
    ]
    assert (results[0] != results[1])[masks.expand(-1, 3, -1, -1)].any()
    assert torch.equal(results[0][~masks.expand(-1, 3, -1, -1)], faces.images[~masks.expand(-1, 3, -1, -1)])


def test_a_stable_diffusion_checkpoint_is_fine_tuned(tmp_path: Path, sd_inpaint: str) -> None:
    before = weights(Path(sd_inpaint))
    after = weights(train(tmp_path, f"init_from='{sd_inpaint}'", "data.image_size=32"))
    changed = {name.split("/")[0] for name in after if not torch.equal(after[name], before[name].float())}
    assert changed == {"unet"}


def test_a_fresh_text_encoder_is_trained_with_the_cross_attention_alone(tmp_path: Path, trained: Path) -> None:
    before = weights(trained)
    out = train(tmp_path, f"init_from='{trained}'", "fresh_text=true", "unet.train=text")
    assert not any(str(trained) in file.read_text() for file in out.rglob("*.json")), "a path of this machine"
    after = weights(out)
    changed = {name for name in after if not torch.equal(after[name], before[name].float())}
    assert {name.split("/")[0] for name in changed} == {"unet", "text_encoder"}
    assert all(".attn2." in name or ".norm2." in name for name in changed if name.startswith("unet"))


def test_a_lora_is_trained_saved_and_loaded(tmp_path: Path, sd_inpaint: str) -> None:
    out = train(tmp_path, f"init_from='{sd_inpaint}'", "lora_rank=2", "unet.lr=0.1")
    assert (out / "pytorch_lora_weights.safetensors").is_file()
    checkpoint = torch.load(tmp_path / "work" / "unet" / "last.ckpt", weights_only=True)
    assert all("lora" in name for name in checkpoint["state_dict"] if name.startswith("networks"))
    faces, masks = some_faces(2, 32, 32), some_masks(2, 32, 32)
    keys = {"native_size": 32, "num_inference_steps": 2}
    plain = DiffusionInpainter.from_pretrained(sd_inpaint, **keys)(faces, masks, seed=0)
    tuned = DiffusionInpainter.from_pretrained(sd_inpaint, lora=str(out), **keys)(faces, masks, seed=0)
    assert (plain - tuned).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages=[decoder]", "`stages` must name one or more of autoencoder, unet, export"),
        ("lora_rank=4", "`init_from` is null"),
        ("export_dtype=int8", "`export_dtype` must be"),
        ("stages=[unet]", "`stages` needs autoencoder first"),
        ("parts=[test]", "`parts` must hold photos"),
        ("unet.ema=1.5", r"`unet.ema` must lie in \[0, 1\)"),
    ],
)
def test_wrong_keys_are_named(override: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        train(tmp_path, override)
