"""The smallest run that measures can look at."""

import numpy as np
import pandas as pd
import torch

from privacy_exp.cache.store import Store
from privacy_exp.evaluation.measure import Scene
from privacy_exp.runs.folder import RunFolder
from tests.evaluation.attackers.fakes import ByColour

IDS, PEOPLE = ["a", "b", "c", "d", "e"], np.array(["p", "p", "q", "q", "r"])


def five_photos(tmp_path):
    """A run of five photos of three people: random pixels, the upper half hidden, results darker by a half."""
    folder = RunFolder(tmp_path / "run", "png")
    images = torch.rand(5, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(5, 1, 12, 12, dtype=torch.bool)
    masks[:, :, :6] = True
    for kind, own in (("original", images), ("masks", masks), ("results", images / 2)):
        folder.save(kind, IDS, torch.tensor([0, 0, 1, 1, 2]), own)
    table = pd.DataFrame({"image_id": IDS, "identity": PEOPLE})
    return Scene(RunFolder(folder.path), table, ["p", "q", "r"], ByColour(3), Store(tmp_path / "store"), seed=6)


def read(scene, kind):
    return scene.folder.read([path for path, _ in scene.folder.list(kind).values()])
