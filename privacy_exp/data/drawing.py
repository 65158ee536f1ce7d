"""Draws a shaded face: a height field under one light, soft implicit shapes, every photo from its own seed."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from privacy_exp.data import drawing_hair as worn
from privacy_exp.data import drawing_parts as parts
from privacy_exp.data.drawing_parts import Head, Paint, Plane, paint, ramp
from privacy_exp.data.drawing_people import Colour, Person, Shot, on_the_day, person, shot

SPAN = 3.5
"""Mean inter-ocular distances across the frame."""
EYE_LINE = 0.45
"""Height of the eyes, as a share of the frame from the top."""
PLAIN = frozenset({"hair", "skin", "background"})
"""What `draw` can draw alike for all."""


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


class View(NamedTuple):
    """The camera: sines and cosines of the pose, and the point of the face that lands on the frame's anchor."""

    cy: float
    sy: float
    cp: float
    sp: float
    cr: float
    sr: float
    centre: tuple[float, float]
    unit: float


def draw(seed: int, identity: int, k: int, size: int = 64, plain: Collection[str] = ()) -> Drawing:
    """Photo `k` of person `identity`: the same picture for the same arguments, in any order, at any size.

    Args:
        seed: which population the person belongs to; at least 0.
        identity: who; at least 0.
        k: which of the person's photos; at least 0.
        size: width and height in pixels; at least 32.
        plain: any of "hair", "skin", "background": drawn alike for all, to measure what the inner face alone tells.

    Raises:
        ValueError: for a negative number, a size below 32 or an unknown name in `plain`.
    """
    _check(seed, identity, k, size)
    if not set(plain) <= PLAIN:
        raise ValueError(f"`plain` may hold {sorted(PLAIN)}, but got {sorted(set(plain) - PLAIN)}.")
    s = shot(seed, identity, k)
    p, s = _alike(on_the_day(person(seed, identity), s), s, frozenset(plain))
    view = _view(p, s, size)
    head = _head(p, view, s, size)
    image, edge = _picture(p, s, head, view, size)
    return Drawing(image, _landmarks(p, s, view, size), _attributes(p, s), _oval(p, head, edge), _regions(head))


def facts(seed: int, identity: int, k: int, size: int = 64) -> tuple[Float[ndarray, "5 2"], dict[str, bool]]:
    """Landmarks and attributes of the picture that `draw` makes of the same numbers, without drawing it."""
    _check(seed, identity, k, size)
    s = shot(seed, identity, k)
    p = on_the_day(person(seed, identity), s)
    return _landmarks(p, s, _view(p, s, size), size), _attributes(p, s)


def _check(seed: int, identity: int, k: int, size: int) -> None:
    for name, value in (("seed", seed), ("identity", identity), ("k", k)):
        if value < 0:
            raise ValueError(f"`{name}` must be at least 0, but got {value}.")
    if size < 32:
        raise ValueError(f"`size` must be at least 32 pixels, but got {size}; draw larger and shrink the picture.")


def _alike(p: Person, s: Shot, plain: frozenset[str]) -> tuple[Person, Shot]:
    if "hair" in plain:
        p = replace(p, hair_kind="brown", hair=(0.3, 0.2, 0.13), style="short", hairline=-0.85, peak=0.0, part=0.0, bangs=0.0)
        p = replace(p, volume=0.15, length=0.4, wave=0.0, phase=0.0, beard="none")
        s = replace(s, hat=False)
    if "skin" in plain:
        p = replace(p, skin=(0.88, 0.68, 0.54), tone=0.4, freckles=0.0, marks=())
    if "background" in plain:
        gray: Colour = (0.5, 0.5, 0.5)
        s = replace(s, backdrop=(gray, gray), blobs=(), clothes=(0.3, 0.3, 0.35))
    return p, s


def _project(p: Person, view: View, points: Float[ndarray, "n 2"]) -> Float[ndarray, "n 2"]:
    x, y = points[:, 0], points[:, 1]
    z = parts.skull(p, x[None].astype(np.float32), y[None].astype(np.float32))[0]
    depth = z * view.cy - x * view.sy
    return np.stack([x * view.cy + z * view.sy, y * view.cp - depth * view.sp], axis=1)


def _points(p: Person, s: Shot) -> Float[ndarray, "5 2"]:
    half, corner = parts.mouth_lines(p, s, np.zeros((1, 1), np.float32))[3:]
    eye_y = 0.5 * (p.eye_low - p.eye_up)
    return np.array([[-p.eye_x, eye_y], [p.eye_x, eye_y], [0, p.nose_y - 0.04], [-half, corner], [half, corner]])


def _view(p: Person, s: Shot, size: int) -> View:
    turn = [f(a) for a in (s.yaw, s.pitch, s.roll) for f in (np.cos, np.sin)]
    view = View(*(float(t) for t in turn), centre=(0.0, 0.0), unit=SPAN / (size * s.zoom))
    seen = _project(p, view, _points(p, s))
    x, y = 0.5 * (seen[:2].mean(0) + seen[3:].mean(0))
    return view._replace(centre=(float(x), float(y)))


