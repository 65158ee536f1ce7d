"""KID, FID and LPIPS around networks that are not there: what they are asked, which reason is given."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance

from privacy_exp.evaluation.utility import inception, lpips
from privacy_exp.evaluation.utility.inception import FID, KID
from privacy_exp.evaluation.utility.lpips import LPIPS
from privacy_exp.evaluation.utility.pictures import mean_of_present
from privacy_exp.types import UserError
from tests.evaluation.five_photos import PEOPLE, five_photos, read


@pytest.fixture
def scene(tmp_path):
    return five_photos(tmp_path)


class Shown(KernelInceptionDistance):
    """Stands in for a metric of torchmetrics: what it was made of and shown."""

    def __init__(self, network, **keys):
        torch.nn.Module.__init__(self)
        self.network, self.keys, self.shown = network, keys, []
        self.drawn = torch.rand(1).item()
        made.append(self)

    def to(self, device):
        return self

    def update(self, images, real):
        assert images.dtype == torch.uint8
        self.shown.append((real, images))

    def compute(self):
        return (torch.tensor(1.5), torch.tensor(0.25)) if self.keys else torch.tensor(2.5)


made: list = []
networks: dict = {}


@pytest.fixture
def shown(monkeypatch):
    made.clear()
    monkeypatch.setattr(
        inception, "inception_network", lambda weights: networks.setdefault(weights, torch.nn.Identity())
    )
    monkeypatch.setattr(inception, "missing", lambda weights, measure: None)
    for name in ("KernelInceptionDistance", "FrechetInceptionDistance"):
        monkeypatch.setattr(inception, name, Shown)
    return made


def test_kid_is_asked_about_sets_of_its_size(scene, shown, tmp_path):
    (tmp_path / "w").touch()
    weights = str(tmp_path / "w")
    before = torch.random.get_rng_state()
    found = KID(weights, subset_size=3, subsets=7, batch_size=2).measure(scene, "utility/kid")
    assert torch.random.get_rng_state().equal(before)
    metric = found.metrics["utility/kid"]
    assert (metric.value, metric.low, metric.high, metric.n) == (1.5, None, None, 5)
    assert found.details == {
        "n": 5,
        "reference": "the same photos before anything was hidden",
        "subset_size": 3,
        "standard_deviation": 0.25,
    }
    (own,) = shown
    assert own.network is networks[weights]
    assert own.keys == {"subsets": 7, "subset_size": 3}
    assert own.drawn == torch.rand(1, generator=torch.Generator().manual_seed(6)).item(), "the run's seed"
    assert [(real, len(images)) for real, images in own.shown] == [(r, n) for n in (2, 2, 1) for r in (True, False)]
    assert own.shown[0][1].equal((read(scene, "original")[:2] * 255).round().byte())
    assert own.shown[1][1].equal((read(scene, "results")[:2] * 255).round().byte())
    for size in (5, 6):
        assert KID(weights, subset_size=size).measure(scene, "utility/kid").details["subset_size"] == 5
        assert shown[-1].keys == {"subsets": 1, "subset_size": 5}, "all of them at once, once"
    one = replace(scene, table=scene.table.iloc[:1])
    single = KID(weights).measure(one, "utility/kid").metrics["utility/kid"]
    assert (single.value, single.n, single.reason) == (None, 1, "one image has no distribution")
    assert KID(weights).measure(replace(scene, table=scene.table.iloc[:2]), "u/kid").metrics["u/kid"].value == 1.5


def test_fid_needs_as_many_images_as_were_asked_for(scene, shown, tmp_path):
    (tmp_path / "w").touch()
    found = FID(str(tmp_path / "w"), fewest_images=5, batch_size=3).measure(scene, "utility/fid")
    metric = found.metrics["utility/fid"]
    assert (metric.value, metric.low, metric.high, metric.n) == (2.5, None, None, 5)
    assert found.details == {"n": 5, "reference": "the same photos before anything was hidden"}
    assert shown[0].network is networks[str(tmp_path / "w")]
    assert [(real, len(images)) for real, images in shown[0].shown] == [(r, n) for n in (3, 2) for r in (True, False)]
    few = FID(str(tmp_path / "w"), fewest_images=6).measure(scene, "utility/fid").metrics["utility/fid"]
    assert (few.value, few.n) == (None, 5)
    assert few.reason == "5 images, 6 needed: biased below that, use utility=kid"


def test_what_inception_lacks(monkeypatch, tmp_path, scene):
    assert (
        inception.missing(None, "kid")
        == f"no weights: give utility.kid.weights=FILE, torch-fidelity's {inception.WEIGHTS}"
    )
    asked = []
    monkeypatch.setattr(inception, "find_spec", lambda name: asked.append(name))
    assert inception.missing("w", "kid") == "torch-fidelity is not installed: pip install 'privacy-exp[fidelity]'"
    assert asked == ["torch_fidelity"]
    monkeypatch.setattr(inception, "find_spec", lambda name: 1)
    assert inception.missing("w", "kid") is None
    for kind, name in ((KID, "kid"), (FID, "fid")):
        with pytest.raises(
            FileNotFoundError,
            match=rf"`utility\.{name}\.weights` must be a file such as {inception.WEIGHTS}, but none is none",
        ):
            kind("none")
        own = kind().measure(scene, f"utility/{name}").metrics[f"utility/{name}"]
        assert (own.value, own.low, own.high, own.n) == (None, None, None, 5)
    assert "utility.kid.weights" in KID().measure(scene, "utility/kid").metrics["utility/kid"].reason
    few = replace(scene, table=pd.concat([scene.table] * 1000))
    assert "utility.fid.weights" in FID().measure(few, "utility/fid").metrics["utility/fid"].reason
    assert inception.eight_bit(torch.tensor([-0.1, 0.0, 0.4, 1.0, 1.1]).view(1, 1, 1, 5).expand(1, 3, 1, 5))[
        0, 0, 0
    ].tolist() == [0, 0, 102, 255, 255]


def test_weights_are_read_without_running_what_a_file_carries(monkeypatch, tmp_path):
    import torchmetrics.image.fid as fid

    asked = []
    monkeypatch.setattr(torch, "load", lambda *a, **k: asked.append((a, k)))
    network = torch.nn.Identity()
    monkeypatch.setattr(fid, "NoTrainInceptionV3", lambda *a: asked.append(a) or network)
    assert inception.inception_network("w") is network
    assert asked.pop() == ("inception-v3-compat", ["2048"], "w")
    assert asked == [(("w",), {"map_location": "cpu", "weights_only": True})]

    def broken(*args, **keys):
        raise RuntimeError("other keys")

    monkeypatch.setattr(torch, "load", broken)
    with pytest.raises(UserError, match=rf"must be torch-fidelity's {inception.WEIGHTS}, but w is not \(other keys\)"):
        inception.inception_network("w")
    monkeypatch.setattr(lpips, "_LPIPS", Distance)
    with pytest.raises(UserError, match=r"must hold torchvision's alexnet-owt-7be5be79\.pth, but w does not \(other"):
        lpips.perceptual_network("alex", "w")


class Distance(torch.nn.Module):
    def __init__(self, net, pnet_rand):
        super().__init__()
        assert pnet_rand is True
        self.name = net
        self.net = torch.nn.ModuleDict({"slice1": torch.nn.ModuleDict({"3": torch.nn.Linear(1, 1)})})

    def forward(self, originals, results, normalize):
        assert normalize is True
        return (originals - results).mean((1, 2, 3)).view(-1, 1, 1, 1)


def test_lpips_takes_torchvisions_layers_by_their_numbers(scene, monkeypatch, tmp_path):
    asked = []
    state = {"features.3.weight": torch.tensor([[2.0]]), "features.3.bias": torch.tensor([3.0]), "classifier": 0}
    monkeypatch.setattr(torch, "load", lambda *a, **k: asked.append((a, k)) or state)
    monkeypatch.setattr(lpips, "_LPIPS", Distance)
    own = lpips.perceptual_network("vgg", "w")
    assert (own.name, own.training, own.net["slice1"]["3"].weight.item()) == ("vgg", False, 2)
    assert own.net["slice1"]["3"].bias.item() == 3
    assert asked == [(("w",), {"map_location": "cpu", "weights_only": True})]
    assert [lpips._depth(key) for key in ("slice1.0.weight", "slices.0.0.weight")] == [1, 2]
    (tmp_path / "w").touch()
    found = LPIPS("squeeze", str(tmp_path / "w"), batch_size=2).measure(scene, "utility/lpips")
    values = (read(scene, "original") - read(scene, "results")).mean((1, 2, 3)).double().numpy()
    np.testing.assert_allclose(found.columns["utility/lpips"], values, rtol=1e-5)
    assert found.metrics["utility/lpips"] == mean_of_present(found.columns["utility/lpips"], PEOPLE, "")
    assert found.details == {"net": "squeeze"}
    for net, file in lpips.BACKBONES.items():
        with pytest.raises(
            FileNotFoundError, match=rf"`utility\.lpips\.weights` must be a file such as {file}, but x is"
        ):
            LPIPS(net, "x")
        none = LPIPS(net).measure(scene, "utility/lpips").metrics["utility/lpips"]
        assert none.reason == f"no weights: give utility.lpips.weights=FILE, torchvision's {file}"
        assert (none.value, none.low, none.high, none.n) == (None, None, None, 5)
    assert lpips.BACKBONES == {
        "alex": "alexnet-owt-7be5be79.pth",
        "vgg": "vgg16-397923af.pth",
        "squeeze": "squeezenet1_1-b8a52dc0.pth",
    }
