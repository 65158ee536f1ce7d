"""Where a GPU's time goes: its ceiling, the bare networks, painting, and a whole cell; at most 4 minutes.

usage: python benchmarks/gpu.py [--tiny] [--out DIR]

It needs nothing but the repository: the checkpoint has Stable Diffusion 1.5's shape and random weights, since speed is
the architecture's. --tiny takes small networks and no compiler, which shows in seconds, on any machine, that it runs.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import overlap
import run
import torch
from diffusers import AutoencoderKL
from timing import Line, duration, in_turns, ratio, settle
from torch.utils.flop_counter import FlopCounterMode

from privacy_exp.data.drawn.faces import DrawnFaces
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.precision import device_named, dtype_named
from privacy_exp.inpainting.training.networks import build_pipeline, save_pipeline
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.recognition.resnet import SmallResNet
from privacy_exp.study.study import Study
from privacy_exp.types import Faces

SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "steps_offset": 1,
}


@dataclass(frozen=True)
class Scale:
    """How much is measured; the defaults are Stable Diffusion 1.5 at 512 pixels, in batches of 16.

    Attributes:
        levels: channels of the autoencoder's levels.
        unet: keywords of the UNet.
        text: keywords of the text encoder.
        steps: PNDM steps; one more evaluation than that.
        batch: images at a time.
        photos: of the cell.
        side: of the matrices whose product is the ceiling.
        compiled: also the compiled UNet.
        rounds: how often each candidate is timed.
    """

    levels: tuple[int, ...] = (128, 256, 512, 512)
    unet: dict[str, Any] = field(
        default_factory=lambda: {
            "sample_size": 64,
            "block_out_channels": (320, 640, 1280, 1280),
            "attention_head_dim": 8,
        }
    )
    text: dict[str, Any] = field(
        default_factory=lambda: {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "max_position_embeddings": 77,
        }
    )
    steps: int = 50
    batch: int = 16
    photos: int = 128
    side: int = 8192
    compiled: bool = True
    rounds: int = 2


TINY = Scale(
    levels=(8, 16),
    unet={
        "sample_size": 16,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "norm_num_groups": 4,
        "attention_head_dim": 4,
    },
    text={
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
    },
    steps=2,
    batch=4,
    photos=12,
    side=64,
    compiled=False,
    rounds=1,
)


def main() -> int:
    """Measures, prints and saves the table; exit code 1 where a promise was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small networks, any machine, seconds: shows that it runs")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmark"), help="takes gpu.md")
    options = parser.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        parser.error("there is no usable GPU here; --tiny runs anywhere.")
    found = run.section(lambda: lines(TINY if options.tiny else Scale()))
    run.Console(width=140).print(run.table("gpu", found))
    options.out.mkdir(parents=True, exist_ok=True)
    results = {"machine": run.machine(), "sections": {"gpu": found}, "failed": {}}
    (options.out / "gpu.md").write_text(run.markdown(results), encoding="utf-8")
    return any(line["met"] is False for line in found["lines"])


def lines(scale: Scale) -> list[Line]:
    """The table of a GPU; promises are made for the whole size alone."""
    with tempfile.TemporaryDirectory() as name:
        checkpoint = str(Path(name) / "checkpoint")
        save_checkpoint(Path(checkpoint), scale)
        found = networks_and_painting(checkpoint, scale, Path(name))
    return found if scale == Scale() else [replace(line, bar=None) for line in found]


def save_checkpoint(folder: Path, scale: Scale) -> None:
    """An inpainting checkpoint with random weights."""
    device, count = device_named("auto"), len(scale.levels)
    torch.manual_seed(0)
    with torch.device(device):  # where drawing a billion numbers is quick
        autoencoder = AutoencoderKL(
            block_out_channels=scale.levels,
            down_block_types=("DownEncoderBlock2D",) * count,
            up_block_types=("UpDecoderBlock2D",) * count,
            layers_per_block=2,
            norm_num_groups=min(32, *scale.levels),
            sample_size=scale.unet["sample_size"] * 2 ** (count - 1),
        )
        pipe = build_pipeline(autoencoder, {"unet": scale.unet, "text": scale.text, "scheduler": SCHEDULER})
    save_pipeline(pipe, folder, dtype_named("auto", device))


