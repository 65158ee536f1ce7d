"""A face is pushed away from the person: by whom, when, and what stays as it is."""

import pytest
import torch

from privacy_exp import DiffusionInpainter, OnnxRecognizer, SmallResNet
from privacy_exp.data.points import celeba_template
from privacy_exp.inpainting.repelling import Repelling
from privacy_exp.inpainting.settings import Repel
from privacy_exp.types import UserError
from tests.inpainting.conftest import some_faces

EVERYWHERE = {"repel_until": -1, "repel_interval": [0, 1]}


@pytest.fixture(scope="module")
def faces():
    return some_faces(3, 64, 64)


@pytest.fixture(scope="module")
def masks():
    hidden = torch.zeros(3, 1, 64, 64, dtype=torch.bool)
    hidden[..., 12:52, 12:52] = True
    return hidden


@pytest.fixture(scope="module")
def recognizer():
    torch.manual_seed(0)
    return SmallResNet(num_classes=3).eval()


@pytest.fixture(scope="module")
def painted(faces, masks, recognizer):
    def paint(count=3, **keys):
        keys = {"num_inference_steps": 4, "guidance_scale": 2.0, "batch_size": 3} | keys
        painter = DiffusionInpainter.from_pretrained("tiny", **keys)
        painter.meet(recognizer)
        return painter(faces._replace(ids=faces.ids[:count], images=faces.images[:count]), masks[:count], seed=0)

    return paint


@pytest.fixture(scope="module")
def plain(painted):
    return painted()


@pytest.fixture(scope="module")
def pushed(painted):
    return painted(repel=3.0, **EVERYWHERE)


def alike(recognizer, faces, pictures):
    with torch.no_grad():
        return (recognizer.embed(pictures) * recognizer.embed(faces.images[: len(pictures)])).sum(1)


def test_the_steering_recogniser_knows_each_face_less(recognizer, faces, plain, pushed):
    assert (alike(recognizer, faces, pushed) < alike(recognizer, faces, plain)).all()


def test_kept_pixels_stay(plain, pushed, masks):
    changed = (plain - pushed).abs().amax(1, keepdim=True)
    assert changed[~masks].max() == 0
    assert changed[masks].max() > 0.01


def test_a_photo_does_not_depend_on_its_batch(painted, pushed):
    assert torch.equal(painted(1, repel=3.0, **EVERYWHERE), pushed[:1])


@pytest.mark.parametrize(
    "keys", [{"repel": 0}, {"repel": 3.0, "repel_until": 0.999}, {"repel": 3.0, "repel_interval": [0.9, 1]}], ids=str
)
def test_it_leaves_alone(painted, plain, keys):
    """Strength 0, people who are far enough, and steps outside the interval: of 4, none begins at 0.9 or later."""
    assert torch.equal(painted(**keys), plain)


def test_guidance_in_a_part_of_the_steps_goes_with_it(painted, pushed):
    partly = painted(repel=3.0, guidance_interval=[0.3, 0.8], **EVERYWHERE)
    assert (partly - painted(guidance_interval=[0.3, 0.8])).abs().max() > 0.01
    assert (partly - pushed).abs().max() > 0.001


def test_onnx_files_steer_together(face_onnx, faces, masks, plain):
    steering = [str(face_onnx), str(face_onnx)]
    keys = {
        "num_inference_steps": 4,
        "guidance_scale": 2.0,
        "batch_size": 3,
        "repel": 3.0,
        "repel_model": steering,
        **EVERYWHERE,
    }
    painter = DiffusionInpainter.from_pretrained("tiny", **keys)
    assert not painter.asks_recognizer
    seen = OnnxRecognizer(str(face_onnx)).for_people(2, celeba_template(64, 64)).eval()
    assert alike(seen, faces, painter(faces, masks, seed=0)).mean() < alike(seen, faces, plain).mean()


def test_the_pipelines_scheduler_is_left_as_it_was(painted):
    painter = DiffusionInpainter.from_pretrained("tiny", num_inference_steps=2, batch_size=1, repel=1.0)
    assert painter.asks_recognizer
    assert "step" not in vars(painter.pipe.scheduler)
    with pytest.raises(UserError, match=r"needs a recogniser to steer by.*repel_model"):
        painter(some_faces(1, 64, 64), torch.ones(1, 1, 64, 64, dtype=torch.bool))
    painter.meet(SmallResNet(num_classes=3))
    painter(some_faces(1, 64, 64), torch.ones(1, 1, 64, 64, dtype=torch.bool))
    assert "step" not in vars(painter.pipe.scheduler)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"repel": -1}, "`repel` must be at least 0"),
        ({"repel": 1, "repel_until": 1}, "`repel_until` is a cosine similarity"),
        ({"repel": 1, "repel_interval": [0.5]}, "`repel_interval` must be"),
        ({"repel": 1, "repel_every": 0}, "`repel_every` must be at least 1"),
        ({"repel": 1, "repel_every": 1.5}, "`repel_every` must be a whole number"),
        ({"repel": 1, "repel_model": "face.onnx"}, "`repel_model` must be a list of paths"),
        ({"repel": 1, "scheduler": "PNDMScheduler"}, "inpainting.scheduler=DDIMScheduler"),
    ],
    ids=str,
)
def test_bad_settings_name_the_way_out(keys, words):
    with pytest.raises(UserError, match=words):
        DiffusionInpainter.from_pretrained("tiny", **keys)


