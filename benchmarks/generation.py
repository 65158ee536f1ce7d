"""Seconds an image of the default painter, against the original study's loop and against the plain bound.

(a) the original's loop: one image at a time, empty prompt with guidance 7.5, 50 PNDM steps, diffusers' own call.
(b) the plain bound: eager float32 UNet forwards, one encode and one decode, same batch and evaluations, nothing else.
"""

import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from diffusers import PNDMScheduler
from timing import Line, duration, in_turns, ratio, settle
from torch import Tensor

from privacy_exp.data.drawn.drawing import draw
from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.autoencoder import encode_decode
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.loading import load_pipeline
from privacy_exp.inpainting.precision import device_named
from privacy_exp.masking.random_patches import RandomPatches
from privacy_exp.types import Faces, Images, Masks

ROOT = Path(__file__).parents[1]
BATCH = 16
LOOPED = 2  # images of (a) a round: one costs as much as another
ORIGINAL = {
    "num_inference_steps": 50,
    "guidance_scale": 7.5,
    "prompt": "",
    "negative_prompt": "",
    "seamless": False,  # the original pastes as it is
}
HALVED = "compiled in bfloat16, (a)'s steps"
EVALUATIONS = 51  # PNDM as Stable Diffusion sets it evaluates its second step twice


def lines(rounds: int = 5, compiled: bool = True) -> list[Line]:
    """The table of generation.

    Args:
        rounds: how often each candidate is timed, in turns.
        compiled: also `compile=true`, which takes minutes to compile.
    """
    faces, masks = photos(BATCH)
    painters = {"as shipped": painter(), "as shipped, (a)'s steps": painter(original=True)}
    seconds_to_compile = {}
    if compiled:
        ways = {"compiled": (False, "auto"), "compiled, (a)'s steps": (True, "auto"), HALVED: (True, "bfloat16")}
        for name, (original, dtype) in ways.items():
            painters[name] = painter(original, compile=True, dtype=dtype)
            started = time.perf_counter()
            painters[name](faces, masks, seed=0)
            settle()
            seconds_to_compile[name] = time.perf_counter() - started
        seconds_to_compile["compiled, in a new process"] = compiled_elsewhere()
    default = painters["as shipped"]
    candidates = {
        "(a)": lambda: loop(faces, masks, LOOPED),
        "(b)": lambda: bound(faces.images, EVALUATIONS, 1),
        "encode and decode": lambda: encode_decode(default.pipe.vae, faces.images, BATCH),
        "(b), default settings": lambda: bound(faces.images, default.sampling.num_inference_steps, 2),
        **{name: lambda one=one: one(faces, masks, seed=0) for name, one in painters.items()},
    }
    seconds = in_turns(candidates, rounds)
    a, scale = seconds["(a)"], BATCH / LOOPED
    table = [
        duration(name, values, 1000 / (LOOPED if name == "(a)" else BATCH), "ms/image")
        for name, values in seconds.items()
    ]
    bars = {
        "as shipped, (a)'s steps": ("≥ 6", "≤ 0.9"),
        "compiled, (a)'s steps": ("≥ 9", "≤ 0.75"),
        HALVED: (None, None),
        "as shipped": ("≥ 7", None),
        "compiled": ("≥ 11", None),
    }
    for name, (speed_up, share) in bars.items():
        if name in seconds:
            plain = "(b)" if name.endswith("(a)'s steps") else "(b), default settings"
            table.append(ratio(f"speed-up over (a): {name}", a, seconds[name], scale, bar=speed_up))
            table.append(ratio(f"share of {plain}: {name}", seconds[name], seconds[plain], bar=share))
    table.append(ratio("encode and decode over painting", seconds["encode and decode"], seconds["as shipped"]))
    table += [Line(f"first batch, compiling: {name}", value, unit="s") for name, value in seconds_to_compile.items()]
    return [*table, *outcomes(painters, faces, masks)]


