"""What every method promises, for every yaml in conf/masking: a new one is picked up by itself."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn

from privacy_exp.cache.keys import content_key
from privacy_exp.recognition.base import Recognizer, cover
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import Faces

METHODS = sorted(path.stem for path in (CONF / "masking").glob("*.yaml"))
SIZES = [(96, 96), (112, 112), (160, 160), (218, 178)]
RATIOS = (0, 0.01, 0.1, 0.25, 0.5, 0.9, 1)


class Small(Recognizer):
    """A recogniser of two convolutions: large enough to explain, small enough to test every method often."""

    def __init__(self, num_classes: int = 5) -> None:
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU()]
        trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        super().__init__(trunk, nn.Linear(32, num_classes), num_classes, 32, "none")
        self.prototypes = torch.randn(num_classes, 32)

    def prepare(self, images):
        return (cover(images, 32) - 0.5) / 0.5


def faces(n: int, size: tuple[int, int] = (64, 64)) -> Faces:
    height, width = size
    images = torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))
    points = torch.tensor([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.38, 0.7], [0.62, 0.7]])
    landmarks = (points * torch.tensor([width, height])).expand(n, 5, 2).clone()
    return Faces([f"face{i}" for i in range(n)], images, torch.arange(n) % 5, landmarks, None)


SMALLER = ("target_layer='0'", "patch_size=4", "size=64", "crop=48")
"""What the original study's methods take for its own network and frame."""


def masker(name: str, *overrides: str):
    text = (CONF / "masking" / f"{name}.yaml").read_text()
    overrides = [*SMALLER, *overrides] if name.startswith("original") else overrides
    overrides = [o for o in overrides if f"\n{o.split('=')[0]}:" in text]  # some methods fix their own block or area
    with initialize_config_dir(str(CONF), version_base="1.3"):
        method = instantiate(compose(f"masking/{name}", overrides=[f"masking.{o}" for o in overrides]).masking)
    method.fit([faces(5)], Small().eval())
    return method


OWN_AREA = [name for name in METHODS if not masker(name).has_budget]
BUDGET = [name for name in METHODS if name not in OWN_AREA]


@pytest.mark.parametrize("method", BUDGET)
def test_exact_share(method):
    net = Small().eval()
    blocks = [masker(method, f"granularity={granularity}") for granularity in (1, 8, 16)]
    for size in SIZES:
        batch = faces(1, size)
        scores = blocks[0].rank(batch, net, seed=0)  # once: a budget comes after scoring
        for m in blocks:
            for ratio in RATIOS:
                mask = m.mask(batch, net, ratio, 0, scores)
                assert mask.dtype == torch.bool
                assert int(mask.sum()) == round(ratio * size[0] * size[1]), (size, m.granularity, ratio)


@pytest.mark.parametrize("method", BUDGET)
def test_given_scores_give_the_same_mask_and_more_hides_all_that_less_does(method):
    m, net, batch = masker(method), Small().eval(), faces(2)
    scores = m.rank(batch, net, seed=3)
    little, much = (m.mask(batch, net, ratio, 3, scores) for ratio in (0.25, 0.6))
    assert little.equal(m.mask(batch, net, 0.25, 3))
    assert not (little & ~much).any()


@pytest.mark.parametrize("method", METHODS)
def test_scores_follow_the_seed_exactly_where_the_method_says_that_it_draws(method):
    m, net, batch = masker(method), Small().eval(), faces(2)
    m.mask(batch, net, 0.25, seed=0)
    same = m.rank(batch, net, seed=0).equal(m.rank(batch, net, seed=1))
    assert same != m.draws, "`draws` says whether the seed matters"


