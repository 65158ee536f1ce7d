"""The smallest share against a recogniser whose answer is known in closed form."""

import pytest
import torch
from torch import nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.everything import Everything
from privacy_exp.masking.minimal import Minimal
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces


class FromTheLeft(Masker):
    """Columns from left to right."""

    draws = False

    def score(self, faces, recognizer, generators):
        del recognizer, generators
        return -torch.arange(32.0).expand(len(faces.ids), 1, 32, 32)


class KnowsByWhite(Recognizer):
    """Identity 1 while the given columns hold any white beside the rest's black, else identity 0."""

    def __init__(self, needs) -> None:
        super().__init__(nn.Conv2d(3, 1, 1), nn.Identity(), 2, 32, "none")
        self.needs = needs

    def prepare(self, images):
        return images

    def forward(self, images):
        known = torch.tensor([float(self.needs(row)) for row in images[:, 0].mean(1)])
        return torch.stack([0.5 - known, known - 0.5], 1)


def face(white: slice) -> Faces:
    images = torch.zeros(1, 3, 32, 32)
    images[..., white] = 1
    return Faces(["a"], images, torch.tensor([1]))


def minimal(**keys):
    return Minimal(base=FromTheLeft(), **{"cap": 1.0, "trials": 8, "steps": 4, "granularity": 1} | keys)


def test_it_finds_the_share_at_which_the_last_white_column_goes():
    m, net = minimal(), KnowsByWhite(lambda row: row.max() > 0.9)
    mask = m.mask(face(slice(5, 11)), net, seed=0)
    # lost while the last white column, 10, is being hidden: a tenth of it is enough
    assert 10 / 32 < float(mask.float().mean()) <= 10.2 / 32 + 1 / 8 / 2**4
    assert m.facts == {"minimal_recognised": [True], "minimal_lost": [True], "minimal_monotone": [True]}


def test_what_was_never_known_needs_nothing_and_what_stays_known_gets_the_cap():
    m = minimal(cap=0.5)
    assert not m.mask(face(slice(5, 11)), KnowsByWhite(lambda row: False), seed=0).any()
    assert m.facts["minimal_recognised"] == [False]
    assert float(m.mask(face(slice(5, 11)), KnowsByWhite(lambda row: True), seed=0).float().mean()) == 0.5
    assert m.facts["minimal_lost"] == [False]


def test_an_identity_that_comes_back_is_reported():
    m = minimal()
    # lost while columns 8 … 19 are the last hidden ones, known again from 20 on
    net = KnowsByWhite(lambda row: not 8 <= int((row == row[0]).sum()) < 20)
    images = torch.linspace(0.1, 0.9, 32).expand(1, 3, 32, 32).contiguous()
    m.mask(Faces(["a"], images, torch.tensor([1])), net, seed=0)
    assert m.facts == {"minimal_recognised": [True], "minimal_lost": [True], "minimal_monotone": [False]}


@pytest.mark.parametrize("keys", [{"cap": 0.0}, {"cap": 1.1}, {"trials": 0}, {"steps": -1}])
def test_bad_keys(keys):
    with pytest.raises(ValueError, match=next(iter(keys))):
        minimal(**keys)
    with pytest.raises(ValueError, match="`base`"):
        Minimal(base=Everything())
