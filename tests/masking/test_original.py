"""The original study's methods, quirk by quirk, against numbers worked out by hand or by other libraries."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn
from torchvision.transforms.functional import center_crop, resize

from privacy_exp.data.seeds import generator
from privacy_exp.masking.original_grad_cam import OriginalGradCAM
from privacy_exp.masking.original_random import OriginalRandom
from privacy_exp.masking.original_saliency import OriginalSaliency
from privacy_exp.recognition.base import Recognizer
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import Faces


def yaml(name: str, *overrides: str):
    with initialize_config_dir(str(CONF / "masking"), version_base="1.3"):
        return instantiate(compose(f"original_{name}", overrides=list(overrides)))


def faces(n: int = 2, size: tuple[int, int] = (218, 178)) -> Faces:
    images = torch.rand(n, 3, *size, generator=generator(0, "faces")) * 0.5 + 0.2
    points = torch.tensor([[69.5, 111.0], [108.0, 111.0], [88.5, 134.5], [72.5, 152.5], [105.5, 152.5]])
    return Faces([f"f{i}" for i in range(n)], images, torch.arange(n) % 3, points.expand(n, 5, 2).clone())


class Small(Recognizer):
    def __init__(self) -> None:
        torch.manual_seed(0)
        trunk = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.AdaptiveAvgPool2d(2))
        super().__init__(nn.Sequential(trunk, nn.Flatten()), nn.Linear(32, 3), 3, 160, "none")

    def prepare(self, images):
        return images - 0.5


def test_random_draws_144_patches_with_replacement_from_the_middle_nine_rows():
    method = yaml("random")
    batch = faces(1)._replace(ids=["a"])
    shares, rows, columns = [], set(), set()
    for seed in range(60):
        grid = method.mask(batch, seed=seed)[0, 0].view(16, 32, 16, 32).permute(0, 2, 1, 3).flatten(2)
        assert (grid.all(2) == grid.any(2)).all(), "whole patches"
        cells = grid.all(2).nonzero().tolist()
        shares.append(len(cells))
        rows |= {row for row, _ in cells}
        columns |= {column for _, column in cells}
    assert rows == columns == set(range(4, 13))
    assert abs(np.mean(shares) - 81 * (1 - (80 / 81) ** 144)) < 1.5, "67.5 of 256 patches"


@pytest.mark.parametrize(("name", "crop"), [("random", 160), ("saliency", 160), ("grad_cam", None)])
def test_the_painted_frame(name, crop):
    smooth = resize(torch.rand(2, 3, 8, 8, generator=generator(0, "smooth")), [218, 178])
    batch = faces()._replace(images=smooth)  # torchvision's resize ends a pixel short of ours, which noise would show
    framed = yaml(name).frame(batch)
    image = batch.images
    if crop is not None:
        image = center_crop(resize(image, crop, antialias=True), [crop, crop])
    image = resize(image, [512, 512], antialias=True)
    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    torch.testing.assert_close(framed.images, (image - low) / (high - low), atol=0.04, rtol=0)
    assert framed.images.amin() == 0
    assert framed.images.amax() == 1
    # the nose's own pixel, drawn as a dot, lands where the landmark says
    dot = torch.zeros(1, 3, 218, 178)
    dot[..., 134, 88] = 1
    landed = yaml(name, "stretch=false").frame(
        Faces(["d"], dot, None, torch.tensor([[[88.0, 134.0]]]).expand(1, 5, 2).clone())
    )
    y, x = divmod(int(landed.images[0, 0].flatten().argmax()), 512)
    assert (landed.landmarks[0, 0] - torch.tensor([x, y])).abs().max() <= 2.5


def test_saliency_follows_the_chain_step_by_step():
    method = yaml("saliency")
    gradient = np.random.default_rng(0).gamma(0.3, size=(160, 160, 3)).astype(np.float32)
    mask = method.chain(gradient)
    # written anew with NumPy where the step has a closed form
    large = cv2.resize(gradient, (512, 512), interpolation=cv2.INTER_CUBIC)
    levels = ((large - large.min()) / (large.max() - large.min()) * 255).astype(np.uint8)
    high = levels > np.percentile(levels, 75)
    # of the eight corners of the RGB cube, LAB's a-channel is at most 100 for green and cyan alone
    green = high[..., 1] & ~high[..., 0]
    blurred = cv2.GaussianBlur(np.where(green, 0, 255).astype(np.uint8), (13, 13), 11)
    # JET's green channel is above 50 between levels of about 44 and 211: the borders of the green regions
    jet = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0, 1] > 50
    assert (np.flatnonzero(jet)[0], np.flatnonzero(jet)[-1]) == pytest.approx((44, 211), abs=3)
    np.testing.assert_array_equal(mask, jet[blurred])


def test_saliency_takes_the_gradient_at_the_crop():
    net, batch = Small().eval(), faces()
    method = OriginalSaliency(denoise=None)
    seen = []
    net.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    mask = method.mask(batch, net)
    assert seen == [(2, 3, 160, 160)]
    assert mask.shape == (2, 1, 512, 512)


def test_denoising_is_non_local_means_over_the_whole_picture():
    method = yaml("saliency", "denoise=[10,10,7,15]")
    images = torch.rand(1, 3, 32, 32, generator=generator(0, "noise"))
    pixels = (images[0] * 255).round().byte().permute(1, 2, 0).numpy()
    expected = cv2.fastNlMeansDenoisingColored(pixels[..., ::-1].copy(), None, 10, 10, 7, 15)[..., ::-1]
    np.testing.assert_array_equal((method.finish(images)[0] * 255).round().byte().permute(1, 2, 0).numpy(), expected)
    assert yaml("saliency", "denoise=null").finish(images) is images
    assert yaml("grad_cam").finish(images) is images


def test_grad_cam_cuts_the_similarity_map_at_its_level():
    net, train, batch = Small().eval(), faces(3), faces(2)
    method = OriginalGradCAM(target_layer="0.2", size=128)
    method.fit([train], net)
    mask = method.mask(batch, net)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

    def prepared(images, scale):
        return (F.interpolate(images, (128, 128), mode="bilinear", antialias=True) * scale - mean) / std

    references = net.trunk(prepared(train.images, 255.0)).detach()
    maps = net.trunk[0][2](net.trunk[0][1](net.trunk[0][0](prepared(batch.images, 1.0)))).detach().requires_grad_(True)
    features = net.trunk[1](net.trunk[0][3](maps))
    F.cosine_similarity(features, references[batch.labels]).sum().backward()
    cam = (maps.grad.mean((2, 3), keepdim=True) * maps).sum(1).clamp(min=0).detach()
    for i, one in enumerate(cam):
        one = (one - one.min()) / (one.max() - one.min() + 1e-7)
        one = torch.from_numpy(cv2.resize(one.numpy(), (128, 128)))
        one = (one - one.min()) / (one.max() - one.min())
        differ = ((255 * one).floor() > 120) != mask[i, 0]
        assert float(differ.float().mean()) < 0.002, "rounding at the level itself"
    assert 0 < float(mask.float().mean()) < 1


def test_grad_cam_without_a_reference_says_what_it_needs():
    net = Small().eval()
    method = OriginalGradCAM(target_layer="0.2", size=128)
    method.fit([faces(1)], net)
    with pytest.raises(ValueError, match=r"identity 1 .*training photos"):
        method.mask(faces(2), net)
    with pytest.raises(ValueError, match=r"recognition\.checkpoint"):
        method.fit([], None)


def test_references_decide_what_scores_are_filed_under():
    net = Small().eval()
    a, b = (OriginalGradCAM(target_layer="0.2", size=128) for _ in range(2))
    a.fit([faces(3)], net)
    b.fit([faces(3)._replace(images=faces(3).images.flip(3))], net)
    assert a.scoring_keys() != b.scoring_keys()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: OriginalRandom(patch_size=33), "patch_size"),
        (lambda: OriginalRandom(last=16), "last"),
        (lambda: OriginalRandom(patches=-1), "patches"),
        (lambda: OriginalGradCAM(threshold=256), "threshold"),
        (lambda: OriginalGradCAM(size=4), "size"),
        (lambda: OriginalSaliency(percentile=101), "percentile"),
        (lambda: OriginalSaliency(blur=(12, 11)), "blur"),
        (lambda: OriginalSaliency(denoise=[1]), "denoise"),
    ],
)
def test_bad_keys(make, word):
    with pytest.raises(ValueError, match=f"`{word}`"):
        make()
