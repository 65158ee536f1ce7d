"""The picture of a drawn face, from back to front: backdrop, body, face, hair, what is worn, and the camera's noise."""

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from privacy_exp.data.drawn import hair as worn
from privacy_exp.data.drawn import parts
from privacy_exp.data.drawn.camera import View
from privacy_exp.data.drawn.parts import Head, Paint, Plane, paint, ramp
from privacy_exp.data.drawn.people import Person
from privacy_exp.data.drawn.photo import Shot


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
    return (
        sky[..., None] * np.asarray((1.07, 1.0, 0.95), np.float32) + (s.key * warm + s.key * shine[..., None]) * colour
    )


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
    collar = head.cover(
        y - (1.78 + 0.1 * p.male) - 0.35 * np.clip(x - 0.3, 0, None) * 0.2 + 0.25 * ramp(x, 0.35, 0.8), 0.02
    )
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


def picture(p: Person, s: Shot, head: Head, view: View, size: int) -> tuple[UInt8[ndarray, "h w 3"], Plane]:
    """Draws from back to front, then the camera's own blur and noise.

    Returns:
        The picture, and the distance inside the face's edge; `head.regions` then holds the coverage of each part.
    """
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
