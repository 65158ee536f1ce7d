"""What every method promises, for every yaml in conf/masking: a new one is picked up by itself."""

from copy import deepcopy
from functools import cache

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from torch import nn

from privacy_exp.cache.configured import description
from privacy_exp.cache.keys import content_key
from privacy_exp.masking.base import OwnArea
from privacy_exp.recognition.base import Recognizer, cover
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import Faces, UserError

METHODS = sorted(path.stem for path in (CONF / "masking").glob("*.yaml") if path.stem != "command")
"""All but other people's tools: test_command.py."""
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


@cache
def composed(name: str, overrides: tuple[str, ...] = ()):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(f"masking/{name}", overrides=list(overrides)).masking


def config(name: str, *overrides: str):
    """The composed yaml, with those of the overrides whose key it has: some methods fix their own block or area."""
    keys = composed(name)
    overrides = (*SMALLER, *overrides) if name.startswith("original") else overrides
    return deepcopy(composed(name, tuple(f"masking.{o}" for o in overrides if o.split("=")[0] in keys)))


def masker(name: str, *overrides: str):
    method = instantiate(config(name, *overrides))
    method.fit([faces(5)], Small().eval())
    return method


def hide(method, batch: Faces, net=None, mask_ratio: float = 0.25, seed: int = 0, scores=None):
    """The masks of either kind of method."""
    share = {} if isinstance(method, OwnArea) else {"mask_ratio": mask_ratio}
    return method.mask(batch, net, seed=seed, scores=scores, **share)


OWN_AREA = [name for name in METHODS if isinstance(masker(name), OwnArea)]
RANKED = [name for name in METHODS if name not in OWN_AREA]


@pytest.mark.parametrize("method", METHODS)
def test_the_yaml_holds_the_constructors_defaults(method):
    yaml = config(method) if not method.startswith("original") else composed(method)
    made, default = instantiate(yaml), get_class(yaml["_target_"])()
    stated = {key: getattr(made, key) for key in yaml if key[0] != "_"}
    if method == "ensemble":
        assert [description(m) for m in made.methods] == [description(m) for m in default.methods]
        stated.pop("members")
    assert description(stated) == description({key: getattr(default, key) for key in stated})
    assert set(stated) >= set(default.arguments) - {"members"}, "the yaml states every key"
    again = instantiate(description(made), _convert_="all")
    assert description(again) == description(made), "a description makes the object again"


@pytest.mark.parametrize("method", RANKED)
def test_exact_share(method):
    net = Small().eval()
    blocks = [masker(method, f"granularity={granularity}") for granularity in (1, 8, 16)]
    for size in SIZES:
        batch = faces(1, size)
        scores = blocks[0].rank(batch, net, seed=0)  # once: a budget comes after scoring
        for m in blocks:
            for ratio in RATIOS:
                mask = m.mask(batch, net, mask_ratio=ratio, scores=scores)
                assert mask.dtype == torch.bool
                assert int(mask.sum()) == round(ratio * size[0] * size[1]), (size, m.granularity, ratio)


@pytest.mark.parametrize("method", RANKED)
def test_given_scores_give_the_same_mask_and_more_hides_all_that_less_does(method):
    m, net, batch = masker(method), Small().eval(), faces(2)
    scores = m.rank(batch, net, seed=3)
    little, much = (m.mask(batch, net, mask_ratio=ratio, seed=3, scores=scores) for ratio in (0.25, 0.6))
    assert little.equal(m.mask(batch, net, mask_ratio=0.25, seed=3))
    assert not (little & ~much).any()


@pytest.mark.parametrize("method", METHODS)
def test_scores_follow_the_seed_exactly_where_the_method_says_that_it_draws(method):
    m, net, batch = masker(method), Small().eval(), faces(2)
    hide(m, batch, net)
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
        if name in config(method) and method != "minimal":  # whose steps come after scoring
            assert content_key(masker(method, change).scoring_keys()) != keys, change


