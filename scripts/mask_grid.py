"""One picture of what every masking method hides: one row per method, one column per face.

usage: python scripts/mask_grid.py [OUT.png] [key=value ...]      keys of `python -m privacy_exp.train`: mask_ratio=0.1
"""

import sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from matplotlib.figure import Figure
from PIL import Image

from privacy_exp.cache.files import atomic_file
from privacy_exp.cache.store import Store
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.masking.original_frame import OriginalMethod
from privacy_exp.recognition.base import Recognizer
from privacy_exp.study.stages import fit
from privacy_exp.sweep.configuration import plain_config
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import Faces, Images

FACES = 6
BLOCKS = 3
"""Columns of methods beside each other."""


def main() -> None:
    """Fits (or reuses) the recogniser, masks six people with every method and saves the picture."""
    given = sys.argv[1:]
    out = Path(given.pop(0)) if given and "=" not in given[0] else Path("docs/images/masks.png")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=given)
        names = sorted(path.stem for path in (CONF / "masking").glob("*.yaml"))
        methods = {name: instantiate(compose(f"masking/{name}").masking) for name in names}
    data = instantiate(config.data)
    data.setup()
    parts = {name: instantiate(config.recognition[name]) for name in ("net", "module")}
    parts["trainer"] = instantiate(config.trainer)
    recognizer = fit(data, parts, plain_config(config), config.seed, Store(config.cache.root)).recognizer
    recognizer.choose_target_layer(config.recognition.target_layer)
    people = {photo.identity: photo for photo in reversed(data.photos["test"])}
    faces = data.faces([people[name] for name in sorted(people)[:FACES]])
    rows = {"original": faces.images}
    for name, method in methods.items():
        method.fit(data.batches("train"), recognizer)
        rows[name] = hidden(faces, recognizer, method, config.mask_ratio, config.seed)
    draw(rows, out)
    print(out)


def hidden(faces: Faces, recognizer: Recognizer, method: Masker | OwnArea, mask_ratio: float, seed: int) -> Images:
    """The faces with their hidden pixels in red, at the size that is painted."""
    if isinstance(method, Masker):
        masks = method.mask(faces, recognizer, mask_ratio=mask_ratio, seed=seed)
    else:
        masks = method.mask(faces, recognizer, seed=seed)
    images = method.frame(faces).images if isinstance(method, OriginalMethod) else faces.images
    red = torch.tensor([0.85, 0.1, 0.1]).view(3, 1, 1)
    return torch.where(masks, 0.25 * images + 0.75 * red, images)


def draw(rows: dict[str, Images], out: Path) -> None:
    """Strips of faces under their method's name, in blocks beside each other."""
    high = -(-len(rows) // BLOCKS)
    figure = Figure(figsize=(4.1 * BLOCKS, 0.86 * high), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.01, hspace=0.02, wspace=0.02)
    axes = figure.subplots(high, BLOCKS, squeeze=False).T.flatten()
    for axis in axes:
        axis.axis("off")
    for axis, (name, images) in zip(axes, rows.items(), strict=False):
        small = torch.nn.functional.interpolate(images, (128, 128), mode="area" if images.shape[2] > 128 else "nearest")
        axis.imshow(torch.cat([image.permute(1, 2, 0) for image in small], 1).numpy())
        axis.set_title(name, fontsize=8, loc="left", pad=2)
    with atomic_file(out) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
        with Image.open(temporary) as picture:  # a third of the size, and no difference to see
            picture.convert("RGB").quantize(256).save(temporary, format="png", optimize=True)


if __name__ == "__main__":
    main()