def _landmarks(p: Person, s: Shot, view: View, size: int) -> Float[ndarray, "5 2"]:
    q = _project(p, view, _points(p, s)) - np.array(view.centre)
    x, y = q[:, 0] * view.cr - q[:, 1] * view.sr, q[:, 0] * view.sr + q[:, 1] * view.cr
    anchor = np.array([0.5 * size, EYE_LINE * size]) + np.array([s.shift[0], s.shift[1] + 0.52]) * size / SPAN
    return np.stack([x, y], axis=1) / view.unit + anchor - 0.5


def _head(p: Person, view: View, s: Shot, size: int) -> Head:
    """Undoes the pose for every pixel: a few fixed-point steps down the viewing ray onto the skull."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) * view.unit
    down = (EYE_LINE * size + (s.shift[1] + 0.52) * size / SPAN) * view.unit
    u, v = np.meshgrid(steps - (0.5 * size + s.shift[0] * size / SPAN) * view.unit, steps - down)
    qx = u * view.cr + v * view.sr + view.centre[0]
    qy = v * view.cr - u * view.sr + view.centre[1]
    x, y = qx, qy
    for _ in range(4):
        z = parts.skull(p, x, y)
        depth = z * view.cy - x * view.sy
        x, y = (qx - z * view.sy) / view.cy, (qy + depth * view.sp) / view.cp
    return Head(x, y, parts.skull(p, x, y), view.unit)


def _shade(s: Shot, view: View, head: Head, height: Plane, relief: float = 1.0, gloss: float = 0.0) -> Paint:
    """Light that falls on a surface of `height` over the face's plane: soft key light, sky, a little gloss."""
    z = (height * view.cy - head.x * view.sy) * view.cp + head.y * view.sp
    gy, gx = np.gradient(z * relief, head.px)
    slope = 1 / np.sqrt(1 + gx * gx + gy * gy)
    lx, ly, lz = s.light
    dot = (-gx * lx - gy * ly + lz) * slope
    direct = np.clip((dot + 0.32) / 1.32, 0, None)
    sky = s.ambient * (0.8 + 0.2 * gy * slope)
    hx, hy, hz = lx, ly, lz + 1
    norm = float(np.sqrt(hx * hx + hy * hy + hz * hz))
    shine = gloss * np.clip((-gx * hx - gy * hy + hz) * slope / norm, 0, 1) ** 24
    colour = np.asarray(s.light_colour, dtype=np.float32)
    # the terminator and the shade glow warm, as skin does
    warm = np.stack([direct**0.85, direct, direct**1.06], axis=-1)
    return sky[..., None] * np.asarray((1.07, 1.0, 0.95), np.float32) + (s.key * warm + s.key * shine[..., None]) * colour


def _backdrop(s: Shot, size: int) -> Paint:
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    u, v = np.meshgrid(steps, steps)
    t = ramp(0.5 + (u - 0.5) * float(np.cos(s.backdrop_angle)) + (v - 0.5) * float(np.sin(s.backdrop_angle)), 0.0, 1.0)
    image = np.empty((size, size, 3), np.float32)
    image[:] = s.backdrop[0]
    paint(image, t, s.backdrop[1])
    for x, y, radius, colour in s.blobs:
        paint(image, 0.8 * (1 - ramp(np.hypot(u - x, v - y), 0.6 * radius, 1.2 * radius)), colour)
    return image


def _body(p: Person, s: Shot, head: Head, view: View, image: Paint) -> None:
    """Paints back hair, neck, ears and clothes."""
    x, y = np.abs(head.x), head.y
    flat = 0.9 * np.sqrt(np.maximum(1 - (head.x / 1.9) ** 2, 0) + 0.05)
    hair = worn.draw_back_hair(p, head)
    _hair(p, s, head, view, image, 0.62 * hair, flat)
    neck_w = 0.52 + 0.12 * p.male + 0.25 * ramp(y, 1.5, 2.3)
    neck = head.cover(neck_w - x, 0.02) * head.cover(y - 0.8)
    tube = np.sqrt(np.maximum(1 - (head.x / 0.75) ** 2, 0) + 0.1)
    skin = np.empty_like(image)
    skin[:] = p.skin
    dark = 0.6 + 0.3 * ramp(y, p.chin + 0.05, p.chin + 0.5)
    paint(image, neck, skin * _shade(s, view, head, tube) * dark[..., None])
    collar = head.cover(y - (1.78 + 0.1 * p.male) - 0.35 * np.clip(x - 0.3, 0, None) * 0.2 + 0.25 * ramp(x, 0.35, 0.8), 0.02)
    cloth = np.empty_like(image)
    cloth[:] = s.clothes
    if p.style in ("long",):
        collar = collar * (1 - 0.9 * hair * ramp(x, 0.6, 0.75))
    paint(image, collar, cloth * _shade(s, view, head, flat))
    ear = 1 - np.hypot((x - p.width - 0.01) / 0.13, (y - 0.2) / 0.3)
    ears = head.cover(0.15 * ear, 0.01) * (0.0 if p.style in ("bob", "long", "curly") else 1.0)
    inner = 1 - 0.35 * np.exp(-(((x - p.width - 0.03) / 0.05) ** 2) - ((y - 0.2) / 0.15) ** 2)
    light = _shade(s, view, head, 0.9 * flat) * inner[..., None]
    paint(image, ears, skin * light * np.asarray((1.0, 0.9, 0.88), np.float32))
    head.regions["hair"] = hair
    head.regions["body"] = np.maximum(neck, np.maximum(collar, ears))