@pytest.mark.parametrize("method", RANKED)
def test_the_face_region_is_respected(method):
    m = masker(method, "region=face")
    batch = faces(3)
    everything = m.mask(batch, Small().eval(), mask_ratio=0.2)
    allowed = torch.stack(m.allowed(batch))[:, None]
    assert not (everything & ~allowed).any()


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_mask_in_any_batch(method):
    m, net, batch = masker(method), Small().eval(), faces(8)
    together = hide(m, batch, net, seed=3)
    assert together.equal(hide(m, batch, net, seed=3))
    for i in (0, 5):
        alone = Faces(
            batch.ids[i : i + 1], batch.images[i : i + 1], batch.labels[i : i + 1], batch.landmarks[i : i + 1]
        )
        assert together[i : i + 1].equal(hide(m, alone, net, seed=3))


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
    hide(masker(method), batch, net)
    assert all(v.equal(before[k]) for k, v in net.state_dict().items())
    assert all((a is None and p.grad is None) or p.grad.equal(a) for a, p in zip(grads, net.parameters(), strict=True))
    assert modes == [m.training for m in net.modules()]
    assert flags == [p.requires_grad for p in net.parameters()]
    assert not any(m._forward_hooks for m in net.modules())
    assert batch.images.equal(pixels)
    assert not batch.images.requires_grad


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("known", [{"labels"}, {"landmarks"}, set()], ids=["labels", "landmarks", "nothing known"])
def test_works_on_any_photos_in_any_mode_and_leaves_the_network_as_it_was(method, known):
    """Odd sizes, one photo or several, a network in training mode, labels and landmarks or not, without gradients."""
    m = masker(method)
    for n, size, training in ((1, (37, 53), True), (3, (64, 48), False)):
        photos = faces(n, size)
        photos = photos._replace(**{name: None for name in ("labels", "landmarks") if name not in known})
        net = Small().train(training)
        before = {k: v.clone() for k, v in net.state_dict().items()}
        with torch.no_grad():
            masks = hide(m, photos, net)
        assert masks.dtype == torch.bool
        assert masks.shape == (n, 1, *(size if not method.startswith("original") else masks.shape[2:]))
        if method in RANKED:
            assert masks.sum((1, 2, 3)).tolist() == [round(0.25 * size[0] * size[1])] * n
        assert all(v.equal(before[k]) for k, v in net.state_dict().items()), "BatchNorm has moved"
        assert net.training == training


@pytest.mark.parametrize("method", METHODS)
def test_bad_keys_are_refused(method):
    for override, words in (("granularity=0", "granularity"), ("region=nose", "region")):
        if words in config(method):
            with pytest.raises(Exception, match=words):
                masker(method, override)


@pytest.mark.parametrize("ratio", [1.5, -0.01, float("nan"), True])
@pytest.mark.parametrize("method", ["center", "saliency"])
def test_a_share_that_is_none_is_refused(method, ratio):
    with pytest.raises(UserError, match="`mask_ratio` must be a number in"):
        masker(method).mask(faces(1), Small().eval(), mask_ratio=ratio)


def test_the_yaml_of_a_method_is_named_like_its_module():
    for name in METHODS:
        assert type(masker(name)).__module__ == f"privacy_exp.masking.{name}"


def test_guided_methods_without_a_recogniser_say_so():
    for name in METHODS:
        m = masker(name)
        if m.blind:
            assert hide(m, faces(1)).shape == (1, 1, 64, 64)
        else:
            with pytest.raises(ValueError, match=r"recognition\.checkpoint"):
                hide(m, faces(1))


def test_methods_with_their_own_area_take_no_ratio():
    for name in OWN_AREA:
        with pytest.raises(TypeError, match="mask_ratio"):
            masker(name).mask(faces(2), Small().eval(), mask_ratio=0.1)
