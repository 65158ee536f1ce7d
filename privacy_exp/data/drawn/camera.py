"""The camera of a drawn face: pose, framing, and what each pixel sees of the head."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from privacy_exp.data.drawn import parts
from privacy_exp.data.drawn.parts import Head
from privacy_exp.data.drawn.people import Person
from privacy_exp.data.drawn.photo import Shot

SPAN = 3.5
"""Mean inter-ocular distances across the frame."""
EYE_LINE = 0.45
"""Height of the eyes, as a share of the frame from the top."""


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


def _project(p: Person, view: View, points: Float[ndarray, "n 2"]) -> Float[ndarray, "n 2"]:
    x, y = points[:, 0], points[:, 1]
    z = parts.skull(p, x[None].astype(np.float32), y[None].astype(np.float32))[0]
    depth = z * view.cy - x * view.sy
    return np.stack([x * view.cy + z * view.sy, y * view.cp - depth * view.sp], axis=1)


def _points(p: Person, s: Shot) -> Float[ndarray, "5 2"]:
    half, corner = parts.mouth_lines(p, s, np.zeros((1, 1), np.float32))[3:]
    eye_y = 0.5 * (p.eye_low - p.eye_up)
    return np.array([[-p.eye_x, eye_y], [p.eye_x, eye_y], [0, p.nose_y - 0.04], [-half, corner], [half, corner]])


def frame(p: Person, s: Shot, size: int) -> View:
    """The camera of a photo: aligned roughly, as CelebA is, by the mean of eyes and mouth."""
    cy, sy, cp, sp, cr, sr = (float(f(a)) for a in (s.yaw, s.pitch, s.roll) for f in (np.cos, np.sin))
    view = View(cy, sy, cp, sp, cr, sr, centre=(0.0, 0.0), unit=SPAN / (size * s.zoom))
    seen = _project(p, view, _points(p, s))
    x, y = 0.5 * (seen[:2].mean(0) + seen[3:].mean(0))
    return view._replace(centre=(float(x), float(y)))


def landmarks_of(p: Person, s: Shot, view: View, size: int) -> Float[ndarray, "5 2"]:
    """The five points in pixels; the centre of the first pixel is (0, 0)."""
    q = _project(p, view, _points(p, s)) - np.array(view.centre)
    x, y = q[:, 0] * view.cr - q[:, 1] * view.sr, q[:, 0] * view.sr + q[:, 1] * view.cr
    anchor = np.array([0.5 * size, EYE_LINE * size]) + np.array([s.shift[0], s.shift[1] + 0.52]) * size / SPAN
    return np.stack([x, y], axis=1) / view.unit + anchor - 0.5


def head_of(p: Person, view: View, s: Shot, size: int) -> Head:
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
