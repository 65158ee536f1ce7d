"""Captions and templates, against sentences written by hand."""

import pytest
import torch

from privacy_exp.inpainting.prompts import describe, fill, words
from privacy_exp.types import Faces


def faces(**attributes: list[bool]) -> Faces:
    count = len(next(iter(attributes.values()), [True, False]))
    named = {name: torch.tensor(values) for name, values in attributes.items()}
    return Faces([f"f{i}" for i in range(count)], torch.zeros(count, 3, 8, 8), attributes=named or None)


@pytest.mark.parametrize(
    ("field", "attributes", "said"),
    [
        ("sex", {"Male": False}, "woman"),
        ("age", {"Young": False}, "old"),
        ("expression", {"Smiling": False}, "neutral"),
        ("mouth", {"Mouth_Slightly_Open": True}, "mouth open"),
        ("glasses", {"Eyeglasses": True}, "eyeglasses"),
        ("glasses", {"Eyeglasses": False}, ""),
        ("hair", {"Black_Hair": False, "Blond_Hair": True}, "blond hair"),
        ("beard", {"Goatee": False, "No_Beard": False}, "beard"),
        ("beard", {"No_Beard": True, "Attractive": True}, ""),
        ("hat", {}, ""),
    ],
)
def test_a_field_in_words(field: str, attributes: dict[str, bool], said: str) -> None:
    assert describe(field, attributes) == said
    assert set(said.split()) <= set(words())


def test_template_takes_each_face() -> None:
    batch = faces(Smiling=[True, False], Blond_Hair=[True, False], Eyeglasses=[False, True])
    assert fill("a photo of a face, {hair}, {expression}, {glasses}", batch) == [
        "a photo of a face, blond hair, smiling",
        "a photo of a face, neutral, eyeglasses",
    ]


def test_plain_prompt_needs_no_attributes() -> None:
    assert fill("a face", faces()) == ["a face", "a face"]
    assert fill("", faces()) == ["", ""]


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{glasses}", ["glasses", "Eyeglasses", "Smiling"]),
        ("a face, {shoes}", ["shoes", "hair", "expression"]),
        ("a face, {hair", ["`prompt`", "braces"]),
    ],
)
def test_bad_field_is_named(template: str, names: list[str]) -> None:
    with pytest.raises(ValueError, match="`prompt`") as error:
        fill(template, faces(Smiling=[True]))
    assert all(name in str(error.value) for name in names)


def test_data_without_attributes_is_told() -> None:
    with pytest.raises(ValueError, match="no attributes"):
        fill("{hair}", faces())
