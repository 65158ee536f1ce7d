"""Methods against closed forms and calculations from scratch."""

import torch
import torch.nn.functional as F
from pytorch_grad_cam import ScoreCAM as Library
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from privacy_exp.data.seeds import generator
from privacy_exp.masking.eigen_cam import EigenCAM
from privacy_exp.masking.grad_cam import GradCAM
from privacy_exp.masking.integrated_gradients import IntegratedGradients
from privacy_exp.masking.random_patches import RandomPatches
from privacy_exp.masking.saliency import Saliency
from privacy_exp.masking.score_cam import ScoreCAM
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces


class Linear(Recognizer):
    """Logits = W · pixels: every gradient has a closed form."""

    def __init__(self, size: int, classes: int) -> None:
        torch.manual_seed(3)
        super().__init__(nn.Flatten(), nn.Linear(3 * size * size, classes, bias=False), classes, size, "none")

    def prepare(self, images):
        return images


class Curved(Linear):
    """Logits bend along the way from a baseline."""

    def forward(self, images):
        return torch.tanh(super().forward(images))


class ConvLinear(Recognizer):
    """One convolution, a mean over the map, one linear layer."""

    def __init__(self, size: int, classes: int) -> None:
        torch.manual_seed(4)
        trunk = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(trunk, nn.Linear(6, classes), classes, size, "none")

    def prepare(self, images):
        return images


def batch(size: int, n: int = 4) -> Faces:
    images = torch.rand(n, 3, size, size, generator=generator(0, "images"))
    return Faces([str(i) for i in range(n)], images, torch.arange(n) % 3)


def test_saliency_is_the_closed_form_on_a_linear_model():
    net, faces = Linear(8, 3).eval(), batch(8)
    scores = Saliency().score(faces, net, [])
    weight = net.head.weight
    probabilities = (faces.images.flatten(1) @ weight.T).softmax(1)
    gradient = (probabilities - F.one_hot(faces.labels, 3)) @ weight  # of cross-entropy, by hand
    expected = gradient.view(-1, 3, 8, 8).abs().amax(1, keepdim=True)
    torch.testing.assert_close(scores, expected)


def test_integrated_gradients_are_the_closed_form_on_a_linear_model():
    net, faces = Linear(8, 3).eval(), batch(8)
    method = IntegratedGradients(steps=4, baseline=0.5)
    expected = (faces.images - 0.5) * net.head.weight[faces.labels].view(-1, 3, 8, 8)
    torch.testing.assert_close(method.attribute(faces, net), expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(method.score(faces, net, []), expected.sum(1, keepdim=True).abs(), atol=1e-6, rtol=1e-4)


def test_integrated_gradients_are_complete():
    net, faces = Curved(8, 3).eval(), batch(8)
    found = IntegratedGradients(steps=16, baseline=0.5).attribute(faces, net).sum((1, 2, 3))
    with torch.no_grad():
        grey = torch.full_like(faces.images, 0.5)
        rise = (net(faces.images) - net(grey)).gather(1, faces.labels[:, None])[:, 0]
        straight = torch.autograd.functional.jvp(net, grey, faces.images - grey)[1]
    assert ((found - rise).abs() <= 0.01 * rise.abs()).all()
    one_step = straight.gather(1, faces.labels[:, None])[:, 0]
    assert ((one_step - rise).abs() > 0.01 * rise.abs()).any(), "a model this straight would prove nothing"


def test_grad_cam_equals_a_calculation_from_scratch():
    net, faces = ConvLinear(16, 3).eval(), batch(16)
    net.choose_target_layer("0")
    scores = GradCAM().score(faces, net, [])
    maps = net.trunk[0](faces.images)
    # the logit is linear in the mean of each map: its gradient per cell is weight / cells
    alpha = net.head.weight[faces.labels] / maps[0, 0].numel()
    cam = (alpha[:, :, None, None] * maps).sum(1).clamp(min=0)
    expected = F.interpolate(cam[:, None], (16, 16), mode="bilinear", align_corners=False)
    expected = (expected - expected.amin((2, 3), keepdim=True)) / cam.amax((1, 2)).view(-1, 1, 1, 1)
    expected = expected / expected.amax((2, 3), keepdim=True)
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)


def test_grad_cam_by_similarity_differs_from_the_logit():
    net, faces = ConvLinear(16, 3).eval(), batch(16)
    net.choose_target_layer("0")
    net.prototypes = F.normalize(torch.randn(3, 6, generator=generator(0, "means")), dim=1)
    assert not torch.allclose(GradCAM().score(faces, net, []), GradCAM("similarity").score(faces, net, []))


def test_random_patches_are_constant_inside_and_uniform_over_the_frame():
    faces = batch(32, n=3)
    scores = RandomPatches(patch_size=8).score(faces, nn.Identity(), [generator(0, str(i)) for i in range(3)])
    blocks = scores.view(3, 4, 8, 4, 8)
    assert torch.equal(blocks, blocks[:, :, :1, :, :1].expand_as(blocks))
    assert len(scores[0].unique()) == 16
    assert not scores[0].equal(scores[1])


def test_score_cam_over_all_channels_is_the_librarys(capfd):
    net, faces = ConvLinear(16, 3).eval(), batch(16)
    net.choose_target_layer("0")
    ours = ScoreCAM(channels=6, batch_size=4).score(faces, net, [])
    targets = [ClassifierOutputTarget(int(label)) for label in faces.labels]
    with torch.no_grad(), Library(model=net, target_layers=[net.trunk[0]]) as library:
        theirs = torch.from_numpy(library(input_tensor=faces.images, targets=targets))[:, None]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    few = ScoreCAM(channels=2, batch_size=4).score(faces, net, [])
    assert not torch.allclose(few, ours), "channels left out matter here"


def test_grad_cam_differentiates_no_further_than_its_layer(monkeypatch):
    """The layer's own input takes no gradient: the backward pass ends there."""
    net, faces = ConvLinear(16, 3).eval(), batch(16)
    net.choose_target_layer("0")
    seen = []
    net.trunk[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].requires_grad))
    GradCAM().score(faces, net, [])
    assert seen == [False]


def test_eigen_cam_is_strong_where_the_map_is_strong_whatever_the_signs_of_the_decomposition():
    class Blob(ConvLinear):
        def prepare(self, images):
            return images

    for number in range(6):
        net = Blob(16, 3).eval()
        net.trunk[0].weight.data.abs_()  # a bright blob makes a strong map
        images = 0.05 * torch.rand(1, 3, 16, 16, generator=generator(number, "noise"))
        row, column = 3 + number, 12 - number
        images[:, :, row - 2 : row + 2, column - 2 : column + 2] += 0.9
        net.choose_target_layer("0")
        scores = EigenCAM().score(Faces(["0"], images, torch.tensor([0])), net, [])[0, 0]
        inside = scores[row - 2 : row + 2, column - 2 : column + 2].mean()
        assert inside > 4 * scores.mean()
