"""Who is drawn and how the photo was taken: the numbers behind every drawn face, each from its own seed."""

from dataclasses import dataclass, replace

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
    """An identity: what stays the same on all photos. Lengths in mean inter-ocular distances, from between the eyes, y down."""

    male: bool
    age: float  # 0 young, 1 old
    tone: float  # position on SKINS, 0 to 1
    skin: Colour
    width: float  # half width at the cheeks
    chin: float
    jaw: float  # exponent of the outline: higher is squarer
    point: float  # lower is a more pointed chin
    forehead: float
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


@dataclass(frozen=True)
class Shot:
    """One photo of a person: what changes from photo to photo. Angles in radians."""

    yaw: float
    pitch: float
    roll: float
    shift: tuple[float, float]
    zoom: float
    smile: bool
    open: bool
    smile_by: float
    open_by: float
    squint: float
    gaze: tuple[float, float]
    brow_lift: float
    light: Colour  # direction, unit vector to the light; y down, z to the viewer
    light_colour: Colour
    key: float
    ambient: float
    backdrop: tuple[Colour, Colour]
    backdrop_angle: float
    blobs: tuple[tuple[float, float, float, Colour], ...]  # x, y, radius in frames
    clothes: Colour
    glasses: bool
    glasses_colour: Colour
    glasses_square: float
    glasses_size: float
    hat: bool
    hat_colour: Colour
    hat_y: float
    restyled: bool
    bangs: bool  # worn by those who have them
    hair_volume: float
    hair_length: float
    hair_shift: float
    hair_rise: float
    hair_tone: float
    tan: float
    hair_wave: float
    hair_phase: float
    lens: float  # a near camera widens the middle of the face
    jaw_drop: float
    blur: float  # sigma in frames
    noise: float
    noise_seed: int


def _mix(a: Colour, b: Colour, t: float) -> Colour:
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def _colour(rng: Generator, low: float, high: float, grey: float) -> Colour:
    """A random colour pulled towards its own grey by `grey`."""
    r, g, b = (float(v) for v in rng.uniform(low, high, 3))
    mean = (r + g + b) / 3
    return _mix((r, g, b), (mean, mean, mean), grey)


def _jitter(rng: Generator, colour: Colour, by: float) -> Colour:
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
    skin = _jitter(rng, _mix(SKINS[step], SKINS[step + 1], tone * (len(SKINS) - 1) - step), 0.012)
    nose_y = u(0.51, 0.66)
    mouth_y = nose_y + u(0.34, 0.44)
    dark = tone > 0.62
    weights = np.array([0.7, 0.2, 0.04, 0.06, 0.0] if dark else [0.24, 0.32, 0.14, 0.30, 0.0])
    kind = "gray" if rng.random() < max(0.0, age - 0.55) * 1.8 else str(rng.choice(list(HAIRS), p=weights / weights.sum()))
    hair = _jitter(rng, _mix(HAIRS[kind], (0.2, 0.15, 0.1), u(0, 0.15) if kind == "brown" else 0.0), 0.01 if kind == "black" else 0.02)
    chances = [0.12, 0.14, 0.3, 0.22, 0.12, 0.02, 0.06, 0.02] if male else [0.0, 0.03, 0.07, 0.14, 0.17, 0.2, 0.25, 0.14]
    style = str(rng.choice(STYLES, p=np.array(chances) / sum(chances)))
    beard = str(rng.choice(BEARDS, p=[0.42, 0.18, 0.12, 0.12, 0.16])) if male else "none"
    lipstick = bool(not male and rng.random() < 0.55)
    bare = _mix(skin, (0.66, 0.28, 0.27), 0.5)
    lip = _jitter(rng, (0.72, 0.12, 0.2) if lipstick else bare, 0.05)
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
        iris=_jitter(rng, IRISES[0 if dark else int(rng.choice(4, p=[0.3, 0.2, 0.3, 0.2]))], 0.05),
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