def networks_and_painting(checkpoint: str, scale: Scale, work: Path) -> list[Line]:
    """All lines, of one checkpoint."""
    keys: dict[str, Any] = {"scheduler": "PNDMScheduler", "num_inference_steps": scale.steps, "batch_size": scale.batch}
    eager = DiffusionInpainter.from_pretrained(checkpoint, **keys)
    painters, table = {"eager": eager}, []
    side = eager.size[0]
    faces, masks = photos(scale.batch, side)
    if scale.compiled:
        painters["compiled"] = DiffusionInpainter.from_pretrained(checkpoint, compile=True, **keys)
        started = time.perf_counter()
        painters["compiled"](faces, masks, seed=0)
        settle()
        table.append(Line("first compiled batch", time.perf_counter() - started, unit="s"))
    few = {"num_inference_steps": min(scale.steps, 20), "batch_size": 4 * scale.batch}
    tiny = DiffusionInpainter.from_pretrained("tiny", **few)
    small, hidden = photos(4 * scale.batch, tiny.size[0])
    calls, bare = 10, Bare(eager, scale)
    candidates = {
        "matrix product": lambda: [bare.matrix @ bare.matrix for _ in range(calls)],
        "UNet": lambda: [bare.unet() for _ in range(calls)],
        "encode": bare.encode,
        "decode": bare.decode,
        "the original study's loop": lambda: original(eager, faces, masks, scale.steps),
        **{f"painting, {name}": lambda one=one: one(faces, masks, seed=0) for name, one in painters.items()},
        "the shipped painter": lambda: tiny(small, hidden, seed=0),
    }
    seconds = in_turns(candidates, scale.rounds)
    rows, count = 2 * scale.batch, scale.batch
    bound = [
        (scale.steps + 1) * unet / calls + encode + decode
        for unet, encode, decode in zip(seconds["UNet"], seconds["encode"], seconds["decode"], strict=True)
    ]
    product = 2 * scale.side**3 * calls / min(seconds["matrix product"]) / 1e12
    rate = rows * bare.unet_tflop() * calls / min(seconds["UNet"])
    table += [
        Line(f"product of {scale.side}² matrices", product, unit="TFLOP/s", note="the ceiling"),
        duration("UNet", seconds["UNet"], 1000 / rows / calls, "ms/row"),
        Line("UNet over the ceiling", rate / product),
        duration("encode", seconds["encode"], 1000 / count, "ms/image"),
        duration("decode", seconds["decode"], 1000 / count, "ms/image"),
        duration("UNet and autoencoder alone: the bound", bound, 1000 / count, "ms/image"),
        duration("the original study's loop", seconds["the original study's loop"], 1000, "ms/image"),
    ]
    for name, bar in (("eager", "≤ 1.05"), ("compiled", "≤ 0.55")):
        if name in painters:
            painting = seconds[f"painting, {name}"]
            table.append(duration(f"painting, {name}", painting, 1000 / count, "ms/image"))
            table.append(ratio(f"painting, {name} / bound", painting, bound, bar=bar))
    shipped = len(small.ids) / min(seconds["the shipped painter"])
    table.append(Line("the shipped painter", shipped, unit="images/s", bar="≥ 200"))
    fastest = [*painters][-1]
    table += cell(painters[fastest], min(seconds[f"painting, {fastest}"]) / count, scale, work)
    if torch.cuda.is_available():
        table.append(Line("peak memory", torch.cuda.max_memory_allocated() / 2**30, unit="GiB"))
    return table


