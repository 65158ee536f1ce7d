"""What grows on and is worn on a drawn head: hair, beard, hat, glasses."""

import numpy as np

from privacy_exp.data.drawn.parts import Head, Paint, Plane, bump, mouth_lines, paint, ramp
from privacy_exp.data.drawn.people import Person
from privacy_exp.data.drawn.photo import Shot


def strands(p: Person, head: Head) -> Plane:
    """Streaks of lighter and darker hair that run down from the parting, in [-1, 1]."""
    dx, dy = head.x - 0.6 * p.part, head.y + 2.0
    r = np.sqrt(dx * dx + dy * dy) + 0.05
    along = np.arctan2(dx, dy)
    if p.style == "curly":
        return np.sin(9 * head.x + 2 * np.sin(7 * head.y + p.phase)) * np.sin(9 * head.y + 2 * np.sin(8 * head.x))
    bend = 0.25 * p.wave * np.sin(5 * r + p.phase)
    lines = np.sin(15 * along + bend * 6 + p.phase) + 0.6 * np.sin(34 * along + bend * 9 + 2 * p.phase)
    return 0.5 * lines * ramp(r, 0.1, 0.9)


def hair_edge(p: Person, head: Head) -> tuple[Plane, float]:
    """Distance inside the hair's outer edge, and where the hair ends below."""
    volume, length = p.volume, p.length
    angle = np.arctan2(head.x, head.y - 0.1)
    curl = 0.05 if p.style == "curly" else 0.012
    wobble = curl * np.sin(11 * angle + p.phase) + 0.5 * curl * np.sin(23 * angle + 2 * p.phase)
    wide, tall = p.width + 0.03 + volume, 1.74 + 0.9 * volume
    up = np.clip((0.15 - head.y) / tall, 0, 2)
    spread = wide + (0.1 * p.wave * np.sin(3.2 * head.y + p.phase) - 0.04) * ramp(head.y, 0.15, 1.2)
    top = (1 - ((np.abs(head.x) / wide) ** 2.2 + up**2.2) ** (1 / 2.2)) * wide
    return np.where(head.y < 0.15, top, spread - np.abs(head.x)) + wobble, length


def draw_back_hair(p: Person, head: Head) -> Plane:
    """Coverage of the hair behind the face."""
    if p.style == "bald":
        return np.zeros_like(head.x)
    edge, length = hair_edge(p, head)
    round_off = 0.25 * (head.x / (p.width + 0.2)) ** 2
    return head.cover(edge, 0.03) * head.cover(length - round_off - head.y, 0.1)


def draw_front_hair(p: Person, head: Head) -> Plane:
    """Coverage of the hair in front of the face: hairline, parting, bangs, side locks."""
    side = np.abs(head.x) / p.width
    edge, length = hair_edge(p, head)
    line = p.hairline + p.peak * bump((head.x / 0.25) ** 2) + 0.06 * side
    if p.style in ("short", "buzz", "swept", "tied"):
        line = line - 0.25 * p.age * (1.0 if p.male else 0.3) * bump(((side - 0.5) / 0.25) ** 2)
    if p.style in ("swept", "bob", "long") and not p.bangs:
        line = line - 0.12 + 0.42 * np.minimum(np.abs(head.x - p.part), 1.0) * (0.6 + 0.4 * p.wave)
    if p.bangs:
        fringe: np.ndarray | float = -p.brow_y - 0.1 - 0.3 * (1 - p.bangs)
        fringe = fringe + 0.045 * np.sin(8 * head.x + p.phase) + 0.18 * p.part * head.x
        line = np.maximum(line, fringe + np.zeros_like(head.x))
    start, stop = (0.7, 0.98) if p.style in ("bob", "long", "curly") else (0.82, 1.0)
    low = {"bob": length, "long": length, "tied": 0.1, "bald": 0.2}.get(p.style, 0.38)
    inner = line + (low - line) * ramp(side, start, stop)
    if p.style == "bald":
        ring = (
            head.fill(side - 0.99 + 0.02 * np.sin(6 * head.y))
            * ramp(head.y, -0.55, -0.3)
            * (1 - ramp(head.y, 0.1, 0.3))
        )
        return 0.75 * ring * head.cover(edge + 0.05, 0.02)
    soft = 0.1 if p.style == "buzz" else 0.035
    front = head.fill(inner - head.y, soft) * head.cover(edge, 0.03)
    return front * (0.72 if p.style == "buzz" else 1.0)