def test_a_move_is_of_one_size_and_under_the_mask_alone(recognizer, faces, masks):
    pipe = DiffusionInpainter.from_pretrained("tiny").pipe
    hidden = torch.zeros(3, 1, 16, 16)
    hidden[..., 4:12, 4:12] = 1
    clean = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    for until, size in ((-1.0, 1.0), (0.999, 0.0)):
        repelling = Repelling(Repel(1.0, until=until), [recognizer], faces.images, masks, lambda native: native)
        push = repelling._push(pipe, clean, hidden)
        assert push[..., :4, :].abs().max() == 0
        assert push[..., 4:12, 4:12].square().mean((1, 2, 3)).sqrt().tolist() == pytest.approx([size] * 3)


class Colour:
    """Knows people by how much of one colour there is."""

    def __init__(self):
        self.backward = 0

    def embed(self, images):
        colours = images.mean((2, 3))
        if colours.requires_grad:
            colours.register_hook(self.count)
        return colours

    def count(self, gradient):
        self.backward += 1
        return gradient


def by_colour(until, *channels):
    """Recognisers that know by red (0), green (1) or blue (2)."""
    repelling = object.__new__(Repelling)
    repelling.repel = Repel(1.0, until=until)
    repelling.networks = [Colour() for _ in channels]
    repelling.known = [torch.eye(3)[[channel]] for channel in channels]
    return repelling


def test_each_recogniser_is_left_alone_by_its_own_similarity():
    """Above 0.5 of a colour its recogniser knows the person, whatever the mean over both says."""
    shown = torch.zeros(3, 3, 2, 2)
    shown[0, 0], shown[0, 1] = 0.9, 0.05  # known by red alone, and in the mean by nobody
    shown[1, 1] = 0.6  # by green alone
    shown[2] = 0.4  # by nobody
    gradient = by_colour(0.5, 0, 1)._towards(shown)
    expected = torch.zeros(3, 3, 2, 2)
    expected[0, 0] = expected[1, 1] = 1 / 4
    assert torch.equal(gradient, expected)


def test_nothing_is_propagated_for_a_recogniser_who_knows_nobody_any_more():
    shown = torch.zeros(1, 3, 2, 2)
    shown[0, 0] = 0.9
    repelling = by_colour(0.5, 0, 1)
    assert repelling._towards(shown) is not None
    assert [network.backward for network in repelling.networks] == [1, 0]
    assert by_colour(0.95, 0, 1)._towards(shown) is None


def test_the_runs_own_recogniser_steers_beside_files(face_onnx, faces, masks, recognizer):
    keys = {"num_inference_steps": 2, "guidance_scale": 1, "batch_size": 3, "repel": 3.0, **EVERYWHERE}
    both = DiffusionInpainter.from_pretrained("tiny", **keys, repel_model=[str(face_onnx), "target"])
    assert both.asks_recognizer
    with pytest.raises(UserError, match=r"needs a recogniser to steer by.*files alone"):
        both(faces, masks, seed=0)
    both.meet(recognizer)
    file = DiffusionInpainter.from_pretrained("tiny", **keys, repel_model=[str(face_onnx)])
    file.meet(recognizer)
    together, alone = both(faces, masks, seed=0), file(faces, masks, seed=0)
    assert (together - alone).abs().max() > 0.001
    assert alike(recognizer, faces, together).mean() < alike(recognizer, faces, alone).mean()


def test_steps_between_are_left_out_and_the_others_go_as_much_further(monkeypatch):
    repelling = object.__new__(Repelling)
    for every, steps in ((1, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]), (2, [4, 6, 8, 10, 12]), (4, [4, 8, 12])):
        repelling.repel = Repel(1.0, interval=[0.2, 0.7], every=every)
        assert [step for step in range(20) if repelling._acts(step, 20)] == steps
    pipe = DiffusionInpainter.from_pretrained("tiny").pipe
    pipe.scheduler.set_timesteps(20)
    pipe._num_timesteps = 20
    monkeypatch.setattr(Repelling, "_push", lambda self, pipe, clean, hidden: torch.ones_like(clean))
    repelling.clean, repelling.masks = torch.zeros(1, 4, 2, 2), torch.ones(1, 1, 8, 8, dtype=torch.bool)
    timestep = pipe.scheduler.timesteps[4]
    signal = pipe.scheduler.alphas_cumprod[pipe.scheduler.timesteps[5]].sqrt()
    for every in (1, 4):
        repelling.repel = Repel(0.5, interval=[0.2, 0.7], every=every)
        moved = repelling(pipe, 4, timestep, torch.zeros(1, 4, 2, 2))
        assert moved.flatten().tolist() == pytest.approx([-0.05 * every * float(signal)] * 16)
        assert not repelling(pipe, 3, timestep, torch.zeros(1, 4, 2, 2)).any()
