"""What a training step draws: masks and captions."""

import pytest
import torch

from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.prompts import SUBJECT, words
from privacy_exp.inpainting.training.captions import phrases, sample_caption, tokenizer
from privacy_exp.inpainting.training.denoiser import shifted
from privacy_exp.inpainting.training.masks import KINDS, face_box, sample_masks

POINTS = torch.tensor([[0.36, 0.45], [0.64, 0.45], [0.5, 0.6], [0.4, 0.72], [0.6, 0.72]])
FACE = {"Smiling": True, "Eyeglasses": False, "Male": True}


def test_masks_follow_from_the_generator_alone() -> None:
    first, second, other = (sample_masks(20, 64, POINTS, generator(seed, "m")) for seed in (0, 0, 1))
    assert first.shape == (20, 1, 64, 64)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", list(KINDS), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("size", [32, 64])
def test_every_kind_hides_something(kind, size: int) -> None:
    shares = [float(kind(size, face_box(POINTS), generator(i, "m")).float().mean()) for i in range(20)]
    assert min(shares) > 0
    assert kind.__name__ == "everything" or min(shares) < 0.9


def test_the_oval_hides_eyes_nose_and_mouth() -> None:
    rows = [next(k for k in KINDS if k.__name__ == "oval")(64, face_box(POINTS), generator(i, "m")) for i in range(20)]
    hidden = torch.stack(rows)
    for x, y in (POINTS * 64).long().tolist():
        assert hidden[:, y, x].all()


def test_every_word_is_one_token() -> None:
    made = tokenizer(40)
    for word in words():
        assert len(made(word).input_ids) == 3
    ids = made("a photo of a face, smiling", padding="max_length").input_ids
    assert len(ids) == 40
    assert made("xylophone").input_ids != made("zebra").input_ids


def test_every_making_gives_a_word_the_same_number() -> None:
    made = [tokenizer(40) for _ in range(6)]
    assert all(one.get_vocab() == made[0].get_vocab() for one in made)
    assert made[0].get_vocab()["no</w>"] == made[0]("no").input_ids[1]


def test_captions_say_only_what_is_true_and_are_sometimes_empty() -> None:
    said = phrases(FACE)
    assert {"smiling", "man", "no eyeglasses"} <= set(said)
    assert "eyeglasses" not in said
    captions = [sample_caption(said, 0.2, generator(i, "c")) for i in range(400)]
    assert 0.13 < captions.count("") / 400 < 0.27
    assert SUBJECT in captions
    assert "smiling" in captions
    for caption in captions:
        assert {part for part in caption.split(", ") if part} <= {SUBJECT, *said}


def test_phrases_of_the_inner_face_are_said_sooner() -> None:
    said = phrases(FACE | {"Black_Hair": True, "Young": True, "Bangs": False})
    captions = [sample_caption(said, 0.0, generator(i, "c")).split(", ") for i in range(600)]
    count = {phrase: sum(phrase in caption for caption in captions) for phrase in said}
    assert count["no eyeglasses"] > 1.3 * count["black hair"]
    assert count["smiling"] > 1.3 * count["man"]


def test_shifted_times_lie_towards_noise_and_stay_steps_of_the_scheduler() -> None:
    steps = torch.arange(1000)
    assert torch.equal(shifted(steps, 1000, 1.0), steps)
    moved = shifted(steps, 1000, 3.0)
    assert moved[499] == 749  # half of the way becomes 3 / (1 + 3)
    assert (moved >= steps).all()
    assert (moved[0], moved[-1]) == (1, 999)
    assert (moved.diff() >= 0).all()
