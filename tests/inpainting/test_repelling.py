"""A face is pushed away from the person: by whom, when, and what stays as it is."""

import pytest
import torch

from privacy_exp import DiffusionInpainter, OnnxRecognizer, SmallResNet
from privacy_exp.data.points import celeba_template
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.inpainting.repelling import Repelling
from privacy_exp.inpainting.settings import Repel
from privacy_exp.types import UserError
from tests.evaluation.judges.test_judge_by_hand import Named, scene_of
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
        ({"repel": 1, "repel_model": "face.onnx"}, "`repel_model` must be a list of paths"),
        ({"repel": 1, "scheduler": "PNDMScheduler"}, "inpainting.scheduler=DDIMScheduler"),
    ],
    ids=str,
)
def test_bad_settings_name_the_way_out(keys, words):
    with pytest.raises(UserError, match=words):
        DiffusionInpainter.from_pretrained("tiny", **keys)


def test_a_judge_that_steers_is_no_held_out_judge(tmp_path):
    from privacy_exp.cache.keys import file_digest

    graph = tmp_path / "face.onnx"
    graph.write_bytes(b"weights")
    judge = Judge(Named(onnx=file_digest(graph)))
    assert judge._steered(scene_of({"inpainting": {"repel": 2.0, "repel_model": [str(graph)]}}))
    assert judge._steered(scene_of({"inpainting": {"repel": {"strength": 2.0, "model": [str(graph)]}}}))
    assert not judge._steered(scene_of({"inpainting": {"repel": None, "repel_model": []}}))


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
