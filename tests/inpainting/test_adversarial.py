"""Adversarial noise stays small and inside the mask, and turns the embedding that it follows."""

import pytest
import torch

from privacy_exp import Adversarial, UserError
from privacy_exp.types import Faces
from tests.inpainting.conftest import some_faces
from tests.recognition.small import Small

EPS = 0.05


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Small(num_classes=3).eval()


def alike(network, a, b):
    with torch.no_grad():
        return (network.embed(a) * network.embed(b)).sum(1)


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_small_noise_turns_the_embedding_away(network, momentum):
    faces, whole = some_faces(3, 24, 24), torch.ones(3, 1, 24, 24, dtype=torch.bool)
    noise = Adversarial(eps=EPS, steps=10, momentum=momentum)
    noise.meet(network)
    found = noise(faces, whole, seed=0)
    assert (found - faces.images).abs().max() <= EPS + 1e-6
    sign = (torch.rand(faces.images.shape, generator=torch.Generator().manual_seed(1)) < 0.5) * 2 * EPS - EPS
    chance = alike(network, (faces.images + sign).clamp(0, 1), faces.images)
    turned = 1 - alike(network, found, faces.images)
    assert (turned > 20 * (1 - chance)).all(), "more than as much noise of no direction"
    half = whole.clone()
    half[..., :12] = False
    inside = noise(faces, half, seed=0)
    assert torch.equal(inside[..., :12], faces.images[..., :12])
    assert (alike(network, inside, faces.images) < 1).all()


def test_momentum_takes_another_way(network):
    faces, whole = some_faces(1, 24, 24), torch.ones(1, 1, 24, 24, dtype=torch.bool)
    ways = [Adversarial(EPS, 5, momentum) for momentum in (0.0, 1.0)]
    for noise in ways:
        noise.meet(network)
    assert not torch.equal(*(noise(faces, whole) for noise in ways))


def test_the_recogniser_stays_as_it_was(network):
    noise = Adversarial(EPS, 2)
    noise.meet(network)
    noise(some_faces(1, 24, 24), torch.ones(1, 1, 24, 24, dtype=torch.bool))
    assert all(p.requires_grad and p.grad is None for p in network.parameters())


def test_bad_values_are_named():
    for keys, says in (({"eps": 0.0}, "`eps`"), ({"steps": 0}, "`steps`"), ({"momentum": 1.5}, "`momentum`")):
        with pytest.raises(UserError, match=says):
            Adversarial(**keys)
    with pytest.raises(UserError, match="needs a recogniser: give one"):
        Adversarial()(Faces(["a"], torch.rand(1, 3, 8, 8)), torch.ones(1, 1, 8, 8, dtype=torch.bool))