def _hair(p: Person, s: Shot, head: Head, view: View, image: Paint, alpha: Plane, height: Plane) -> None:
    """Lays shaded hair over `image`; `alpha` below 1 leaves it darker."""
    lines = worn.strands(p, head)
    light = _shade(s, view, head, height + 0.02 * lines, gloss=0.35)
    colour = np.asarray(p.hair, np.float32) * (1 + 0.22 * lines[..., None])
    depth = np.clip(alpha / np.maximum(alpha.max(), 1e-3), 0, 1)
    tone = float(np.clip(alpha.max(), 0, 1))
    paint(image, depth, colour * light * tone)


def _picture(p: Person, s: Shot, head: Head, view: View, size: int) -> tuple[UInt8[ndarray, "h w 3"], Plane]:
    """Draws from back to front, then the camera's own blur and noise."""
    image = _backdrop(s, size)
    _body(p, s, head, view, image)
    edge = parts.outline(p, s, head)
    face = head.cover(edge, 0.01)
    skin = np.empty_like(image)
    skin[:] = p.skin
    parts.draw_skin(p, head, skin)
    parts.draw_nose(p, head, skin)
    parts.draw_mouth(p, s, head, skin)
    beard = worn.draw_beard(p, s, head, skin)
    parts.draw_brows(p, s, head, skin)
    ball = parts.draw_eyes(p, s, head, skin)
    height = head.dome + 0.85 * parts.relief(p, s, head) - 0.12 * ramp(-edge, -0.16, 0.05)
    light = _shade(s, view, head, height, gloss=0.16)
    light += (0.75 * ball)[..., None] * (np.float32(s.ambient + 0.75 * s.key) - light)
    paint(image, face, skin * light)
    front = worn.draw_front_hair(p, head)
    shadow = np.clip(cv2.GaussianBlur(front, (0, 0), 0.1 / head.px) - 0.4 * front, 0, 1) * face
    image *= (1 - 0.45 * shadow)[..., None]
    if p.style != "buzz" and front.any():
        volume = head.dome + 0.25 * np.sqrt(np.clip(0.3 + 0.5 * edge, 0, 1))
        lines = worn.strands(p, head)
        colour = np.asarray(p.hair, np.float32) * (1 + 0.25 * lines[..., None])
        paint(image, front, colour * _shade(s, view, head, volume + 0.02 * lines, gloss=0.35))
    else:
        paint(image, front, np.asarray(p.hair, np.float32) * light)
    head.regions |= {"face": face, "beard": beard, "hair": np.maximum(head.regions["hair"] * (1 - face), front)}
    _wear(p, s, head, view, image)
    image = np.clip(image, 0, 1)
    sigma = s.blur * size
    if sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    noise = np.random.default_rng(s.noise_seed).standard_normal(image.shape, dtype=np.float32) * s.noise
    return (np.clip(image + noise, 0, 1) * 255 + 0.5).astype(np.uint8), edge


def _wear(p: Person, s: Shot, head: Head, view: View, image: Paint) -> None:
    none = np.zeros_like(head.x)
    head.regions |= {"hat": none, "glasses": none}
    if s.hat:
        hat, brim = worn.draw_hat(p, s, head)
        light = _shade(s, view, head, head.dome + 0.3 - 0.2 * ramp(brim, 0, 1))
        colour = np.asarray(s.hat_colour, np.float32) * (1 - 0.35 * brim[..., None])
        under = np.clip(cv2.GaussianBlur(hat, (0, 0), 0.1 / head.px) - 0.3 * hat, 0, 1) * head.regions["face"]
        image *= (1 - 0.5 * under * (1 - hat))[..., None]
        paint(image, hat, colour * light)
        head.regions["hat"] = hat
    if s.glasses:
        rim, lens = worn.draw_glasses(p, s, head)
        paint(image, 0.06 * lens, (0.9, 0.95, 1.0))
        paint(image, rim, np.asarray(s.glasses_colour, np.float32) * (0.6 + 0.5 * _shade(s, view, head, head.dome)))
        head.regions["glasses"] = rim


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
    return (edge > 0) & (head.y > -0.95 + 0.35 * (head.x / p.width) ** 2)


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