def compiled_elsewhere() -> float:
    """Seconds of the first compiled batch in another process, which finds the code on disk."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import generation as g; f, m = g.photos(g.BATCH);"
        "one = g.painter(compile=True); t = time.perf_counter(); one(f, m, seed=0); print(time.perf_counter() - t)"
    )
    command = [sys.executable, "-c", code, str(ROOT / "benchmarks")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def outcomes(painters: dict[str, DiffusionInpainter], faces: Faces, masks: Masks) -> list[Line]:
    """Largest difference to (a)'s pictures, in grey levels of 255: the speed must not change them."""
    theirs = torch.where(masks[:LOOPED], loop(faces, masks, LOOPED), faces.images[:LOOPED])
    few = Faces(faces.ids[:LOOPED], faces.images[:LOOPED])
    differences = {
        name: 255 * float((one(few, masks[:LOOPED], seed=0) - theirs).abs().max())
        for name, one in painters.items()
        if name.endswith("(a)'s steps")
    }
    return [
        Line(f"difference to (a): {name}", value, unit="levels of 255", bar=None if name == HALVED else "≤ 2")
        for name, value in differences.items()
    ]


def photos(count: int) -> tuple[Faces, Masks]:
    """Drawn photos of as many people, and the masks of the default method at the default share."""
    images = torch.stack([torch.from_numpy(draw(0, i, 0).image).permute(2, 0, 1) for i in range(count)]).float() / 255
    faces = Faces([f"{i:04d}" for i in range(count)], images, torch.arange(count))
    return faces, RandomPatches(patch_size=16).mask(faces, mask_ratio=0.25)


def painter(original: bool = False, **changes: Any) -> DiffusionInpainter:
    """The painter of inpainting=tiny, or the same with the original study's prompt, scale, steps and solver."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does nothing.*")
        one = DiffusionInpainter.from_pretrained("tiny", **{**(ORIGINAL if original else {}), **changes})
    if original:
        one.pipe.scheduler = pndm(one.pipe.scheduler)
    return one


def pndm(scheduler: Any) -> PNDMScheduler:
    """PNDM as every Stable Diffusion checkpoint sets it: without Runge-Kutta steps at the start."""
    return PNDMScheduler.from_config(scheduler.config, skip_prk_steps=True)


PLAIN: dict[str, Any] = {}
"""The pipeline of (a) and (b): loaded once, nothing about it changed but the solver."""


def plain() -> Any:
    """The checkpoint as diffusers loads it, in float32."""
    if not PLAIN:
        pipe = load_pipeline("privacy_exp/assets/tiny_inpaint", None, None, torch.float32)
        pipe.scheduler = pndm(pipe.scheduler)
        PLAIN["pipe"] = pipe.to(device_named("auto"))
    return PLAIN["pipe"]


def loop(faces: Faces, masks: Masks, count: int) -> Images:
    """(a), on the first `count` images."""
    painted = [
        plain()(
            prompt="",
            image=faces.images[i : i + 1],
            mask_image=masks[i : i + 1].float(),
            height=faces.images.shape[-2],
            width=faces.images.shape[-1],
            strength=1.0,
            num_inference_steps=50,
            guidance_scale=7.5,
            generator=generator(0, faces.ids[i], "inpaint", "0"),
            output_type="pt",
        ).images
        for i in range(count)
    ]
    return torch.cat(painted).cpu()


@torch.no_grad()
def bound(images: Images, evaluations: int, halves: int) -> Tensor:
    """(b), with `halves` rows an image in each evaluation: 2 where guidance is live."""
    pipe = plain()
    images = images.to(pipe.device)
    latents = pipe.vae.encode(images * 2 - 1).latent_dist.mode()
    mask = torch.ones_like(latents[:, :1])
    sample = torch.cat([latents, mask, latents], dim=1).repeat(halves, 1, 1, 1)
    text, _ = pipe.encode_prompt("", pipe.device, len(sample), False)
    for _ in range(evaluations):
        predicted = pipe.unet(sample, 500, text, return_dict=False)[0]
    return pipe.vae.decode(predicted[: len(images)], return_dict=False)[0]
