"""Who is drawn: the numbers that a person keeps on all photos, from a seed of their own."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng

Colour = tuple[float, float, float]

SKINS: tuple[Colour, ...] = (
    (0.99, 0.84, 0.75),
    (0.95, 0.78, 0.67),
    (0.88, 0.68, 0.54),
    (0.77, 0.56, 0.41),
    (0.61, 0.41, 0.29),
    (0.50, 0.33, 0.23),
)
"""Skin from pale to dark; a person lies anywhere between."""

HAIRS: dict[str, Colour] = {
    "black": (0.10, 0.09, 0.10),
    "brown": (0.34, 0.21, 0.13),
    "auburn": (0.50, 0.23, 0.11),
    "blond": (0.83, 0.66, 0.36),
    "gray": (0.66, 0.66, 0.67),
}
IRISES: tuple[Colour, ...] = ((0.24, 0.13, 0.07), (0.42, 0.26, 0.11), (0.32, 0.44, 0.58), (0.36, 0.48, 0.28))
STYLES = ("bald", "buzz", "short", "swept", "curly", "bob", "long", "tied")
BEARDS = ("none", "stubble", "mustache", "goatee", "full")


@dataclass(frozen=True)
class Person:
    """An identity: what stays the same on all photos.

    Lengths are in mean inter-ocular distances, from the point between the eyes, y down.
    """

    male: bool
    age: float  # 0 young, 1 old
    tone: float  # position on SKINS, 0 to 1
    skin: Colour
    width: float  # half width at the cheeks
    chin: float
    jaw: float  # exponent of the outline: higher is squarer
    point: float  # lower is a more pointed chin
    forehead: float  # how high the oval reaches
    cheek: float
    cleft: float
    eye_x: float
    eye_w: float
    eye_up: float
    eye_low: float
    eye_tilt: float
    eye_peak: float
    crease: float
    iris: Colour
    iris_size: float
    bags: float
    brow_y: float
    brow_thick: float
    brow_tilt: float
    brow_arch: float
    brow_len: float
    brow_dark: float
    nose_y: float
    nose_w: float
    bridge_w: float
    bridge_h: float
    tip: float
    nostril: float
    mouth_y: float
    mouth_w: float
    lip_up: float
    lip_low: float
    cupid: float
    corner: float
    lip: Colour
    lipstick: bool
    fold: float  # nasolabial
    freckles: float
    marks: tuple[tuple[float, float, float], ...]  # moles: x, y, radius
    hair_kind: str
    hair: Colour
    style: str
    hairline: float
    peak: float
    part: float
    bangs: float  # 0 none, 1 down to the brows
    volume: float
    length: float
    wave: float
    phase: float
    beard: str


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """From `a` at 0 to `b` at 1."""
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def jitter(rng: Generator, colour: Colour, by: float) -> Colour:
    """A colour near another, each channel off by at most `by`."""
    r, g, b = (float(np.clip(c + v, 0.02, 0.98)) for c, v in zip(colour, rng.uniform(-by, by, 3), strict=True))
    return (r, g, b)


def person(seed: int, identity: int) -> Person:
    """The person that `seed` and `identity` stand for, whatever the number of identities."""
    rng = default_rng([seed, 1, identity])

    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    male = bool(rng.random() < 0.5)
    m = 1.0 if male else 0.0
    age = u(0, 1) ** 1.3
    tone = u(0, 1)
    step = min(int(tone * (len(SKINS) - 1)), len(SKINS) - 2)
    skin = jitter(rng, mix(SKINS[step], SKINS[step + 1], tone * (len(SKINS) - 1) - step), 0.012)
    nose_y = u(0.51, 0.66)
    mouth_y = nose_y + u(0.34, 0.44)
    dark = tone > 0.62
    weights = np.array([0.7, 0.2, 0.04, 0.06, 0.0] if dark else [0.24, 0.32, 0.14, 0.30, 0.0])
    kind = (
        "gray" if rng.random() < max(0.0, age - 0.55) * 1.8 else str(rng.choice(list(HAIRS), p=weights / weights.sum()))
    )
    hair = jitter(
        rng,
        mix(HAIRS[kind], (0.2, 0.15, 0.1), u(0, 0.15) if kind == "brown" else 0.0),
        0.01 if kind == "black" else 0.02,
    )
    chances = (
        [0.12, 0.14, 0.3, 0.22, 0.12, 0.02, 0.06, 0.02] if male else [0.0, 0.03, 0.07, 0.14, 0.17, 0.2, 0.25, 0.14]
    )
    style = str(rng.choice(STYLES, p=np.array(chances) / sum(chances)))
    beard = str(rng.choice(BEARDS, p=[0.42, 0.18, 0.12, 0.12, 0.16])) if male else "none"
    lipstick = bool(not male and rng.random() < 0.55)
    bare = mix(skin, (0.66, 0.28, 0.27), 0.5)
    lip = jitter(rng, (0.72, 0.12, 0.2) if lipstick else bare, 0.05)
    bangs = float(rng.random() < (0.3 if style in ("short", "swept", "curly", "bob", "long") else 0.0)) * u(0.75, 1.0)
    count = int(rng.choice(4, p=[0.45, 0.3, 0.15, 0.1]))
    marks = tuple((u(-0.75, 0.75), u(0.25, 1.35), u(0.028, 0.05)) for _ in range(count))
    length = {"bob": u(0.9, 1.6), "long": 3.0}.get(style, u(0.25, 0.6))
    volume = {"bald": 0.0, "buzz": 0.04, "curly": u(0.3, 0.5), "tied": 0.08}.get(style, u(0.1, 0.28))
    return Person(
        male=male,
        age=age,
        tone=tone,
        skin=skin,
        width=u(0.98, 1.1) + 0.03 * m,
        chin=max(u(1.5, 1.7), mouth_y + 0.48),
        jaw=u(2.0, 2.9) + 0.4 * m,
        point=u(1.55, 2.1) + 0.15 * m,
        forehead=u(0.95, 1.2),
        cheek=u(0, 1),
        cleft=u(0, 1) ** 2 * (0.4 + 0.6 * m),
        eye_x=u(0.41, 0.52),
        eye_w=u(0.215, 0.29),
        eye_up=u(0.085, 0.165),
        eye_low=u(0.05, 0.1),
        eye_tilt=u(-0.2, 0.24),
        eye_peak=u(-0.35, 0.35),
        crease=u(0, 1),
        iris=jitter(rng, IRISES[0 if dark else int(rng.choice(4, p=[0.3, 0.2, 0.3, 0.2]))], 0.05),
        iris_size=u(0.095, 0.125),
        bags=u(0, 0.4) + 0.5 * age**2,
        brow_y=u(0.22, 0.38),
        brow_thick=u(0.03, 0.065) + 0.025 * m,
        brow_tilt=u(-0.32, 0.12),
        brow_arch=u(0.0, 0.13),
        brow_len=u(0.24, 0.36),
        brow_dark=u(0.55, 0.95),
        nose_y=nose_y,
        nose_w=u(0.15, 0.25) + 0.02 * m,
        bridge_w=u(0.06, 0.12),
        bridge_h=u(0.06, 0.2),
        tip=u(0.1, 0.16),
        nostril=u(0.3, 1.0),
        mouth_y=mouth_y,
        mouth_w=u(0.33, 0.46),
        lip_up=u(0.03, 0.095),
        lip_low=u(0.05, 0.12),
        cupid=u(0.0, 0.035),
        corner=u(-0.05, 0.008),
        lip=lip,
        lipstick=lipstick,
        fold=u(0, 0.4) + 0.5 * age**2,
        freckles=u(0.5, 1) if rng.random() < 0.15 and tone < 0.5 else 0.0,
        marks=marks,
        hair_kind=kind,
        hair=hair,
        style=style,
        hairline=-u(0.72, 0.98),
        peak=u(-0.12, 0.12),
        part=u(-0.6, 0.6),
        bangs=bangs,
        volume=volume,
        length=length,
        wave=u(0, 1),
        phase=u(0, 6.28),
        beard=beard,
    )
