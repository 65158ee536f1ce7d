"""The canvas of a drawn face and the parts of the inner face: skull, eyes, brows, nose, mouth, skin."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from privacy_exp.data.drawn.people import Person
from privacy_exp.data.drawn.photo import Shot

Plane = Float32[ndarray, "h w"]
Paint = Float32[ndarray, "h w 3"]


CORNER = 0.93
"""Where along the half mouth its corner is seen: beyond, the lips are thinner than a pixel."""


def bump(d2: Plane) -> Plane:
    """A soft round bump of squared distance `d2` in units of its radius: 1 in the middle."""
    return np.exp(-d2)


def ramp(value: Plane, low: float, high: float) -> Plane:
    """Rises smoothly from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def paint(canvas: Paint, alpha: Plane, colour: tuple[float, ...] | Paint) -> None:
    """Lays `colour` over `canvas` where `alpha` is 1, in place."""
    canvas += alpha[..., None] * (np.asarray(colour, dtype=np.float32) - canvas)


@dataclass
class Head:
    """The pixels of one photo in the face's own coordinates (unit: mean inter-ocular distance; y down).

    Attributes:
        x, y: where on the face each pixel lies, pose undone.
        dome: the skull's height below each pixel, nose included.
        px: a pixel's width in the same unit.
        regions: coverage in [0, 1] of each part drawn so far.
    """

    x: Plane
    y: Plane
    dome: Plane
    px: float
    regions: dict[str, Plane] = field(default_factory=dict)

    def cover(self, inside: Plane, soft: float = 0.0) -> Plane:
        """Anti-aliased coverage from a distance that is positive inside; `soft` widens the edge."""
        return np.clip(inside / (self.px + soft) + 0.5, 0, 1)

    def fill(self, implicit: Plane, soft: float = 0.0) -> Plane:
        """Coverage where `implicit` is positive, its own slope taken as the scale of distance."""
        gy, gx = np.gradient(implicit, self.px)
        return self.cover(implicit / np.sqrt(gx * gx + gy * gy + 1e-4), soft)


def skull(p: Person, x: Plane, y: Plane) -> Plane:
    """Height of the bare head with its nose over the frontal plane."""
    d = 1 - (x / (p.width + 0.22)) ** 2 - ((y - 0.15) / 2.1) ** 2
    z = 1.05 * np.sqrt(np.maximum(d, 0) + 0.12)
    return z + nose_height(p, x, y)


def nose_height(p: Person, x: Plane, y: Plane) -> Plane:
    """Bridge, tip and wings of the nose."""
    t = np.clip((y + 0.12) / (p.nose_y + 0.12), 0, 1)
    run = ramp(y, -0.25, 0.15) * (1 - ramp(y, p.nose_y - 0.02, p.nose_y + 0.16))
    width = p.bridge_w + 0.5 * p.tip * t
    ridge = (p.bridge_h + (0.2 - 0.5 * p.bridge_h) * t * t) * run * bump((x / width) ** 2)
    tip = 0.1 * bump((x / p.tip) ** 2 + ((y - p.nose_y) / (0.9 * p.tip)) ** 2)
    wings = 0.13 * bump(((np.abs(x) - 0.78 * p.nose_w) / 0.075) ** 2 + ((y - p.nose_y - 0.035) / 0.09) ** 2)
    return ridge + tip + wings


def outline(p: Person, s: Shot, head: Head) -> Plane:
    """Distance inside the face's edge, skull top included; positive inside."""
    chin = p.chin + 0.07 * s.open_by
    low = np.clip((head.y - 0.15) / (chin - 0.15), 0, 1.3)
    high = np.clip((0.15 - head.y) / 1.72, 0, 1.3)
    side = np.abs(head.x) / p.width
    r_low = (side**p.point + low**p.jaw) ** (1 / p.point)
    r_high = np.sqrt(side**2 + high**2.2)
    return (1 - np.where(head.y > 0.15, r_low, r_high)) * p.width


