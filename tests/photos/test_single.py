"""One picture in, one picture out: what `privacy_exp.anonymize` takes and tells."""

import numpy as np
import pytest
import torch
from PIL import Image

from privacy_exp import GradCAM, MeanFill, OnnxJudge, SmallResNet, UserError, anonymize
from privacy_exp.photos.looking import Watcher
from tests.photos.conftest import Colours


def stubborn() -> Watcher:
    """Takes every result for the person who was there."""
    return Watcher("stubborn", Colours(), -1.0, 1.0)


@pytest.fixture
def photo(party) -> Image.Image:
    return Image.fromarray(party.pixels)


def test_faces_say_what_was_found_hidden_and_recognised(photo, party):
    after = anonymize(photo, judges=[stubborn()])
    assert len(after.faces) == 2
    first = after.faces[0]
    left, top, right, bottom = party.boxes[0]
    assert left - 20 < first.found.box[0] < right
    assert top - 20 < first.found.box[1] < bottom
    assert first.share == pytest.approx(0.35, abs=1e-3)
    assert (first.tries, first.recognised_by, set(first.similarity)) == (1, ["stubborn"], {"stubborn"})
    assert after.size == photo.size
    assert np.any(np.asarray(after) != np.asarray(photo))


def test_a_face_that_stays_recognised_climbs_the_ladder(photo):
    after = anonymize(photo, inpainting=MeanFill(), judges=[stubborn()], until="unrecognised", tries=3)
    assert [(face.tries, face.share) for face in after.faces] == [(3, pytest.approx(0.6, abs=1e-3))] * 2


def test_a_judge_with_known_weights_brings_its_threshold(photo, face_onnx):
    after = anonymize(photo, inpainting=MeanFill(), mask_ratio=0.6, judges=[OnnxJudge(str(face_onnx))])
    assert all(set(face.similarity) == {"onnx_judge"} for face in after.faces)


def test_guided_masks_explain_a_recogniser(photo, tiny_recognizer):
    blind = anonymize(photo, inpainting=MeanFill())
    guided = anonymize(photo, masking=GradCAM(), inpainting=MeanFill(), recognizer=tiny_recognizer)
    assert [face.share for face in guided.faces] == pytest.approx([0.35, 0.35], abs=1e-3)
    assert np.any(np.asarray(blind) != np.asarray(guided))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"judges": "dlib"}, r"judges=\['dlib'\]"),
        ({"judges": ["nobody"]}, "must be an object or one of"),
        ({"until": "unrecognised"}, "choose a judge"),
        ({"until": "forever"}, "once or unrecognised"),
        ({"masking": "grad_cam"}, "recogni"),
        ({"keep": ["ears"]}, "ears"),
        ({"mask_ratio": 1.5}, "mask_ratio"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(photo, given, words):
    with pytest.raises(UserError, match=words):
        anonymize(photo, **given)


@pytest.fixture(scope="module")
def tiny_recognizer():
    torch.manual_seed(0)
    return SmallResNet().for_people(4)
