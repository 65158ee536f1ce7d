"""How a photo was taken: what changes from photo to photo of one person, from a seed of its own."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator, default_rng

from privacy_exp.data.drawn.people import Colour, Person, mix

PLAIN = frozenset({"hair", "skin", "background"})
"""What `draw` can draw alike for all."""


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


def colour(rng: Generator, low: float, high: float, grey: float) -> Colour:
    """A random colour pulled towards its own grey by `grey`."""
    r, g, b = (float(v) for v in rng.uniform(low, high, 3))
    mean = (r + g + b) / 3
    return mix((r, g, b), (mean, mean, mean), grey)


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
    base = colour(rng, 0.12, 0.85, 0.45)
    blobs = tuple((u(0, 1), u(0, 1), u(0.1, 0.3), colour(rng, 0.1, 0.95, 0.4)) for _ in range(int(rng.integers(0, 4))))
    frames: tuple[Colour, ...] = (
        (0.05, 0.05, 0.06),
        (0.05, 0.05, 0.06),
        (0.25, 0.12, 0.06),
        (0.45, 0.06, 0.08),
        (0.08, 0.12, 0.35),
    )
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
        backdrop=(base, mix(base, colour(rng, 0.1, 0.9, 0.4), u(0.2, 0.8))),
        backdrop_angle=u(0, 6.28),
        blobs=blobs,
        clothes=colour(rng, 0.08, 0.9, 0.2),
        glasses=glasses,
        glasses_colour=frames[int(rng.integers(len(frames)))],
        glasses_square=u(2.0, 5.0),
        glasses_size=u(0.9, 1.1),
        hat=hat,
        hat_colour=colour(rng, 0.05, 0.85, 0.1),
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


def alike(p: Person, s: Shot, plain: frozenset[str]) -> tuple[Person, Shot]:
    """Person and photo with what `plain` names drawn as for everybody."""
    if "hair" in plain:
        p = replace(
            p, hair_kind="brown", hair=(0.3, 0.2, 0.13), style="short", hairline=-0.85, peak=0.0, part=0.0, bangs=0.0
        )
        p = replace(p, volume=0.15, length=0.4, wave=0.0, phase=0.0, beard="none")
        s = replace(s, hat=False)
    if "skin" in plain:
        p = replace(p, skin=(0.88, 0.68, 0.54), tone=0.4, freckles=0.0, marks=())
    if "background" in plain:
        gray: Colour = (0.5, 0.5, 0.5)
        s = replace(s, backdrop=(gray, gray), blobs=(), clothes=(0.3, 0.3, 0.35))
    return p, s
