"""Draws a shaded face: a height field under one light, soft implicit shapes, every photo from its own seed."""

from collections.abc import Collection
from dataclasses import dataclass

from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from privacy_exp.data.drawn.camera import frame, head_of, landmarks_of
from privacy_exp.data.drawn.parts import Head, Plane
from privacy_exp.data.drawn.people import Person, person
from privacy_exp.data.drawn.photo import PLAIN, Shot, alike, on_the_day, shot
from privacy_exp.data.drawn.picture import picture
from privacy_exp.types import UserError


@dataclass(frozen=True)
class Drawing:
    """A drawn photo with its ground truth.

    Attributes:
        image: RGB.
        landmarks: (x, y) in pixels, ordered as `privacy_exp.types.Landmarks`.
        attributes: named as in CelebA.
        oval: the inner face, from chin to forehead, whatever covers it.
        regions: where each part is visible: eyes, brows, nose, mouth, skin, hair, hat, glasses, background.
    """

    image: UInt8[ndarray, "h w 3"]
    landmarks: Float[ndarray, "5 2"]
    attributes: dict[str, bool]
    oval: Bool[ndarray, "h w"]
    regions: dict[str, Bool[ndarray, "h w"]]


def draw(seed: int, identity: int, k: int, size: int = 64, plain: Collection[str] = ()) -> Drawing:
    """Photo `k` of person `identity`: the same picture for the same arguments, in any order, at any size.

    Args:
        seed: which population the person belongs to; at least 0.
        identity: who; at least 0.
        k: which of the person's photos; at least 0.
        size: width and height in pixels; at least 32.
        plain: any of "hair", "skin", "background": drawn alike for all, to measure what the inner face alone tells.

    Raises:
        UserError: for a negative number, a size below 32 or an unknown name in `plain`.
    """
    _check(seed, identity, k, size)
    if not set(plain) <= PLAIN:
        raise UserError(f"`plain` may hold {sorted(PLAIN)}, but got {sorted(set(plain) - PLAIN)}.")
    s = shot(seed, identity, k)
    p, s = alike(on_the_day(person(seed, identity), s), s, frozenset(plain))
    view = frame(p, s, size)
    head = head_of(p, view, s, size)
    image, edge = picture(p, s, head, view, size)
    return Drawing(image, landmarks_of(p, s, view, size), _attributes(p, s), _oval(p, head, edge), _regions(head))


def facts(seed: int, identity: int, k: int, size: int = 64) -> tuple[Float[ndarray, "5 2"], dict[str, bool]]:
    """Landmarks and attributes of the picture that `draw` makes of the same numbers, without drawing it."""
    _check(seed, identity, k, size)
    s = shot(seed, identity, k)
    p = on_the_day(person(seed, identity), s)
    return landmarks_of(p, s, frame(p, s, size), size), _attributes(p, s)


def _check(seed: int, identity: int, k: int, size: int) -> None:
    for name, value in (("seed", seed), ("identity", identity), ("k", k)):
        if value < 0:
            raise UserError(f"`{name}` must be at least 0, but got {value}.")
    if size < 32:
        raise UserError(f"`size` must be at least 32 pixels, but got {size}; draw larger and shrink the picture.")


def _attributes(p: Person, s: Shot) -> dict[str, bool]:
    haired = p.style not in ("bald",) and not s.hat
    return {
        "Bald": p.style == "bald",
        "Bangs": haired and p.bangs > 0,
        "Black_Hair": haired and p.hair_kind == "black",
        "Blond_Hair": haired and p.hair_kind == "blond",
        "Brown_Hair": haired and p.hair_kind in ("brown", "auburn"),
        "Eyeglasses": s.glasses,
        "Goatee": p.beard == "goatee",
        "Gray_Hair": haired and p.hair_kind == "gray",
        "Male": p.male,
        "Mouth_Slightly_Open": s.open,
        "Mustache": p.beard in ("mustache", "goatee", "full"),
        "No_Beard": p.beard in ("none", "mustache"),
        "Pale_Skin": p.tone < 0.2,
        "Smiling": s.smile,
        "Wearing_Hat": s.hat,
        "Wearing_Lipstick": p.lipstick,
        "Young": p.age < 0.5,
    }


def _oval(p: Person, head: Head, edge: Plane) -> Bool[ndarray, "h w"]:
    """The inner face: the outline below, a forehead above, the same whatever hair or hat covers it."""
    return (edge > 0) & (head.y > 0.1 - p.forehead + 0.35 * (head.x / p.width) ** 2)


def _regions(head: Head) -> dict[str, Bool[ndarray, "h w"]]:
    """Where each part is seen, front to back."""
    r = head.regions
    glasses, hat = r["glasses"] > 0.5, r["hat"] > 0.5
    hair = (r["hair"] > 0.5) & ~hat & ~glasses
    front = ~(glasses | hat | hair) & (r["face"] > 0.5)
    eyes, mouth = front & (r["eyes"] > 0.5), front & (r["mouth"] > 0.5)
    brows = front & (r["brows"] > 0.5) & ~eyes
    nose = front & (r["nose"] > 0.5) & ~eyes & ~brows & ~mouth
    skin = front & ~(eyes | mouth | brows | nose)
    body = (r["body"] > 0.5) & ~(glasses | hat | hair | front)
    named = {"eyes": eyes, "brows": brows, "nose": nose, "mouth": mouth, "skin": skin, "hair": hair, "hat": hat}
    return {**named, "glasses": glasses, "body": body, "background": ~(glasses | hat | hair | front | body)}