class Bare:
    """The networks of a painter without anything around them."""

    def __init__(self, painter: DiffusionInpainter, scale: Scale) -> None:
        self.pipe, self.scale = painter.pipe, scale
        unet, device = painter.pipe.unet, painter.pipe.device
        like: dict[str, Any] = {"device": device, "dtype": unet.dtype}
        rows, cells = 2 * scale.batch, unet.config.sample_size
        self.latents = torch.randn(rows, 9, cells, cells, **like)
        self.text = torch.randn(rows, 77, unet.config.cross_attention_dim, **like)
        self.images = torch.rand(scale.batch, 3, *painter.size, **like)
        self.matrix = torch.randn(scale.side, scale.side, **like)

    @torch.no_grad()
    def unet(self, rows: int | None = None) -> None:
        """One evaluation of a guided batch."""
        self.pipe.unet(self.latents[:rows], 500, self.text[:rows], return_dict=False)

    @torch.no_grad()
    def encode(self) -> None:
        """One batch."""
        self.pipe.vae.encode(self.images)

    @torch.no_grad()
    def decode(self) -> None:
        """One batch."""
        self.pipe.vae.decode(self.latents[: self.scale.batch, :4])

    def unet_tflop(self) -> float:
        """Operations of a row, counted by torch."""
        with FlopCounterMode(display=False) as counter:
            self.unet(1)
        return counter.get_total_flops() / 1e12


def photos(count: int, side: int) -> tuple[Faces, torch.Tensor]:
    """Random pictures with a hidden square, which cost what faces do."""
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(count, 1, side, side, dtype=torch.bool)
    masks[..., side // 4 : -side // 4, side // 4 : -side // 4] = True
    return Faces([str(number) for number in range(count)], images), masks


def original(painter: DiffusionInpainter, faces: Faces, masks: torch.Tensor, steps: int) -> None:
    """The original study's way with a photo: a call of its own, an empty prompt, and guidance that does nothing."""
    painter.pipe(
        prompt="",
        image=faces.images[:1],
        mask_image=masks[:1].float(),
        height=painter.size[0],
        width=painter.size[1],
        num_inference_steps=steps,
        guidance_scale=7.5,
        output_type="pt",
    )


def cell(painter: DiffusionInpainter, seconds_an_image: float, scale: Scale, work: Path) -> list[Line]:
    """A whole cell: saliency of a small recogniser, the painter, control, files and scoring."""
    people = min(10, scale.photos)
    data = DrawnFaces(
        identities=people,
        photos_per_identity=max(10, 2 * -(-scale.photos // people)),
        split=[0.2, 0.1, 0.7],
        image_size=64,
        max_test_images=scale.photos,
    )
    net = SmallResNet()
    net.recipe = FitRecipe(max_epochs=1)
    trainer = {"enable_progress_bar": False, "accelerator": "gpu" if torch.cuda.is_available() else "cpu"}
    study = Study(data, net, out=work / "out", cache=work / "store", trainer=trainer)
    with gpu_load() as load:
        spent = overlap.timed(study, 0.25, painter)
    painting = seconds_an_image * len(data.photos["test"])
    found = [
        Line(f"a cell of {len(data.photos['test'])} photos, first photo to last", spent.stages, unit="s"),
        Line("its painting alone / first photo to last", painting / spent.stages, bar="≥ 0.9"),
        Line("its fit, start, scoring and record", spent.rest, unit="s"),
    ]
    if load:
        note = "nvidia-smi's utilisation, sampled from start to end"
        found.append(Line("share of the cell in which the GPU is busy", sum(load) / len(load) / 100, note=note))
    return found


@contextmanager
def gpu_load() -> Iterator[list[float]]:
    """Percentages in which the GPU was busy, as nvidia-smi samples them; empty where there is none."""
    found: list[float] = []
    if not torch.cuda.is_available():
        yield found
        return
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i", "0", "-lms", "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sampler:
        reader = threading.Thread(target=lambda: found.extend(float(line) for line in sampler.stdout or ()))
        reader.start()
        try:
            yield found
        finally:
            sampler.terminate()
            reader.join()


if __name__ == "__main__":
    sys.exit(main())