def eye_shape(p: Person, s: Shot, head: Head) -> tuple[Plane, Plane, Plane, Plane]:
    """Both eyes at once: along and across coordinates, upper and lower lid's height there."""
    a, b = np.abs(head.x) - p.eye_x, head.y
    c, t = float(np.cos(p.eye_tilt)), float(np.sin(p.eye_tilt))
    a, b = c * a - t * b, t * a + c * b
    q = np.clip(1 - (a / p.eye_w) ** 2, 0, 1)
    lean = 1 + p.eye_peak * a / p.eye_w
    upper = -p.eye_up * (1 - s.squint) * q**0.7 * lean
    lower = p.eye_low * (1 - 0.8 * s.squint) * q**0.8
    return a, b, upper, lower


def draw_eyes(p: Person, s: Shot, head: Head, skin: Paint) -> Plane:
    """Paints eyes, lids and lashes on `skin`; returns how much is eyeball (drawn without the skin's relief)."""
    a, b, upper, lower = eye_shape(p, s, head)
    near = head.cover(p.eye_w - np.abs(a), 0.02)
    ball = near * head.cover(b - upper, 0.01) * head.cover(lower - b, 0.01)
    socket = bump((a / (1.35 * p.eye_w)) ** 2 + ((b + 0.07) / 0.17) ** 2)
    paint(skin, 0.22 * socket, tuple(0.55 * v for v in p.skin))
    inner = bump(((a + 0.95 * p.eye_w) / 0.08) ** 2 + ((b + 0.03) / 0.13) ** 2)
    paint(skin, 0.3 * inner, tuple(0.5 * v for v in p.skin))
    crease = bump(((b - upper * (1.25 + 0.3 * p.crease) + 0.045) / 0.03) ** 2) * bump((a / p.eye_w) ** 4)
    paint(skin, (0.2 + 0.4 * p.crease) * crease, tuple(0.45 * v for v in p.skin))
    bag = bump(((b - lower - 0.085) / 0.035) ** 2) * bump((a / (0.9 * p.eye_w)) ** 4)
    paint(skin, 0.42 * p.bags * bag, (0.62 * p.skin[0], 0.5 * p.skin[1], 0.52 * p.skin[2]))
    eye = np.empty_like(skin)
    eye[:] = (0.93, 0.92, 0.91)
    sign = np.sign(head.x)
    gx, gy = s.gaze[0] * (p.eye_w - p.iris_size) * 0.8, s.gaze[1] * 0.05 - 0.012
    dx, dy = head.x - sign * p.eye_x - gx, head.y - gy
    r = np.sqrt(dx * dx + dy * dy)
    paint(eye, head.cover(p.iris_size + 0.012 - r, 0.01), tuple(0.35 * v for v in p.iris))
    paint(eye, head.cover(p.iris_size - 0.012 - r, 0.015), p.iris)
    paint(eye, head.cover(0.45 * p.iris_size - r, 0.005), (0.02, 0.02, 0.02))
    lx, ly = 0.4 * p.iris_size * float(np.sign(s.light[0])), -0.4 * p.iris_size
    paint(eye, 0.9 * head.cover(0.28 * p.iris_size - np.hypot(dx - lx, dy - ly)), (1.0, 1.0, 1.0))
    eye *= (1 - 0.45 * bump(((b - upper) / 0.05) ** 2))[..., None]
    paint(skin, ball, eye)
    lash = 0.03 if p.male else 0.045
    paint(skin, 0.9 * near * bump(((b - upper + 0.008) / lash) ** 2) ** 1.5, (0.09, 0.06, 0.05))
    paint(skin, 0.3 * near * bump(((b - lower) / 0.025) ** 2), tuple(0.4 * v for v in p.skin))
    head.regions["eyes"] = ball
    return ball


def draw_brows(p: Person, s: Shot, head: Head, skin: Paint) -> None:
    """Paints both brows."""
    a = (np.abs(head.x) - p.eye_x + 0.02) / p.brow_len
    middle = (
        -p.brow_y - s.brow_lift - p.brow_tilt * 0.35 * a - p.brow_arch * (1 - (a - 0.25) ** 2 * 1.2) + 0.4 * p.brow_arch
    )
    thick = p.brow_thick * (1 - 0.45 * np.clip(a, -1, 1))
    alpha = head.cover(thick - np.abs(head.y - middle), 0.025) * head.cover((1 - np.abs(a)) * p.brow_len, 0.06)
    shade = 0.75 if p.hair_kind in ("blond", "gray") else 0.8
    paint(skin, p.brow_dark * alpha, tuple(shade * v for v in p.hair))
    head.regions["brows"] = alpha