def shot(seed: int, identity: int, k: int) -> Shot:
    """How photo `k` of the person was taken."""
    rng = default_rng([seed, 2, identity, k])

    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def n(sigma: float, limit: float = 2.0) -> float:
        return float(np.clip(rng.normal(), -limit, limit)) * sigma

    smile, opened = bool(rng.random() < 0.45), bool(rng.random() < 0.35)
    glasses, hat = bool(rng.random() < 0.25), bool(rng.random() < 0.08)
    side = u(-1.2, 1.2)
    light = np.array([np.sin(side), -u(0.1, 0.9), np.cos(side) + 0.25])
    lx, ly, lz = (float(v) for v in light / np.linalg.norm(light))
    warm = 0.03 + n(0.03)
    base = _colour(rng, 0.12, 0.85, 0.45)
    blobs = tuple((u(0, 1), u(0, 1), u(0.1, 0.3), _colour(rng, 0.1, 0.95, 0.4)) for _ in range(int(rng.integers(0, 4))))
    frames: tuple[Colour, ...] = ((0.05, 0.05, 0.06), (0.05, 0.05, 0.06), (0.25, 0.12, 0.06), (0.45, 0.06, 0.08), (0.08, 0.12, 0.35))
    return Shot(
        yaw=n(0.17),
        pitch=n(0.08),
        roll=n(0.05),
        shift=(n(0.05), n(0.05)),
        zoom=1 + n(0.035),
        smile=smile,
        open=opened,
        smile_by=u(0.75, 1.0) if smile else u(-0.1, 0.08),
        open_by=u(0.75, 1.15) if opened else 0.0,
        squint=u(0, 0.15) + (0.18 if smile else 0.0),
        gaze=(n(0.4), n(0.25)),
        brow_lift=n(0.02),
        light=(lx, ly, lz),
        light_colour=(1 + warm, 1.0, 1 - warm),
        key=u(0.45, 0.8),
        ambient=u(0.35, 0.56),
        backdrop=(base, _mix(base, _colour(rng, 0.1, 0.9, 0.4), u(0.2, 0.8))),
        backdrop_angle=u(0, 6.28),
        blobs=blobs,
        clothes=_colour(rng, 0.08, 0.9, 0.2),
        glasses=glasses,
        glasses_colour=frames[int(rng.integers(len(frames)))],
        glasses_square=u(2.0, 5.0),
        glasses_size=u(0.9, 1.1),
        hat=hat,
        hat_colour=_colour(rng, 0.05, 0.85, 0.1),
        hat_y=u(-0.72, -0.58),
        restyled=bool(rng.random() < 0.35),
        bangs=bool(rng.random() < 0.8),
        hair_volume=u(0.55, 1.5),
        hair_length=n(0.18),
        hair_shift=n(0.3),
        hair_rise=n(0.05),
        hair_tone=u(0.72, 1.25),
        tan=u(0.86, 1.08),
        hair_wave=n(0.25),
        hair_phase=u(0, 6.28),
        lens=n(0.02),
        jaw_drop=n(0.025),
        blur=u(0.0, 0.011),
        noise=u(0.0, 0.01),
        noise_seed=int(rng.integers(2**31)),
    )


RESTYLED = {"long": "tied", "tied": "long", "bob": "swept", "swept": "short", "short": "swept"}
"""How people wear their hair on other days."""


def on_the_day(p: Person, s: Shot) -> Person:
    """The person as this photo shows them: hair combed, cut and lit differently, the lens nearer or farther."""
    r, g, b = (min(0.95, c * s.hair_tone) for c in p.hair)
    tan: Colour = (p.skin[0] * s.tan**0.8, p.skin[1] * s.tan, p.skin[2] * s.tan**1.2)
    style, length, volume = p.style, p.length, p.volume
    if s.restyled and style in RESTYLED:
        style = RESTYLED[style]
        length = 3.0 if style == "long" else 0.4
        volume = 0.08 if style == "tied" else max(volume, 0.15)
    return replace(
        p,
        skin=tan,
        hair=(r, g, b),
        style=style,
        length=length + (0.0 if style == "long" else s.hair_length * (1.0 if style == "bob" else 0.5)),
        volume=volume * s.hair_volume,
        hairline=p.hairline + s.hair_rise,
        part=float(np.clip(p.part + s.hair_shift, -0.7, 0.7)),
        bangs=p.bangs if s.bangs and style != "tied" else 0.0,
        wave=float(np.clip(p.wave + s.hair_wave, 0, 1)),
        phase=s.hair_phase,
        width=p.width * (1 + s.lens),
        chin=p.chin + s.jaw_drop,
    )
