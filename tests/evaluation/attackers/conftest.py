"""A finished run on people told apart by colour, small enough that an attacker is fitted in a second."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from privacy_exp.cache.store import Store
from privacy_exp.evaluation.measure import Scene
from privacy_exp.evaluation.score import score_folder
from privacy_exp.recognition.fit import fit_recognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.runs.folder import RunFolder
from privacy_exp.sweep.entry import CONF
from tests.recognition.small import Colours, Small

PROTECTIONS = {
    "nothing": lambda images, masks: images,
    "negative": lambda images, masks: 1 - images,  # fools whoever does not adapt, hides nothing from who does
    "black": lambda images, masks: torch.zeros_like(images),
    "dots": lambda images, masks: dotted(images),
}


def dotted(images):
    """One pixel of four as far from the face's own colour as can be: fewer than half of any 3×3 square."""
    spoilt = images.clone()
    spoilt[:, :, 1::2, 1::2] = 1 - images.mean((2, 3), keepdim=True).round()
    return spoilt


@dataclass
class World:
    """People, the recogniser fitted to them, and scenes in which they are protected in one of several ways."""

    root: Path
    trainer: Any
    data: Colours
    freeze: str = "none"
    fits: list[tuple[str, str | None]] = field(default_factory=list)
    fitted: dict[tuple, Any] = field(default_factory=dict)
    recipes: list[FitRecipe] = field(default_factory=list)
    recognizer: Any = None

    def fit(self, data, freeze=None, net=None, recipe=None, times=1):
        """Fits each kind of pictures once: the store's part in a run."""
        self.fits.append((type(data).__name__, freeze))
        key = data.digest(), freeze or self.freeze, type(net or Small).__name__, times
        if key not in self.fitted:
            net, recipe = net or Small(freeze=key[1]), (recipe or FitRecipe(max_epochs=10, lr=0.03)).longer(times)
            self.recipes.append(recipe)
            self.fitted[key] = fit_recognizer(data, net, recipe, self.trainer, 0, self.root).recognizer
        return self.fitted[key]

    def scene(self, protection: str) -> Scene:
        """The test part protected, and the means to protect the rest."""
        protect = PROTECTIONS[protection]

        def anonymize(part: str, seed: int) -> RunFolder:
            folder = RunFolder(self.root / protection / f"{part}-{seed}", "png")
            for faces in self.data.batches(part):
                masks = torch.zeros_like(faces.images[:, :1], dtype=torch.bool)
                masks[:, :, : masks.shape[2] // 2] = True
                kinds = {"original": faces.images, "masks": masks, "results": protect(faces.images, masks)}
                for kind, images in kinds.items():
                    folder.save(kind, faces.ids, faces.labels, images)
            return folder

        folder = anonymize("test", 0)
        table = score_folder(folder, self.recognizer, self.data.identities)
        config = {"image_format": "png", "evaluation": {"gate": 0.8}}
        store = Store(self.root / "store")
        return Scene(
            folder,
            table,
            self.data.identities,
            self.recognizer,
            store,
            data=self.data,
            config=config,
            anonymize=anonymize,
            fit=self.fit,
        )


@pytest.fixture(scope="session")
def trainer():
    """conf/trainer/cpu.yaml, without the bar."""
    with initialize_config_dir(str(CONF / "trainer"), version_base="1.3"):
        return instantiate(compose("cpu", overrides=["enable_progress_bar=false"]))


@pytest.fixture(scope="session")
def world(trainer, tmp_path_factory) -> World:
    data = Colours(people=5, photos_each=10, batch_size=8)
    data.setup()
    made = World(tmp_path_factory.mktemp("world"), trainer, data)
    made.recognizer = made.fit(data)
    return made


@pytest.fixture(scope="session")
def fake_world(tmp_path_factory):
    """`world` with recognisers that are fitted in a millisecond; see `fakes`."""
    from tests.evaluation.attackers.fakes import Fakes

    data = Colours(people=5, photos_each=5, batch_size=8)
    data.setup()
    made = Fakes(tmp_path_factory.mktemp("fakes"), None, data)
    made.recognizer = made.fit(data)
    return made


@pytest.fixture
def fakes(fake_world):
    """The same, asked for nothing yet."""
    fake_world.asked.clear()
    fake_world.answer, fake_world.freeze = {}, "none"
    return fake_world


@pytest.fixture
def folders(scene):
    return {part: scene.anonymize(part, 1) for part in ("train", "val")} | {"test": scene.folder}


@pytest.fixture
def judged(scene):
    return replace(scene, judges={"judge/colour": scene.recognizer})