def draw_nose(p: Person, head: Head, skin: Paint) -> None:
    """Paints nostrils and the nose's own shadows; its shape is in `nose_height`."""
    x, y = np.abs(head.x), head.y - p.nose_y
    under = bump((head.x / (1.1 * p.nose_w)) ** 4 + ((y - 0.12) / 0.05) ** 2)
    paint(skin, 0.25 * under, tuple(0.5 * v for v in p.skin))
    wing = bump(((np.hypot(x - 0.62 * p.nose_w, y - 0.03) - 0.1) / 0.03) ** 2) * ramp(x, 0.75 * p.nose_w, p.nose_w)
    paint(skin, 0.5 * wing, tuple(0.5 * v for v in p.skin))
    hole = bump(((x - 0.5 * p.nose_w) / 0.06) ** 2 + ((y - 0.085) / 0.028) ** 2)
    paint(skin, (0.45 + 0.5 * p.nostril) * hole, (0.28 * p.skin[0], 0.18 * p.skin[1], 0.16 * p.skin[2]))
    tip = bump((head.x / 0.2) ** 2 + (y / 0.16) ** 2)
    paint(skin, 0.16 * tip, (0.9 * p.skin[0], 0.62 * p.skin[1], 0.6 * p.skin[2]))
    head.regions["nose"] = bump(
        (head.x / (p.nose_w + 0.05)) ** 4 + ((head.y - 0.55 * p.nose_y) / (0.6 * p.nose_y)) ** 4
    )


def mouth_lines(p: Person, s: Shot, x: Plane) -> tuple[Plane, Plane, Plane, float, float]:
    """Place along the mouth in half widths, where the upper lip ends, where the lower begins; its corner's x and y."""
    half = p.mouth_w * (1 + 0.16 * s.smile_by - 0.12 * s.open_by * (1 - 0.5 * s.smile_by))
    a = x / half
    bow = 1 - np.clip(a * a, 0, 1.4)
    y0 = p.mouth_y + 0.02 * s.smile_by + 0.04 * s.open_by
    corner = p.corner - 0.09 * s.smile_by
    line = y0 + corner * (1 - bow)
    teeth = 0.075 * s.smile_by if s.smile else 0.0
    top = line - (0.02 * s.open_by + 0.4 * teeth) * bow
    bottom = line + (0.17 * s.open_by + 1.5 * teeth) * bow
    return a, top, bottom, CORNER * half, y0 + CORNER**2 * corner


def draw_mouth(p: Person, s: Shot, head: Head, skin: Paint) -> None:
    """Paints lips, teeth and the inside of the mouth."""
    a, top, bottom, seen, _ = mouth_lines(p, s, head.x)
    half, y, thin = seen / CORNER, head.y, 1 - 0.25 * s.smile_by
    q = np.clip(1 - a * a, 0, 1)
    bow = p.cupid * (bump(((np.abs(a) - 0.28) / 0.2) ** 2) - bump((a / 0.16) ** 2))
    lip_top = top - (p.lip_up * thin * q**0.7 + bow * q)
    lip_low = bottom + p.lip_low * thin * q**0.6
    near = head.cover((1 - np.abs(a)) * half, 0.015)
    upper = near * head.cover(y - lip_top, 0.012) * head.cover(top - y, 0.005)
    lower = near * head.cover(lip_low - y, 0.012) * head.cover(y - bottom, 0.005)
    inside = near * head.cover(y - top) * head.cover(bottom - y)
    under = bump((a / 0.75) ** 4 + ((y - lip_low - 0.05) / 0.045) ** 2)
    paint(skin, 0.32 * under, tuple(0.5 * v for v in p.skin))
    paint(skin, 0.9 * upper, tuple(0.82 * v for v in p.lip))
    paint(skin, 0.85 * lower, p.lip)
    shine = lower * bump((a / 0.5) ** 2 + ((y - bottom - 0.45 * p.lip_low) / 0.03) ** 2)
    paint(skin, 0.25 * shine, (1.0, 0.9, 0.88))
    paint(skin, inside, (0.16, 0.035, 0.04))
    teeth_low = top + (0.12 * max(s.smile_by, 0.0) * q if s.smile else 0.03 * s.open_by * q)
    paint(skin, inside * head.cover(teeth_low - y, 0.008), (0.95, 0.93, 0.89))
    if s.open:
        tongue = inside * bump((a / 0.45) ** 2 + ((y - bottom) / 0.06) ** 2)
        paint(skin, 0.6 * tongue, (0.6, 0.2, 0.2))
    if not (s.open or s.smile):
        paint(skin, 0.75 * near * bump(((y - top) / 0.02) ** 2), (0.25, 0.08, 0.08))
    ends = bump(((np.abs(a) - 1.0) * half / 0.045) ** 2 + ((y - p.mouth_y - (top - p.mouth_y) * 1.0) / 0.035) ** 2)
    paint(skin, 0.4 * ends, tuple(0.4 * v for v in p.skin))
    head.regions["mouth"] = np.clip(upper + lower + inside, 0, 1)


