"""Prompts: one string, or a template filled from the attributes of each face, so that what is not private survives.

The same words caption the faces that a checkpoint is trained on (`captions.py`) and fill the templates that steer it
(`fill`), so a prompt never asks for a word that the shipped checkpoint has not seen.
"""

import string
from collections.abc import Mapping

from privacy_exp.types import Faces, UserError

SUBJECT = "a photo of a face"
"""How every caption begins; also the plainest prompt."""

# Field -> the attributes it reads, each with its words where the attribute is true and where it is false.
# The order of the fields is their order in a caption; the first attribute of a field that says something wins.
FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "sex": {"Male": ("man", "woman")},
    "age": {"Young": ("young", "old")},
    "expression": {"Smiling": ("smiling", "neutral")},
    "mouth": {"Mouth_Slightly_Open": ("mouth open", "")},
    "glasses": {"Eyeglasses": ("eyeglasses", "")},
    "hat": {"Wearing_Hat": ("hat", "")},
    "hair": {
        "Bald": ("bald", ""),
        "Black_Hair": ("black hair", ""),
        "Blond_Hair": ("blond hair", ""),
        "Brown_Hair": ("brown hair", ""),
        "Gray_Hair": ("gray hair", ""),
    },
    "bangs": {"Bangs": ("bangs", "")},
    "texture": {"Wavy_Hair": ("wavy hair", ""), "Straight_Hair": ("straight hair", "")},
    "beard": {"Goatee": ("goatee", ""), "No_Beard": ("", "beard")},
    "mustache": {"Mustache": ("mustache", "")},
    "skin": {"Pale_Skin": ("pale skin", ""), "Rosy_Cheeks": ("rosy cheeks", "")},
    "makeup": {"Heavy_Makeup": ("heavy makeup", ""), "Wearing_Lipstick": ("lipstick", "")},
    "earrings": {"Wearing_Earrings": ("earrings", "")},
}


def words() -> list[str]:
    """Every word that a caption can hold, sorted: what a small vocabulary has to cover, besides the comma."""
    phrases = [phrase for readings in FIELDS.values() for pair in readings.values() for phrase in pair]
    return sorted({word for phrase in [SUBJECT, *phrases] for word in phrase.split()})


def describe(field: str, attributes: Mapping[str, bool]) -> str:
    """The words of one field for one face, "" where it has nothing to say (no glasses, say).

    Args:
        field: a key of `FIELDS`.
        attributes: CelebA's attribute names and their values for one face.
    """
    known = (pair[0 if attributes[name] else 1] for name, pair in FIELDS[field].items() if name in attributes)
    return next((phrase for phrase in known if phrase), "")


def fields(template: str) -> list[str]:
    """The fields that a prompt template names, in order; none for a plain string.

    Raises:
        UserError: for a field that no prompt can have, or braces that do not pair.
    """
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise UserError(f"`prompt` must pair its braces, but got {template!r}: {error}.") from error
    for name in named:
        if name not in FIELDS:
            raise UserError(f"`prompt` may hold the fields {_listed(FIELDS)}, but got {{{name}}} in {template!r}.")
    return named


def fill(template: str, faces: Faces) -> list[str]:
    """One prompt a face: the template with its fields filled from the face's attributes.

    A field with nothing to say (no glasses) leaves with its comma.

    Args:
        template: a plain string, or one with fields such as "a photo of a face, {hair}, {expression}, {glasses}".
        faces: the batch; its attributes are needed only for the fields that the template names.

    Raises:
        UserError: for a field that no prompt can have, or one that needs attributes which the data lacks.
    """
    named = fields(template)
    if not named:
        return [template] * len(faces.ids)
    known = faces.attributes or {}
    for field in named:
        if not any(name in known for name in FIELDS[field]):
            raise UserError(
                f"`prompt` asks for {{{field}}}, which needs the attribute {_listed(FIELDS[field], ' or ')}, but the "
                f"data has {_listed(known) or 'no attributes'}. Drop the field, or take data with that attribute."
            )
    rows = [{name: bool(values[i]) for name, values in known.items()} for i in range(len(faces.ids))]
    return [_tidy(template.format(**{field: describe(field, row) for field in named})) for row in rows]


def _tidy(prompt: str) -> str:
    return ", ".join(part for part in (" ".join(piece.split()) for piece in prompt.split(",")) if part)


def _listed(names: Mapping[str, object], joint: str = ", ") -> str:
    return joint.join(names)