@pytest.mark.parametrize("method", METHODS)
def test_what_scores_are_filed_under(method):
    keys = content_key(masker(method).scoring_keys())
    assert content_key(masker(method).scoring_keys()) == keys
    if method != "iterative":  # hides whole blocks while it scores
        assert content_key(masker(method, "granularity=16").scoring_keys()) == keys
    assert content_key(masker(method, "region=face").scoring_keys()) == keys
    for change in (
        "target=similarity",
        "patch_size=2",
        "patch=0.5",
        "samples=3",
        "steps=3",
        "radius=0.3",
        "aspect=1.1",
    ):
        name = change.split("=")[0]
        if f"\n{name}:" in (CONF / "masking" / f"{method}.yaml").read_text():
            assert content_key(masker(method, change).scoring_keys()) != keys, change


@pytest.mark.parametrize("method", BUDGET)
def test_the_face_region_is_respected(method):
    m = masker(method, "region=face")
    batch = faces(3)
    everything = m.mask(batch, Small().eval(), 0.2, seed=0)
    allowed = torch.stack(m._allowed(batch))[:, None]
    assert not (everything & ~allowed).any()


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_mask_in_any_batch(method):
    m, net, batch = masker(method), Small().eval(), faces(8)
    together = m.mask(batch, net, 0.25, seed=3)
    assert together.equal(m.mask(batch, net, 0.25, seed=3))
    for i in (0, 5):
        alone = Faces(
            batch.ids[i : i + 1], batch.images[i : i + 1], batch.labels[i : i + 1], batch.landmarks[i : i + 1]
        )
        assert together[i : i + 1].equal(m.mask(alone, net, 0.25, seed=3))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_network_and_inputs_are_untouched(method, training, frozen):
    net, batch = Small().train(training), faces(3)
    net.trunk[1].eval()
    net.requires_grad_(not frozen)
    if not frozen:
        net(batch.images).sum().backward()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    grads = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    modes, flags = [m.training for m in net.modules()], [p.requires_grad for p in net.parameters()]
    pixels = batch.images.clone()
    masker(method).mask(batch, net, 0.25, seed=0)
    assert all(v.equal(before[k]) for k, v in net.state_dict().items())
    assert all((a is None and p.grad is None) or p.grad.equal(a) for a, p in zip(grads, net.parameters(), strict=True))
    assert modes == [m.training for m in net.modules()]
    assert flags == [p.requires_grad for p in net.parameters()]
    assert not any(m._forward_hooks for m in net.modules())
    assert batch.images.equal(pixels)
    assert not batch.images.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_works_without_labels_and_under_no_grad(method):
    batch = faces(2)._replace(labels=None)
    with torch.no_grad():
        assert masker(method).mask(batch, Small().eval(), 0.25, seed=0).any() != (method == "nothing")


@pytest.mark.parametrize("method", METHODS)
def test_bad_keys_are_refused(method):
    text = (CONF / "masking" / f"{method}.yaml").read_text()
    for override, words in (("granularity=0", "granularity"), ("region=nose", "region")):
        if f"\n{words}:" not in text:
            continue
        with pytest.raises(Exception, match=words):
            masker(method, override)
    if not masker(method).has_budget:
        return
    with pytest.raises(ValueError, match="mask_ratio"):
        masker(method).mask(faces(1), Small().eval(), 1.5, seed=0)


def test_the_yaml_of_a_method_is_named_like_its_module():
    for name in METHODS:
        assert type(masker(name)).__module__ == f"privacy_exp.masking.{name}"


def test_guided_methods_without_a_recogniser_say_so():
    for name in METHODS:
        m = masker(name)
        if m.blind:
            assert m.mask(faces(1), None, 0.25, seed=0).shape == (1, 1, 64, 64)
        else:
            with pytest.raises(ValueError, match=r"recognition\.checkpoint"):
                m.mask(faces(1), None, 0.25, seed=0)


def test_methods_with_their_own_area_ignore_the_ratio():
    for name in OWN_AREA:
        m, net = masker(name), Small().eval()
        assert m.mask(faces(2), net, 0.1, seed=0).equal(m.mask(faces(2), net, 0.9, seed=0))
