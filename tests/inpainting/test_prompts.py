"""Captions and templates, against sentences written by hand."""

import pytest
import torch

from privacy_exp.inpainting.prompts import caption, fill, words
from privacy_exp.types import Faces


def faces(**attributes: list[bool]) -> Faces:
    count = len(next(iter(attributes.values()), [True, False]))
    named = {name: torch.tensor(values) for name, values in attributes.items()}
    return Faces([f"f{i}" for i in range(count)], torch.zeros(count, 3, 8, 8), attributes=named or None)


def test_caption_names_every_known_attribute() -> None:
    attributes = {"Smiling": True, "Eyeglasses": True, "Black_Hair": True, "Mouth_Slightly_Open": True, "Male": False}
    assert caption(attributes) == "a photo of a face, woman, smiling, mouth open, eyeglasses, black hair"
    assert caption({"Smiling": False, "No_Beard": False, "Young": False}) == "a photo of a face, old, neutral, beard"
    assert caption({"No_Beard": True, "Attractive": True}) == "a photo of a face"


def test_words_cover_captions() -> None:
    every = caption({"Smiling": False, "Goatee": True, "Wavy_Hair": True, "Wearing_Lipstick": True, "Pale_Skin": True})
    assert set(every.replace(",", "").split()) <= set(words())


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
