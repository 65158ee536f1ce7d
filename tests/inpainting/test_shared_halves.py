"""What both halves of a guided batch have in common is computed once, and changes nothing."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.shared_halves import SharedHalves
from privacy_exp.types import Faces
from tests.inpainting.conftest import WIDTH, unet

# The shipped checkpoint's order of blocks, Stable Diffusion's, and one that never asks itself.
BLOCKS: dict[str, dict[str, Any]] = {
    "text below the top": {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    },
    "text at the top": {},
    "cross-attention alone": {"only_cross_attention": True},
}


def called(net: UNet2DConditionModel, rows: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = net(rows, 500, text).sample
    return result


@pytest.mark.parametrize("blocks", BLOCKS)
def test_same_result(blocks: str) -> None:
    torch.manual_seed(0)
    net = unet(9, **BLOCKS[blocks]).eval()
    rows, text = torch.randn(2, 9, 16, 16).repeat(2, 1, 1, 1), torch.randn(4, 5, WIDTH)
    expected = called(net, rows, text)
    assert (expected[:2] - expected[2:]).abs().max() > 1e-3
    halves = SharedHalves(net)
    assert torch.equal(called(net, rows, text), expected)
    halves.on = True
    assert torch.allclose(called(net, rows, text), expected, atol=1e-5)


def rows_seen(layer: torch.nn.Module) -> list[int]:
    seen: list[int] = []
    layer.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    return seen


@pytest.mark.parametrize(("checkpoint", "before"), [("sd_inpaint", 2), ("sd_plain", 2), ("sdxl_inpaint", 4)])
def test_rows_before_and_after_the_text(
    checkpoint: str, before: int, faces: Faces, masks: torch.Tensor, request: pytest.FixtureRequest
) -> None:
    """Two faces have something hidden. SDXL's step knows the text, so its halves differ from the start."""
    path = request.getfixturevalue(checkpoint)
    inpainter = DiffusionInpainter.from_pretrained(path, device="cpu", num_inference_steps=4, scheduler="DDIMScheduler")
    net = inpainter.pipe.unet
    first = net.down_blocks[0]
    top = [rows_seen(layer) for layer in (net.conv_in, first.resnets[0])]
    late = [rows_seen(layer) for layer in (net.mid_block, net.conv_out)]
    inpainter(faces, masks, seed=0)
    assert top == [[before] * 4] * 2
    assert late == [[4] * 4] * 2
    assert not inpainter._halves.on


def test_off_in_unguided_steps(sd_inpaint: str, faces: Faces, masks: torch.Tensor) -> None:
    inpainter = DiffusionInpainter.from_pretrained(
        sd_inpaint, device="cpu", num_inference_steps=4, scheduler="DDIMScheduler", guidance_interval=[0.5, 1.0]
    )
    net = inpainter.pipe.unet
    top, late = rows_seen(net.conv_in), rows_seen(net.conv_out)
    inpainter(faces, masks, seed=0)
    assert (top, late) == ([2, 2, 2, 2], [2, 2, 4, 4])


def test_off_after_a_failed_call(sd_inpaint: str, faces: Faces, masks: torch.Tensor) -> None:
    inpainter = DiffusionInpainter.from_pretrained(sd_inpaint, device="cpu", num_inference_steps=2, batch_size=1)

    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("fault injected by the test")

    inpainter.pipe.unet.conv_out.register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        inpainter(faces, masks, seed=0)
    assert not inpainter._halves.on
