"""Weights are all there, all finite and all used, or the checkpoint or LoRA is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from privacy_exp import UserError
from privacy_exp.inpainting.autoencoder import VaeRoundTrip
from privacy_exp.inpainting.diffusion import DiffusionInpainter

load = DiffusionInpainter.from_pretrained
Change = Callable[[dict[str, Tensor]], None]


def changed(checkpoint: str, folder: Path, part: str, change: Change) -> str:
    """A copy of the checkpoint with one part's weights changed."""
    shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
    file = next((folder / part).glob("*.safetensors"))
    weights = load_file(file)
    change(weights)
    save_file(weights, file, {"format": "pt"})
    return str(folder)


def drop(ending: str) -> Change:
    def change(weights: dict[str, Tensor]) -> None:
        for name in [name for name in weights if name.endswith(ending)]:
            del weights[name]

    return change


def add(weights: dict[str, Tensor]) -> None:
    weights["surplus.weight"] = torch.zeros(3)


def break_one(weights: dict[str, Tensor]) -> None:
    next(iter(weights.values())).view(-1)[0] = torch.nan


def cut_one(weights: dict[str, Tensor]) -> None:
    name = next(name for name, value in weights.items() if value.ndim == 2)
    weights[name] = weights[name][:-1].clone()


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop("bias"), r"\d+ weights of .*{part} are missing, and random ones would be used \(.*bias"),
        (add, r"1 weights of .*{part} have no place in it \(surplus.weight\)"),
        (break_one, r"1 weights of .*{part} hold NaN or infinite"),
        (cut_one, r"the weights in .*{part} can't be read|.*{part}"),
    ],
)
def test_a_checkpoint_that_is_not_whole(sd_inpaint: str, tmp_path: Path, part: str, change: Change, says: str) -> None:
    broken = changed(sd_inpaint, tmp_path, part, change)
    with pytest.raises(UserError, match="`checkpoint`.*" + says.format(part=part)):
        load(broken)


def test_the_count_of_missing_weights_is_right(sd_inpaint: str, tmp_path: Path) -> None:
    """The reported case: a converted text encoder without its two layers of 16 weights each."""
    broken = changed(
        sd_inpaint, tmp_path, "text_encoder", lambda w: [w.pop(n) for n in list(w) if "layers." in n] and None
    )
    with pytest.raises(UserError, match=r"32 weights of .*text_encoder are missing.* and 29 more\).*36 weights"):
        load(broken)


def test_the_second_text_encoder_counts_too(sdxl_inpaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"text_encoder_2 are missing"):
        load(changed(sdxl_inpaint, tmp_path, "text_encoder_2", drop("text_projection.weight")))


def test_the_control_refuses_them_as_well(sd_inpaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="vae are missing"):
        VaeRoundTrip(changed(sd_inpaint, tmp_path, "vae", drop("bias")))


def test_an_old_buffer_is_no_surplus(sd_inpaint: str, tmp_path: Path) -> None:
    def old(weights: dict[str, Tensor]) -> None:
        weights["text_model.embeddings.position_ids"] = torch.arange(77)[None]

    assert load(changed(sd_inpaint, tmp_path, "text_encoder", old)).guidance == "live"


def test_a_truncated_file_is_named(sd_inpaint: str, tmp_path: Path) -> None:
    shutil.copytree(sd_inpaint, tmp_path, dirs_exist_ok=True)
    file = next((tmp_path / "vae").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises((UserError, OSError), match="vae"):
        load(str(tmp_path))


def test_a_config_chooses_no_code(sd_inpaint: str, tmp_path: Path) -> None:
    shutil.copytree(sd_inpaint, tmp_path, dirs_exist_ok=True)
    index = json.loads((tmp_path / "model_index.json").read_text())
    index["vae"] = ["my_package", "Anything"]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"must have a vae of the class AutoencoderKL, but .* has Anything"):
        load(str(tmp_path))


QUERY = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


