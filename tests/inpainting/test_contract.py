"""What every inpainter owes the stages around it, over every yaml of the group.

Yamls that name a checkpoint on the hub run on a tiny random checkpoint of the same class, loaded by the same call.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from privacy_exp.cache.configured import description
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.presets import preset
from privacy_exp.types import Faces
from tests.inpainting.conftest import some_faces, some_masks
from tests.recognition.small import Small

GROUP = sorted((Path(__file__).parents[2] / "conf" / "inpainting").glob("*.yaml"))
SHIPPED = Path(str(files("privacy_exp"))) / "assets" / "tiny_inpaint" / "model_index.json"
TINY = "privacy_exp/assets/tiny_inpaint"
# A stand-in for each yaml that names a checkpoint; the others are their own.
STAND_IN = {
    "faces": "sd_inpaint",
    "tiny": "sd_inpaint",
    "tiny_fast": "sd_inpaint",
    "sd15": "sd_inpaint",
    "sd2": "sd_inpaint",
    "sd15_lcm": "sd_inpaint",
    "sdxl": "sdxl_inpaint",
    "diffusers": "sd_plain",
    "vae_round_trip": "sd_inpaint",
}
NEEDED = {
    "command": {"command": """sh -c 'cp -r "$0"/. "$1"; test -d "$2"' {input} {output} {masks}"""},
    "callable": {"function": "tests.inpainting.tools.mirrored"},
}
CASES = [path.stem for path in GROUP if path.stem != "faces"] + [
    "tiny (shipped)",
    "faces (shipped)",
    "vae_round_trip (shipped)",
]


@pytest.fixture(params=CASES)
def inpainter(request: pytest.FixtureRequest) -> Inpainter:
    """One inpainter of each yaml, fitted where it learns."""
    name, _, shipped = request.param.partition(" ")
    if shipped and not SHIPPED.is_file():
        pytest.skip("the shipped checkpoint is not in the package yet")
    changes: dict[str, Any] = dict(NEEDED.get(name, {}))
    if name in STAND_IN and not shipped:
        checkpoint = request.getfixturevalue(STAND_IN[name])
        changes |= {"checkpoint": checkpoint, "revision": None, "variant": None, "native_size": 32}
    if name in STAND_IN and name != "vae_round_trip":
        changes |= {"num_inference_steps": 2}
    if name == "tiny_fast":
        changes |= {"compile": False}  # a minute of its own
    if name == "sd15_lcm":
        changes |= {"lora": request.getfixturevalue("lora"), "lora_revision": None}
    made: Inpainter = instantiate(OmegaConf.merge(composed(name), changes))
    ready(made, 32, 32)
    return made


def ready(inpainter: Inpainter, height: int, width: int) -> None:
    """Fits what learns, and shows a recogniser to what follows one."""
    inpainter.fit(training(height, width))
    inpainter.meet(Small(num_classes=3).eval())


@cache
def composed(name: str) -> DictConfig:
    """The yaml as the commands see it, with those that it builds on; not to be changed."""
    with initialize_config_dir(str(GROUP[0].parents[1]), version_base="1.3"):
        return compose(overrides=[f"+inpainting={name}"]).inpainting


def training(height: int, width: int) -> Iterator[Faces]:
    yield some_faces(15, height, width)._replace(labels=torch.arange(15) % 12)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


ON_GPU = torch.cuda.is_available()
"""There the same seed repeats to within `close`: half precision, and operations without a reproducible form."""


def close(first: torch.Tensor, second: torch.Tensor) -> bool:
    return bool((first - second).abs().max() <= 2 / 255)


def pick(faces: Faces, rows: list[int]) -> Faces:
    chosen = faces.attributes or {}
    return Faces(
        [faces.ids[i] for i in rows],
        faces.images[rows],
        None if faces.labels is None else faces.labels[rows],
        attributes={name: values[rows] for name, values in chosen.items()},
    )


def test_kept_pixels_come_back_bit_for_bit(inpainter: Inpainter, faces: Faces, masks: torch.Tensor) -> None:
    before, masks_before = faces.images.clone(), masks.clone()
    result = inpainter(faces, masks, seed=0)
    assert result.shape == faces.images.shape
    assert result.dtype == faces.images.dtype
    assert torch.equal(result.masked_select(~masks), faces.images.masked_select(~masks))
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(faces.images, before)
    assert torch.equal(masks, masks_before)
    inpainter.sanity.check()


def test_seed_alone_decides(inpainter: Inpainter, faces: Faces, masks: torch.Tensor) -> None:
    first = inpainter(faces, masks, seed=0)
    torch.rand(7)
    again = inpainter(faces, masks, seed=0)
    assert close(first, again) if ON_GPU else torch.equal(first, again)
    if hasattr(inpainter, "pipe"):
        assert not close(first, inpainter(faces, masks, seed=1))
        assert not close(first, inpainter(faces, masks, seed=0, draw=1))


def test_batches_and_order_change_nothing(inpainter: Inpainter, faces: Faces, masks: torch.Tensor) -> None:
    whole = inpainter(faces, masks, seed=0)
    single = torch.cat([inpainter(pick(faces, [i]), masks[i : i + 1], seed=0) for i in range(len(faces.ids))])
    assert close(whole, single)
    order = [1, 2, 0]
    assert close(whole[order], inpainter(pick(faces, order), masks[order], seed=0))


def test_round_trip_and_latent_share(inpainter: Inpainter, faces: Faces, masks: torch.Tensor) -> None:
    control = inpainter.round_trip(faces, masks)
    assert control.shape == faces.images.shape
    assert control.min() >= 0
    assert control.max() <= 1
    if not (hasattr(inpainter, "pipe") or hasattr(inpainter, "vae")):
        assert torch.equal(control, faces.images)
    share = inpainter.latent_share(masks)
    assert share.shape == (3,)
    assert (share - masks.float().mean(dim=(1, 2, 3))).abs().max() < 0.1
    assert share[-1] == 0


@pytest.mark.parametrize(("height", "width"), [(43, 36), (64, 64)])
def test_any_size(inpainter: Inpainter, height: int, width: int) -> None:
    faces, masks = some_faces(2, height, width), some_masks(2, height, width)
    ready(inpainter, height, width)
    result = inpainter(faces, masks, seed=0)
    assert torch.equal(result.masked_select(~masks), faces.images.masked_select(~masks))
    assert inpainter.round_trip(faces, masks).shape == faces.images.shape


def test_everything_and_nothing(inpainter: Inpainter, faces: Faces) -> None:
    nothing = torch.zeros(3, 1, 32, 32, dtype=torch.bool)
    assert torch.equal(inpainter(faces, nothing, seed=0), faces.images)
    assert inpainter(faces, ~nothing, seed=0).isfinite().all()


def test_it_says_how_it_was_made(inpainter: Inpainter, faces: Faces, masks: torch.Tensor) -> None:
    said = description(inpainter)
    again: Inpainter = instantiate(OmegaConf.create(said))
    inpainter.meet(net := Small(num_classes=3).eval())
    ready(again, 32, 32)
    again.meet(net)
    assert description(again) == said
    assert torch.equal(again(faces, masks, seed=0), inpainter(faces, masks, seed=0))


def test_hidden_pixels_alone_change_nothing(inpainter: Inpainter, faces: Faces) -> None:
    """What is hidden must not shine through, unless the class says that it does."""
    masks = torch.zeros(3, 1, 32, 32, dtype=torch.bool)
    masks[:2, :, 3:29, 3:29] = True
    masks[1:, :, ::4, ::4] = True  # scattered, and up to the edge
    masks[2, :, 8:16] = True
    strangers = some_faces(15, 32, 32).images
    results = []
    for rows in ([0, 1, 2], [9, 10, 11]):
        hidden = torch.where(masks, strangers[rows], faces.images)
        results.append(inpainter(Faces(faces.ids, hidden), masks, seed=0))
    assert torch.equal(*results) != inpainter.reads_hidden


@pytest.mark.parametrize("name", [path.stem for path in GROUP])
def test_yaml_and_constructor_agree(name: str) -> None:
    """A yaml that is no variant of another one holds the constructor's defaults."""
    config = OmegaConf.to_container(composed(name))
    assert isinstance(config, dict)
    target = str(config.pop("_target_"))
    if target.endswith("DiffusionInpainter.from_pretrained"):
        assert preset(name, target) == config
        if name != "diffusers":
            return
        made, plain = (
            DiffusionInpainter.from_pretrained(**keys)
            for keys in ({**config, "checkpoint": TINY}, {"checkpoint": TINY})
        )
        assert description(made) == description(plain) == description(DiffusionInpainter())
        return
    kind = instantiate({"_target_": "hydra.utils.get_class", "path": target})
    needed = NEEDED.get(name, {})
    assert dict(kind(**needed).arguments) == dict(kind(**config | needed).arguments)


@pytest.mark.parametrize(
    ("name", "steps", "scale", "checkpoint"),
    [
        ("tiny", 20, 3.0, TINY),
        ("faces", 20, 3.0, "privacy_exp/assets/faces_inpaint"),
        ("sd15_lcm", 6, 1.5, "stable-diffusion-v1-5/stable-diffusion-inpainting"),
    ],
)
def test_variants_hold_what_they_are_for(name: str, steps: int, scale: float, checkpoint: str) -> None:
    config = composed(name)
    assert (config.num_inference_steps, config.guidance_scale, config.checkpoint) == (steps, scale, checkpoint)
