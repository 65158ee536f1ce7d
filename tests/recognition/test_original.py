"""What the original study's recogniser does otherwise: each is a key."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from pytorch_lightning import Callback
from torch import nn
from torch.nn import functional as F

from privacy_exp.cache.configured import description
from privacy_exp.recognition.facenet import FaceNet
from privacy_exp.recognition.fit import fit_recognizer, load_checkpoint, save_checkpoint
from privacy_exp.recognition.module import RecognitionModule
from privacy_exp.recognition.onnx import OnnxRecognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import UserError

from .small import Colours, Small, same, state
from .test_onnx import graph


def original(num_classes=3):
    torch.manual_seed(0)
    return FaceNet(
        num_classes=num_classes,
        image_size=80,
        dropout=0.6,
        freeze="weights",
        last_bn=False,
        head="relu_linear",
        legacy_scaling=True,
    )


def test_the_head_is_a_relu_and_a_linear_layer_on_features_without_batch_norm(tmp_path):
    net = original().eval()
    images = torch.rand(2, 3, 80, 80)
    with torch.no_grad():
        features = net.features(images)
        assert features.equal(net.trunk.last_linear(pooled(net, images))), "the last BatchNorm is out"
        torch.testing.assert_close(net(images), F.linear(features.clamp(min=0), net.head[1].weight, net.head[1].bias))
        save_checkpoint(tmp_path / "net.ckpt", net, ["a", "b", "c"])
        assert load_checkpoint(tmp_path / "net.ckpt")(images).equal(net(images))


def pooled(net, images):
    found = []
    handle = net.trunk.avgpool_1a.register_forward_hook(lambda module, inputs, output: found.append(output.flatten(1)))
    net.features(images)
    handle.remove()
    return found[0]


def test_frozen_weights_stand_still_while_batch_norm_moves_and_dropout_drops():
    net = original().train()
    before = state(net)
    assert not any(p.requires_grad for p in net.trunk.parameters())
    assert all(p.requires_grad for p in net.head.parameters())
    a, b = (net(torch.rand(4, 3, 80, 80, generator=torch.Generator().manual_seed(0))) for _ in range(2))
    assert not a.equal(b), "dropout"
    moved = {name for name, value in state(net).items() if not value.equal(before[name])}
    assert moved
    assert all("running_" in name or "num_batches" in name for name in moved)


class Rates(Callback):
    def __init__(self):
        self.rates, self.states = [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer, pl_module):
        self.states.append(state(pl_module.recognizer))


def test_milestones_lower_the_rate_and_the_last_epoch_is_kept(trainer, tmp_path, monkeypatch):
    data, rates = Colours(), Rates()
    data.setup()

    own = RecognitionModule.configure_callbacks
    monkeypatch.setattr(RecognitionModule, "configure_callbacks", lambda self: [*own(self), rates])
    recipe = FitRecipe(max_epochs=4, optimizer="adam", milestones=[2, 3], keep="last", validate_on="train")
    result = fit_recognizer(data, Small(), recipe, trainer, 0, tmp_path)
    assert rates.rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])
    assert same(state(result.recognizer), rates.states[-1])
    with torch.no_grad():
        right = [result.recognizer(f.images).argmax(1) == f.labels for f in data.batches("train")]
    assert result.val_accuracy >= float(torch.cat(right).float().mean()) - 1e-6, "validated on what was learnt"


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: FaceNet(head="mlp"), "head"),
        (lambda: Small(3, freeze="all"), "freeze"),
        (lambda: FitRecipe(keep="first"), "keep"),
        (lambda: FitRecipe(validate_on="test"), "validate_on"),
        (lambda: FitRecipe(optimizer="lion"), "optimizer"),
    ],
)
def test_bad_keys(make, word):
    with pytest.raises(ValueError, match=f"`{word}`"):
        make()


@pytest.mark.parametrize(
    ("stem", "made"),
    [
        ("facenet_scratch", FaceNet()),
        ("facenet_vggface2", FaceNet.from_pretrained("vggface2")),
        ("facenet_casia", FaceNet.from_pretrained("casia-webface")),
        ("onnx", None),
    ],
)
def test_yamls_are_the_constructors_own(stem, made, tmp_path, monkeypatch):
    model = str(graph(tmp_path / "tiny.onnx"))
    monkeypatch.setenv("FACE_ONNX", model)
    made = made or OnnxRecognizer(model)
    with initialize_config_dir(str(CONF / "recognition"), version_base="1.3"):
        config = compose(stem)
    built, recipe = instantiate(config.net), instantiate(config.module)
    assert description(built) == description(made)
    assert description(recipe) == description(made.recipe)
    assert set(config.net) - {"_target_", "_convert_"} == set(built.arguments)
    again = {name: value for name, value in description(built).items() if name != "_target_"}
    assert description(type(built)(**again)) == description(built)


def test_a_recogniser_without_people_says_so():
    net = FaceNet()
    for ask in (
        lambda: net(torch.rand(1, 3, 80, 80)),
        lambda: net.embed(torch.rand(1, 3, 80, 80)),
        lambda: net.num_classes,
        lambda: net.target_layer,
        lambda: net.choose_target_layer("repeat_2"),
    ):
        with pytest.raises(UserError, match=r"FaceNet knows no people yet: fit it first"):
            ask()
    torch.manual_seed(3)
    by_hand = FaceNet(num_classes=4)
    torch.manual_seed(3)
    assert same(state(net.for_people(4)), state(by_hand))
    assert not list(net.parameters())


def test_the_yamls_build_what_they_say():
    with initialize_config_dir(str(CONF / "recognition"), version_base="1.3"):
        scratch, study = (compose(name) for name in ("original_scratch", "original"))
    net = instantiate(scratch.net).for_people(3)
    assert [type(layer) for layer in net.head] == [nn.ReLU, nn.Linear]
    assert instantiate(scratch.module).milestones == [5, 10]
    differ = {name for name in study.net if study.net[name] != scratch.net.get(name)}
    assert differ == {"pretrained", "image_size", "freeze"}, "what the drawn world cannot have, and no more"
    assert study.module == scratch.module
