from urllib.error import URLError

import pytest
import torch
import torchvision.transforms.functional as vision
from facenet_pytorch import InceptionResnetV1, fixed_image_standardization
from facenet_pytorch.models import inception_resnet_v1

from privacy_exp.recognition.facenet import FEATURES, WEIGHTS, FaceNet


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return FaceNet(num_classes=3, image_size=80).eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 109, 89, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("grey", "expected"), [(1.0, (255 - 127.5) / 128), (0.0, -127.5 / 128), (0.5, 0.0)])
def test_white_black_and_grey_are_scaled_from_0_to_255(net, grey, expected):
    prepared = net.prepare(torch.full((1, 3, 64, 64), grey))
    torch.testing.assert_close(prepared, torch.full((1, 3, 80, 80), expected))


def test_preparation_is_resize_crop_and_the_librarys_standardisation(net):
    images = torch.rand(2, 3, 180, 120, generator=torch.Generator().manual_seed(0))
    resized = vision.center_crop(vision.resize(images, 80, antialias=True), [80, 80])
    torch.testing.assert_close(net.prepare(images), fixed_image_standardization(resized * 255))


def test_legacy_scaling_squeezes_every_image(images):
    prepared = FaceNet(num_classes=3, image_size=80, legacy_scaling=True).prepare(images)
    assert prepared.min() >= -127.5 / 128
    assert prepared.max() <= -126.5 / 128


def test_embeddings_and_logits_are_the_librarys(net, images):
    library = InceptionResnetV1(classify=False).eval()
    library.load_state_dict(net.trunk.state_dict())
    with torch.no_grad():
        expected = library(net.prepare(images))
        torch.testing.assert_close(net.embed(images), expected, atol=1e-5, rtol=1e-4)
        library.classify, library.logits = True, net.head
        torch.testing.assert_close(net(images), library(net.prepare(images)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(net.embed(images).norm(dim=1), torch.ones(2))
    assert net.embed(images).shape == (2, FEATURES)


def test_gradients_reach_the_pixels_of_a_frozen_network(images):
    frozen = FaceNet(num_classes=3, image_size=75, freeze="trunk").eval()
    inputs = images.clone().requires_grad_(True)
    frozen(inputs).sum().backward()
    assert inputs.grad.abs().sum() > 0
    assert all(p.grad is None for p in frozen.trunk.parameters())


def test_a_frozen_trunk_stands_still_in_training(images):
    frozen = FaceNet(num_classes=3, image_size=75, freeze="trunk")
    before = {name: value.clone() for name, value in frozen.trunk.state_dict().items()}
    frozen.train()
    assert frozen.head.training
    frozen(images)
    assert all(torch.equal(value, before[name]) for name, value in frozen.trunk.state_dict().items())
    free = FaceNet(num_classes=3, image_size=75).train()
    before = free.trunk.last_bn.running_mean.clone()
    free(images)
    assert not torch.equal(free.trunk.last_bn.running_mean, before)


@pytest.mark.parametrize(("size", "layer"), [(80, "repeat_1"), (160, "repeat_2")])
def test_auto_target_layer_is_the_last_map_larger_than_4x4(size, layer):
    net = FaceNet(num_classes=2, image_size=size).train()
    assert net.target_layer is getattr(net.trunk, layer)
    assert net.trunk.training


def test_a_named_target_layer(net):
    net.choose_target_layer("block8.branch1")
    assert net.target_layer is net.trunk.block8.branch1
    with pytest.raises(ValueError, match=r"`recognition.target_layer`.*'block8.branch7'.*block8\.branch1"):
        net.choose_target_layer("block8.branch7")
    net.choose_target_layer("auto")


def test_a_map_is_laid_back_where_it_came_from(net):
    pixels = torch.zeros(1, 3, 109, 89)
    pixels[:, :, 40:44, 60:64] = 1
    found = net.locate(net.prepare(pixels)[:, :1] + 127.5 / 128, 109, 89)
    assert found.shape == (1, 1, 109, 89)
    y, x = divmod(int(found.argmax()), 89)
    assert 40 <= y < 44
    assert 60 <= x < 64
    top = (109 - 89) // 2  # cropped away: the recogniser is blind there
    everywhere = net.locate(torch.ones(1, 1, 7, 7), 109, 89)
    assert everywhere[0, 0, : top - 1].max() == 0
    torch.testing.assert_close(everywhere[0, 0, top + 1 : -top - 1], torch.ones(109 - 2 * top - 2, 89))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"image_size": 74}, "`image_size` must be at least 75"),
        ({"dropout": 1.0}, "`dropout` must lie in"),
        ({"freeze": "head"}, "`freeze` must be one of none, early, trunk"),
        ({"num_classes": 1}, "`num_classes` must be at least 2"),
    ],
)
def test_bad_keys(keys, message):
    with pytest.raises(ValueError, match=message):
        FaceNet(**{"num_classes": 3, "image_size": 80, **keys})


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints" / WEIGHTS["casia-webface"]


def test_published_weights_come_from_the_cache_without_their_head(cache):
    published = InceptionResnetV1(classify=True, num_classes=10575)
    torch.save(published.state_dict(), cache)
    net = FaceNet.from_pretrained("casia-webface").for_people(3)
    torch.testing.assert_close(net.trunk.last_linear.weight, published.last_linear.weight)
    assert net.head.out_features == 3
    with cache.open("r+b") as file:
        file.truncate(cache.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"are not whole.*Delete the file"):
        FaceNet.from_pretrained("casia-webface").for_people(3)


def test_without_network_the_error_names_the_file(cache, monkeypatch):
    def offline(*args):
        raise URLError("no network")

    monkeypatch.setattr(inception_resnet_v1, "download_url_to_file", offline)
    with pytest.raises(ConnectionError, match=f"needs {cache}.*no network.*download https://github"):
        FaceNet.from_pretrained("casia-webface").for_people(3)
    with pytest.raises(ValueError, match=r"`pretrained` must be one of vggface2, casia-webface"):
        FaceNet.from_pretrained("vggface").for_people(3)


def test_early_opens_what_follows_the_last_map_larger_than_four():
    net = FaceNet(num_classes=3, image_size=160, freeze="early").train()
    parts = dict(net.trunk.named_children())
    frozen = {name for name, part in parts.items() if not any(p.requires_grad for p in part.parameters())}
    with_weights = {name for name, part in parts.items() if any(True for _ in part.parameters())}
    last_stage = {"mixed_7a", "repeat_3", "block8", "last_linear", "last_bn"}  # 8x8 ends with repeat_2
    assert with_weights - frozen == last_stage
    assert all(parts[name].training == (name in last_stage) for name in with_weights)
    assert all(p.requires_grad for p in net.head.parameters())
