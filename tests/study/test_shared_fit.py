"""The fit as a stage: what runs of one process share, and what they do not."""

import torch

from privacy_exp import DrawnFaces, SmallResNet
from privacy_exp.cache.store import Store
from privacy_exp.recognition.checkpoint import save_checkpoint
from privacy_exp.recognition.fit import CHECKPOINT
from privacy_exp.study import stages


class Stored(Store):
    """A store that has the fit."""

    def __init__(self, folder):  # no lock, no seal
        self.folder = folder

    def fetch(self, kind, fields, compute):
        return self.folder, True


def test_a_stored_recogniser_is_built_once_and_handed_out_as_a_copy(tmp_path, monkeypatch):
    built, load = [], stages.load_checkpoint
    monkeypatch.setattr(stages, "load_checkpoint", lambda path: built.append(path) or load(path))
    monkeypatch.setattr(stages, "fit_key", lambda *_: {})
    parts = {"net": None, "module": None, "trainer": None}
    config = {"recognition": {"checkpoint": None, "init_from": None}, "trainer": {}}

    def fitted():
        return stages.fit(DrawnFaces(), parts, config, 0, Stored(tmp_path)).recognizer

    save_checkpoint(tmp_path / CHECKPOINT, SmallResNet().for_people(2), ["a", "b"])
    first, second = fitted(), fitted()
    assert len(built) == 1
    with torch.no_grad():
        next(first.parameters()).add_(1)
    assert not next(first.parameters()).equal(next(second.parameters())), "what one run does reaches no other"
    assert next(fitted().parameters()).equal(next(second.parameters()))
    save_checkpoint(tmp_path / CHECKPOINT, SmallResNet().for_people(3), ["a", "b", "c"])
    assert fitted().num_classes == 3, "another file at the same place is read"
