"""Which faster ways of painting are as good as 50 PNDM steps: two one-sided tests of every figure, on drawn faces.

usage: python scripts/fast_presets.py out=DIR [photos=480] [key=value ...]      key=value: for every run
       python scripts/fast_presets.py out=DIR table=true                         prints the table of finished runs again

Half of the frame is hidden by saliency and by integrated gradients, where a part of the photos alone is recognised
afterwards, so that there is room for a difference. Margins stand in privacy_exp/evaluation/statistics/equivalence.py. A
candidate is admitted where every figure is shown to be alike under every mask; what fails is printed as failing.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from privacy_exp.evaluation.statistics.equivalence import Equivalence, frechet_equivalence
from privacy_exp.recognition.checkpoint import load_checkpoint
from privacy_exp.recognition.fit import CHECKPOINT
from privacy_exp.recognition.resnet import SmallResNet
from privacy_exp.report.compared import compare
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.run import Run, load_run

MASKS = ("saliency", "integrated_gradients")
REFERENCE = ("inpainting.scheduler=PNDMScheduler", "inpainting.num_inference_steps=50")
CANDIDATES = {
    "UniPC, 5 steps, guidance in the first half": (
        "inpainting.scheduler=UniPCMultistepScheduler",
        "inpainting.num_inference_steps=5",
        "inpainting.guidance_interval=[0.0,0.5]",
    ),
    "UniPC, 5 steps": ("inpainting.scheduler=UniPCMultistepScheduler", "inpainting.num_inference_steps=5"),
    "DPM-Solver++, 10 steps": (
        "inpainting.scheduler=DPMSolverMultistepScheduler",
        "inpainting.num_inference_steps=10",
    ),
    "DDIM, 20 steps (inpainting=tiny)": (),
    "PNDM, 50 steps, bfloat16, compiled (inpainting=tiny_fast)": ("inpainting=tiny_fast",),
}
WORLD = (
    "mask_ratio=0.5",
    "data.photos_per_identity=80",  # 24 to learn from, as in the default world, and 52 to test
    "data.split=[0.3,0.05,0.65]",
    "judge=[independent]",
    "utility=[pixels,sanity,detection]",
    "tracking=csv",
)
FIGURES = ("fool_rate", "judge/independent/rank_1", "utility/landmark_error", "ssim")
"""Parts of the names of the figures that decide, beside the Fréchet distance."""


def main() -> int:
    """Runs what is missing and prints the table; exit code 1 where no candidate is admitted."""
    keys = dict(word.split("=", 1) for word in sys.argv[1:])
    out, photos = Path(keys.pop("out")), keys.pop("photos", "480")
    if keys.pop("table", "false") != "true":
        for mask in MASKS:
            for number, changes in enumerate([REFERENCE, *CANDIDATES.values()]):
                words = [
                    *WORLD,
                    f"data.max_test_images={photos}",
                    f"masking={mask}",
                    f"cache.root={out}/store",
                    *changes,
                ]
                words += [f"{key}={value}" for key, value in keys.items()]
                folder = f"hydra.run.dir={out}/{mask}-{number}"
                subprocess.run([sys.executable, "-m", "privacy_exp.train", *words, folder], check=True)
    admitted = dict.fromkeys(CANDIDATES, True)
    print("| candidate | mask | painting, s (50 PNDM steps) | figure | mean difference (90 %) | margin | alike |")
    print("|---|---|---|---|---|---|---|")
    for mask in MASKS:
        runs = [load_run(out / f"{mask}-{number}") for number in range(1 + len(CANDIDATES))]
        for name, run in zip(CANDIDATES, runs[1:], strict=True):
            seconds = f"{run.record['timing']['inpaint_s']:.0f} ({runs[0].record['timing']['inpaint_s']:.0f})"
            for one in tested(run, runs[0], out):
                admitted[name] &= one.shown
                print(f"| {name} | {mask} | {seconds} | {row(one)} |")
    for name, passed in admitted.items():
        print(f"{name}: {'admitted' if passed else 'not admitted'}")
    return int(not any(admitted.values()))


def tested(run: Run, reference: Run, out: Path) -> list[Equivalence]:
    """The figures that decide."""
    alike = compare(run.path, reference.path, equivalence=True).equivalences
    found = [one for one in alike if any(part in one.name for part in FIGURES)]
    tables = [one.table.sort_values("image_id", ignore_index=True) for one in (reference, run)]
    ids, people = tables[0]["image_id"].tolist(), tables[0]["identity"].to_numpy(str)
    clean = seen(reference, "original", ids, out)
    ours, theirs = (seen(one, "results", ids, out) for one in (run, reference))
    return [*found, frechet_equivalence(clean, ours, theirs, people)]


def seen(run: Run, kind: str, ids: list[str], out: Path) -> np.ndarray:
    """Pictures of a run as the fitted judge sees them.

    Raises:
        FileNotFoundError: the store has no judge.
    """
    for path in sorted((out / "store" / "recognizer").glob(f"*/{CHECKPOINT}")):
        judge = load_checkpoint(path)
        if isinstance(judge, SmallResNet):
            break
    else:
        raise FileNotFoundError(f"{out}/store holds no fitted judge.")
    folder = RunFolder(run.path)
    images = folder.read([folder.list(kind)[image_id][0] for image_id in ids])
    with torch.no_grad():
        return judge.features(images).numpy()


def row(one: Equivalence) -> str:
    """Figure, difference, margin and verdict as cells of a table."""
    if one.mean is None:
        return f"{one.name} | {one.reason} | {one.margin or '–'} | not shown"
    shown = "yes" if one.shown else "**no**"
    return f"{one.name} | {one.mean:+.4f} ({one.low:+.4f} to {one.high:+.4f}) | {one.margin} | {shown}"


if __name__ == "__main__":
    sys.exit(main())