def relief(p: Person, s: Shot, head: Head) -> Plane:
    """Height of the face without its dome: sockets, brow ridge, cheeks, lips, chin, folds and lines of age."""
    x, y = np.abs(head.x), head.y
    z = -0.11 * bump(((x - p.eye_x) / 0.32) ** 2 + ((y + 0.03) / 0.2) ** 2)
    z += 0.06 * bump(((x - p.eye_x) / 0.26) ** 2 + (y / 0.1) ** 2)
    z += 0.06 * bump((x / 0.9) ** 4 + ((y + p.brow_y + 0.02) / 0.13) ** 2)
    cheek_y = 0.45 - 0.06 * s.smile_by
    z += (0.04 + 0.1 * p.cheek + 0.06 * max(s.smile_by, 0.0)) * bump(
        ((x - 0.62) / 0.26) ** 2 + ((y - cheek_y) / 0.24) ** 2
    )
    z -= 0.09 * p.cheek * bump(((x - 0.72) / 0.22) ** 2 + ((y - 0.95) / 0.25) ** 2)
    z += 0.07 * bump((x / 0.45) ** 2 + ((y - p.mouth_y) / 0.22) ** 2)
    z += 0.09 * bump((x / 0.32) ** 2 + ((y - p.chin + 0.2) / 0.16) ** 2)
    z -= 0.06 * p.cleft * bump((x / 0.05) ** 2 + ((y - p.chin + 0.16) / 0.1) ** 2)
    fold = np.clip((y - p.nose_y) / (p.mouth_y + 0.1 - p.nose_y), 0, 1.2)
    fold_x = p.nose_w + 0.05 + (p.mouth_w - p.nose_w + 0.13 + 0.06 * s.smile_by) * fold
    depth = (0.01 + 0.045 * p.fold + 0.03 * max(s.smile_by, 0.0)) * ramp(y, p.nose_y - 0.1, p.nose_y + 0.1)
    z -= depth * bump(((x - fold_x) / 0.075) ** 2) * (1 - ramp(y, p.mouth_y - 0.02, p.mouth_y + 0.15))
    if p.age > 0.45:
        lines = np.cos((y + 0.05 * x * x) * 2 * np.pi / 0.15 + p.phase)
        on = bump((x / 0.62) ** 4 + ((y + 0.72) / 0.2) ** 4)
        z += 0.022 * (p.age - 0.4) * lines * on
    return z


def draw_skin(p: Person, head: Head, skin: Paint) -> None:
    """Paints the skin's colour: blush, freckles and moles."""
    x, y = np.abs(head.x), head.y
    blush = bump(((x - 0.62) / 0.25) ** 2 + ((y - 0.5) / 0.22) ** 2)
    paint(skin, 0.22 * blush, (0.95 * p.skin[0], 0.62 * p.skin[1], 0.6 * p.skin[2]))
    if p.freckles:
        spots = np.sin(head.x * 43 + 3 * np.sin(head.y * 17 + p.phase)) * np.sin(head.y * 39 + 3 * np.sin(head.x * 19))
        zone = bump((x / 0.75) ** 4 + ((y - 0.42) / 0.28) ** 2)
        paint(skin, 0.5 * p.freckles * zone * ramp(spots, 0.3, 0.9), tuple(0.6 * v for v in p.skin))
    for mx, my, radius in p.marks:
        paint(skin, 0.85 * bump(((head.x - mx) ** 2 + (y - my) ** 2) / radius**2), tuple(0.3 * v for v in p.skin))