def draw_beard(p: Person, s: Shot, head: Head, skin: Paint) -> Plane:
    """Paints the beard on `skin` and returns its coverage."""
    none = np.zeros_like(head.x)
    if p.beard == "none":
        return none
    a, top, bottom, _, _ = mouth_lines(p, s, head.x)
    x, y = np.abs(head.x), head.y
    q = np.clip(1 - a * a, 0, 1)
    lip_top, lip_low = top - 0.9 * p.lip_up * q**0.7, bottom + p.lip_low * q**0.6
    drop = 0.3 * np.clip(np.abs(a) - 0.9, 0, 1)
    moustache = (
        head.cover(lip_top - y, 0.03)
        * ramp(y, p.nose_y + 0.1, p.nose_y + 0.2)
        * ramp(1.25 - np.abs(a) + drop, 0.0, 0.2)
    )
    below = ramp(y - lip_low, 0.02, 0.12)
    jaw = ramp(y - (1.0 - 0.75 * ramp(x, 0.35, p.width)), -0.02, 0.16)
    sides = np.maximum(ramp(np.abs(a), 1.05, 1.25), below)
    full = np.maximum(moustache, jaw * sides)
    goatee = below * (1 - ramp(x, 0.28, 0.4)) + moustache * 0.95
    goatee = np.maximum(
        goatee, (1 - ramp(np.abs(x - 1.15 * p.mouth_w), 0.03, 0.1)) * ramp(y, p.nose_y + 0.15, p.nose_y + 0.3)
    )
    kind = {"stubble": 0.38 * full, "mustache": 0.9 * moustache, "goatee": 0.85 * goatee, "full": 0.88 * full}
    alpha = np.clip(kind[p.beard], 0, 1)
    grain = 1 + 0.12 * np.sin(34 * head.x + 2 * np.sin(11 * head.y)) * np.sin(17 * head.y + p.phase)
    paint(skin, alpha, (0.85 * np.asarray(p.hair, dtype=np.float32)) * grain[..., None])
    return alpha


def draw_hat(p: Person, s: Shot, head: Head) -> tuple[Plane, Plane]:
    """Coverage of the hat and of its darker brim."""
    wide = p.width + 0.08 + min(p.volume, 0.35)
    up = np.clip((0.15 - head.y) / (1.84 + min(p.volume, 0.35)), 0, 2)
    shape = (1 - ((np.abs(head.x) / wide) ** 2.4 + up**2.4) ** (1 / 2.4)) * wide
    rim = s.hat_y + 0.12 * (head.x / wide) ** 2
    hat = head.cover(shape, 0.01) * head.cover(rim - head.y, 0.01)
    return hat, hat * ramp(head.y - rim, -0.26, -0.22)


def draw_glasses(p: Person, s: Shot, head: Head) -> tuple[Plane, Plane]:
    """Coverage of the frame, and of the lenses."""
    n = s.glasses_square
    wide, tall = 0.37 * s.glasses_size, 0.27 * s.glasses_size
    cx = max(p.eye_x, wide + 0.07)
    a, b = np.abs(np.abs(head.x) - cx) / wide, np.abs(head.y - 0.04) / tall
    r = (a**n + b**n + 1e-6) ** (1 / n)
    d = (1 - r) * 0.5 * (wide + tall)
    rim = head.cover(0.045 - np.abs(d), 0.005)
    bridge = head.cover(0.035 - np.abs(head.y + 0.03)) * head.cover(cx - wide - np.abs(head.x) + 0.03)
    arms = (
        head.cover(0.035 - np.abs(head.y + 0.06))
        * head.cover(np.abs(head.x) - cx - wide)
        * head.cover(p.width + 0.02 - np.abs(head.x))
    )
    return np.clip(rim + bridge + arms, 0, 1), head.cover(d)
