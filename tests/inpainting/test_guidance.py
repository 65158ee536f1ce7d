"""Guidance without a network: which steps are guided, and what they are given."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline

from privacy_exp.inpainting.guidance import Interval, Text, encode, stack, steers, warn_of_unknown_words
from tests.inpainting.conftest import tokenizer


class Pipe(StableDiffusionInpaintPipeline):
    """As much of a pipeline as guidance looks at."""

    num_timesteps = 4
    do_classifier_free_guidance = property(lambda self: self._guidance_scale > 1)
    config = property(lambda self: self.given)
    _execution_device = torch.device("cpu")

    def __init__(self, guided: bool = True, **config: Any) -> None:
        given = {
            "given": config,
            "_guidance_scale": 3.0 if guided else 1.0,
            "tokenizer": tokenizer(),
            "tokenizer_2": None,
        }
        self.__dict__.update(given)  # diffusers checks what is set the usual way


def row(value: float) -> torch.Tensor:
    return torch.full((1, 2, 3), value)


TEXT = Text(row(1.0), row(-1.0))
THREE = stack([TEXT] * 3)


def doubled(pipe: Pipe) -> dict[str, torch.Tensor]:
    """Of three images: what the pipeline holds."""
    both = [THREE.negative, THREE.prompt] if pipe.do_classifier_free_guidance else [THREE.prompt]
    mask = torch.cat([row(0.5), row(0.6), row(0.7)] * len(both))
    return {"prompt_embeds": torch.cat(both), "mask": mask}


@pytest.mark.parametrize(
    ("start", "stop", "guided"),
    [
        (0.0, 0.5, [True, True, False, False]),  # step 2 of 4 is at 0.5, which is outside
        (0.5, 1.0, [False, False, True, True]),
        (0.25, 0.5, [False, True, False, False]),
        (0.0, 0.75, [True, True, True, False]),
        (0.3, 0.4, [False, False, False, False]),
    ],
)
def test_steps_inside_the_interval_are_guided(start: float, stop: float, guided: list[bool]) -> None:
    interval = Interval(THREE, 3.0, (start, stop))
    assert interval.first_scale == (3.0 if start == 0 else 1.0)
    pipe = Pipe(guided=start == 0)
    seen, tensors = [pipe.do_classifier_free_guidance], doubled(pipe)
    for step in range(3):
        given = interval(pipe, step, None, tensors)
        tensors |= given
        seen.append(pipe.do_classifier_free_guidance)
        assert pipe._guidance_scale == (3.0 if guided[step + 1] else 1.0)
        expected = doubled(pipe)
        assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    assert seen == guided


def test_nothing_is_given_where_nothing_changes() -> None:
    interval = Interval(TEXT, 3.0, (0.0, 0.5))
    pipe = Pipe()
    assert interval(pipe, 0, None, doubled(pipe)) == {}
    assert interval(pipe, 3, None, {}) == {}
    assert pipe._guidance_scale == 3.0


def test_pooled_embeddings_of_the_negative_prompt_come_back() -> None:
    text = Text(row(1.0), row(-1.0), torch.tensor([[2.0]]), torch.tensor([[-2.0]]))
    pipe = Pipe(guided=False)
    tensors = {
        "prompt_embeds": row(1.0),
        "add_text_embeds": torch.tensor([[2.0]]),
        "add_time_ids": torch.tensor([[7.0]]),
    }
    given = Interval(text, 3.0, (0.25, 1.0))(pipe, 0, None, tensors)
    assert given["prompt_embeds"][:, 0, 0].tolist() == [-1.0, 1.0]
    assert given["add_text_embeds"].tolist() == [[-2.0], [2.0]]
    assert given["add_time_ids"].tolist() == [[7.0], [7.0]]


def test_the_whole_interval_needs_no_tensors() -> None:
    pipe = Pipe()
    assert Interval(TEXT, 3.0, (0.0, 1.0)).inputs(pipe) == []
    for part in ((0.0, 0.9), (0.1, 1.0)):
        assert Interval(TEXT, 3.0, part).inputs(pipe) == ["prompt_embeds", "mask", "masked_image_latents"]


@pytest.mark.parametrize(
    ("prompt", "negative", "zeros", "live"),
    [
        ("", "", False, False),
        ("", None, False, False),
        ("", None, True, True),
        ("", "", True, False),
        ("a face", "a face", False, False),
        ("a  face ", "a face", False, False),  # the tokenizer sees the same words
        ("a face", "", False, True),
        ("", "a face", False, True),
        ("a face", "face a", False, True),
    ],
)
def test_guidance_is_live_where_the_checkpoint_reads_two_prompts(
    prompt: str, negative: str | None, zeros: bool, live: bool
) -> None:
    assert steers(Pipe(force_zeros_for_empty_prompt=zeros), prompt, negative) == live


def test_what_lies_beyond_the_window_says_nothing() -> None:
    long = "a face, " * 60
    assert not steers(Pipe(), long + "smiling", long + "old")


def test_one_of_two_tokenizers_is_enough() -> None:
    pipe = Pipe()
    pipe.__dict__["tokenizer"] = lambda *_, **__: SimpleNamespace(input_ids=[0, 1])
    assert not steers(pipe, "a face", "")
    pipe.__dict__["tokenizer_2"] = tokenizer()
    assert steers(pipe, "a face", "")


def test_words_are_split_at_commas_and_spaces() -> None:
    warn_of_unknown_words(Pipe(), "a photo, of a face")
    with pytest.warns(UserWarning, match=r"`prompt` 'a 火,face, 水' holds words .* not taught: 火, 水\."):
        warn_of_unknown_words(Pipe(), "a 火,face, 水")


def test_sdxl_has_pooled_texts_and_sizes_that_change_too() -> None:
    class Large(StableDiffusionXLInpaintPipeline):
        def __init__(self) -> None:
            pass

    names = ["prompt_embeds", "mask", "masked_image_latents", "add_text_embeds", "add_time_ids"]
    assert Interval(TEXT, 3.0, (0.0, 0.5)).inputs(Large()) == names
    assert Interval(TEXT, 3.0, (0.0, 1.0)).inputs(Large()) == []


def test_the_negative_prompt_comes_back_in_the_steps_own_precision() -> None:
    given = Interval(TEXT, 3.0, (0.25, 1.0))(Pipe(guided=False), 0, None, {"prompt_embeds": row(1.0).half()})
    assert given["prompt_embeds"].dtype == torch.float16
    assert given["prompt_embeds"][:, 0, 0].tolist() == [-1.0, 1.0]


def test_a_checkpoint_may_lack_a_second_tokenizer() -> None:
    pipe = Pipe()
    del pipe.__dict__["tokenizer_2"]
    assert steers(pipe, "a face", "")


def test_the_warning_points_at_who_asked() -> None:
    def outer() -> None:
        (lambda: (lambda: warn_of_unknown_words(Pipe(), "火"))())()

    with pytest.warns(UserWarning, match="火") as caught:
        outer()
    assert caught[0].filename == __file__


def test_prompts_stack_in_order() -> None:
    assert torch.equal(stack([TEXT]).prompt, TEXT.prompt)
    other = Text(row(2.0), row(-2.0))
    stacked = stack([TEXT, other])
    assert stacked.prompt[:, 0, 0].tolist() == [1.0, 2.0]
    assert stacked.negative[:, 0, 0].tolist() == [-1.0, -2.0]
    assert stacked.pooled is stacked.negative_pooled is None
    pooled = Text(row(1.0), row(-1.0), torch.tensor([[3.0]]), torch.tensor([[-3.0]]))
    assert stack([pooled, pooled]).negative_pooled.tolist() == [[-3.0], [-3.0]]  # type: ignore[union-attr]


def test_what_was_encoded_before_is_handed_on() -> None:
    asked: list[dict[str, Any]] = []

    def encode_prompt(**keys: Any) -> tuple[torch.Tensor, ...]:
        asked.append(keys)
        return (row(1.0), row(-1.0))

    pipe = Pipe()
    pipe.__dict__["encode_prompt"] = encode_prompt
    first = encode(pipe, "a face", None)
    encode(pipe, "old", "ugly", first)
    pooled = Text(*first[:2], torch.ones(1, 1), torch.zeros(1, 1))
    encode(pipe, "old", "ugly", pooled)
    assert [keys["prompt"] for keys in asked] == ["a face", "old", "old"]
    assert {str(keys["device"]) for keys in asked} == {"cpu"}
    assert asked[0]["negative_prompt"] is None
    assert asked[0]["do_classifier_free_guidance"] is True
    assert asked[0]["num_images_per_prompt"] == 1
    assert "negative_prompt" not in asked[1]
    assert asked[1]["negative_prompt_embeds"] is first.negative
    assert "negative_pooled_prompt_embeds" not in asked[1]
    assert asked[2]["negative_pooled_prompt_embeds"] is pooled.negative_pooled