def pair(name: str, rows: int = 8, columns: int = 8, value: float = 0.1) -> dict[str, Tensor]:
    return {
        f"{name}.lora_A.weight": torch.full((4, columns), value),
        f"{name}.lora_B.weight": torch.full((rows, 4), value),
    }


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (pair(QUERY, 999, 777), "does not fit this checkpoint: size mismatch.*another base"),
        (pair(QUERY, value=float("nan")), "2 of the 2 weights of .* hold NaN"),
        (pair("transformer.blocks.0.attn.to_q"), r"1 of the 1 modules .* not in this checkpoint \(transformer"),
        (pair(QUERY) | pair("unet.not.there"), r"1 of the 2 modules .* are not in this checkpoint \(unet.not.there\)"),
        ({"conv.weight": torch.zeros(3)}, "`lora`"),
    ],
)
def test_a_lora_that_does_not_fit(sd_inpaint: str, tmp_path: Path, weights: dict[str, Tensor], says: str) -> None:
    save_file(weights, tmp_path / "one.safetensors")
    with pytest.raises(UserError, match=says) as error:
        load(sd_inpaint, lora=str(tmp_path / "one.safetensors"))
    assert "`lora`" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"<html>login</html>", b'\x90\x01\x00\x00\x00\x00\x00\x00{"a"', b""])
def test_a_file_that_is_not_one(sd_inpaint: str, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"`lora`: .*one.safetensors can't be read as LoRA weights"):
        load(sd_inpaint, lora=str(tmp_path / "one.safetensors"))


def test_kohyas_names_fit_as_well(sd_inpaint: str, tmp_path: Path) -> None:
    name = "lora_unet_" + QUERY.removeprefix("unet.").replace(".", "_")
    kohya = {f"{name}.lora_down.weight": torch.ones(4, 8), f"{name}.lora_up.weight": torch.ones(8, 4)}
    kohya |= {f"{name}.alpha": torch.tensor(4.0)}
    save_file(kohya, tmp_path / "one.safetensors")
    before = load(sd_inpaint).pipe.unet.get_submodule(QUERY.removeprefix("unet.")).weight
    after = load(sd_inpaint, lora=str(tmp_path / "one.safetensors"), lora_scale=0.5).pipe.unet
    change = after.get_submodule(QUERY.removeprefix("unet.")).weight - before
    assert torch.allclose(
        change, torch.full((8, 8), 2.0), atol=1e-5
    )  # half of up @ down = 4 ones each, alpha / rank = 1


@pytest.mark.parametrize("spelling", ["peft", "kohya"])
def test_a_lora_of_every_layer_fits(sd_inpaint: str, tmp_path: Path, spelling: str) -> None:
    """Attention, feed-forward, projections and convolutions of the UNet, attention and MLP of the text encoder."""
    pipe = load(sd_inpaint).pipe
    weights: dict[str, Tensor] = {}
    layers = {"unet": 0, "text_encoder": 0}
    for part in layers:
        for name, layer in getattr(pipe, part).named_modules():
            if not isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) or (
                part == "unet" and "attentions" not in name
            ):
                continue
            layers[part] += 1
            kernel = (1,) * (layer.weight.ndim - 2)
            down, up = torch.ones(2, layer.weight.shape[1], *kernel), torch.ones(layer.weight.shape[0], 2, *kernel)
            if spelling == "peft":
                weights |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
                continue
            short = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}[part]
            plain = short + name.removeprefix("text_model.").replace(".", "_")
            weights |= {f"{plain}.lora_down.weight": down, f"{plain}.lora_up.weight": up}
            weights[f"{plain}.alpha"] = torch.tensor(2.0)
    save_file(weights, tmp_path / "one.safetensors")
    fused = load(sd_inpaint, lora=str(tmp_path / "one.safetensors")).pipe
    for part, count in layers.items():
        before, after = (dict(getattr(one, part).named_parameters()) for one in (pipe, fused))
        assert count == sum(bool((before[name] - after[name]).abs().max() > 1) for name in before) > 10


def test_a_checkpoint_in_shards_is_read_whole_or_refused(sd_inpaint: str, tmp_path: Path) -> None:
    whole = load(sd_inpaint).pipe.unet
    shutil.copytree(sd_inpaint, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "unet")
    whole.save_pretrained(tmp_path / "unet", max_shard_size="50KB")
    shards = sorted((tmp_path / "unet").glob("*.safetensors"))
    assert len(shards) > 2
    again = load(str(tmp_path)).pipe.unet.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in whole.state_dict().items())
    shards[1].unlink()
    with pytest.raises((UserError, OSError), match=r"unet.*00002|00002.*unet"):
        load(str(tmp_path))
